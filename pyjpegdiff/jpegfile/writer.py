"""Writing coefficients as the baseline file that libjpeg-turbo writes of them, byte for byte.

Symbols are found of all blocks at once, by the stages that count them: the scan has as many bits as `jpeg_rate` says.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyjpegdiff.arguments import SAMPLINGS, Call
from pyjpegdiff.huffman import END_OF_BLOCK, LONGEST, SIXTEEN_ZEROS, optimal_code
from pyjpegdiff.jpegfile import headers
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.scan import Component, Table, blocks_of, scan
from pyjpegdiff.stages import entropy
from pyjpegdiff.stages.entropy import IN_ORDER

Numbers = NDArray[np.int64]
JFIF = b"JFIF\0" + bytes((1, 1, 0, 0, 1, 0, 1, 0, 0))
"""Version 1.01, square pixels, no thumbnail."""
PER_BLOCK = 4 * 65
"""Places in a block: for each coefficient, up to three times sixteen zeros and then its own; and the end."""


def file_of(call: Call, huffman: str) -> bytes:
    """The file of checked coefficients of one image, which are whole."""
    tables = scan(call.xp, call.plan.spec.sampling, huffman, blocks_of(call), check=True).tables
    ids = range(1, sum(len(table.components) for table in tables) + 1)
    kinds = [0, *[1] * (len(ids) - 1)]
    luma = SAMPLINGS[call.subsampling] if call.subsampling else (1, 1)
    factors = [luma, *[(1, 1)] * (len(ids) - 1)]
    parts = [headers.START, segment(headers.APP0, JFIF)]
    for index, name in enumerate(("steps_y", "steps_c")[: len(tables)]):
        steps = np.asarray(call.inputs[name]).reshape(64)[list(IN_ORDER)].astype(np.uint8)
        parts.append(segment(headers.DQT, bytes((index, *steps))))
    frame = b"".join(
        bytes((id_, 16 * across + down, kind)) for id_, (down, across), kind in zip(ids, factors, kinds, strict=True)
    )
    size = b"".join(length.to_bytes(2, "big") for length in call.size)
    parts.append(segment(headers.BASELINE, b"\x08" + size + bytes((len(ids),)) + frame))
    codes = [codes_of(table, huffman) for table in tables]
    for index, pair in enumerate(codes):
        for kind, code in enumerate(pair):
            parts.append(segment(headers.DHT, bytes((16 * kind + index,)) + code.definition))
    names = b"".join(bytes((id_, 17 * kind)) for id_, kind in zip(ids, kinds, strict=True))
    parts.append(segment(headers.SOS, bytes((len(ids),)) + names + bytes((0, 63, 0))))
    return b"".join((*parts, entropy_coded(tables, codes), b"\xff", bytes((headers.EOI,))))


def segment(marker: int, body: bytes) -> bytes:
    """A marker and its segment."""
    return b"\xff" + bytes((marker,)) + (len(body) + 2).to_bytes(2, "big") + body


# --- Huffman codes ----------------------------------------------------------------------------------------------------


class Code(NamedTuple):
    """A Huffman code."""

    lengths: Numbers
    """By symbol; 0 where a symbol has no code."""
    in_order: Numbers
    """Symbols in the order of their codes."""

    @property
    def definition(self) -> bytes:
        """What a file says of it: the numbers of codes of 1 to 16 bits, and the symbols."""
        return bytes((*np.bincount(self.lengths, minlength=LONGEST + 1)[1:], *self.in_order))

    @property
    def codes(self) -> Numbers:
        """By symbol, Figure C.2: each is the one before it plus one, shifted to its own length."""
        found = np.zeros_like(self.lengths)
        code = length = 0
        for symbol in self.in_order:
            code <<= self.lengths[symbol] - length
            length = self.lengths[symbol]
            found[symbol] = code
            code += 1
        return found


def codes_of(table: Table, huffman: str) -> tuple[Code, Code]:
    """The codes of DC and of AC."""
    if huffman == "optimized":
        dc, ac = (Code(*optimal_code(np.asarray(counts).astype(np.int64))) for counts in table.counts)
    else:  # whose symbols of equal length ascend
        lengths = [np.asarray(each).astype(np.int64) for each in table.lengths]
        dc, ac = (Code(each, np.argsort(each, kind="stable")[np.count_nonzero(each == 0) :]) for each in lengths)
    return dc, ac


# --- bits -------------------------------------------------------------------------------------------------------------


def entropy_coded(tables: tuple[Table, ...], codes: Sequence[tuple[Code, Code]]) -> bytes:
    """The scan, with a zero after each byte of ones, its last byte filled with ones."""
    per_group = tables[0].group[0] * tables[0].group[1]
    in_group = per_group + 2 * (len(tables) - 1)
    found = []
    for index, (table, pair) in enumerate(zip(tables, codes, strict=True)):
        for number, component in enumerate(table.components):
            count = component.dc.shape[-1]
            own = 1 if index else per_group
            blocks = np.arange(count) // own * in_group + np.arange(count) % own + (per_group + number) * index
            found.append(fields(table.group, component, pair, blocks))
    places, values, sizes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.argsort(places)
    return packed(values[order], sizes[order]).replace(b"\xff", b"\xff\x00")


def fields(
    group: tuple[int, int], component: Component, codes: tuple[Code, Code], blocks: Numbers
) -> tuple[Numbers, Numbers, Numbers]:
    """Codes with the bits that follow them: their places in the scan, as numbers, and how many bits these have.

    ``blocks`` are the places of the component's blocks, dummies included, among those of the scan.
    """
    of_dc, of_ac = codes
    rows, columns = component.shape[-4:-2]
    stored = entropy.dc_in_order(xp, np.arange(rows * columns).reshape(rows, columns), group, dummies=-1)
    stored = np.asarray(stored)
    differences = np.asarray(entropy.differences(xp, component.dc))
    sizes = np.asarray(entropy.category(xp, differences, entropy.LARGEST_DC)).astype(np.int64)
    found = [(PER_BLOCK * blocks, *coded(of_dc, sizes, sizes, differences.astype(np.int64)))]

    whole = np.asarray(component.ac)[stored[stored >= 0]]
    starts = PER_BLOCK * blocks[stored >= 0]
    block, at = np.nonzero(whole)
    values, runs = whole[block, at], np.asarray(entropy.runs(xp, whole))[block, at].astype(np.int64)
    sizes = np.asarray(entropy.category(xp, values, entropy.LARGEST_AC)).astype(np.int64)
    places = starts[block] + 4 * (at + 1)
    found.append((places + 3, *coded(of_ac, 16 * (runs % 16) + sizes, sizes, values.astype(np.int64))))
    for number in range(3):
        found.append((places[runs // 16 > number] + number, *alone(of_ac, SIXTEEN_ZEROS, runs // 16 > number)))
    ends = np.ones(len(blocks), bool)
    ends[stored >= 0] = whole[:, -1] == 0
    found.append((PER_BLOCK * blocks[ends] + 4 * 64, *alone(of_ac, END_OF_BLOCK, ends)))
    places, numbers, sizes = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return places, numbers, sizes


def coded(code: Code, symbols: Numbers, sizes: Numbers, values: Numbers) -> tuple[Numbers, Numbers]:
    """Codes of symbols, then the bits of values, Figure F.12, as numbers; and how many bits these have."""
    following = np.where(values < 0, values + (1 << sizes) - 1, values)
    return code.codes[symbols] << sizes | following, code.lengths[symbols] + sizes


def alone(code: Code, symbol: int, where: NDArray[np.bool_]) -> tuple[Numbers, Numbers]:
    """The code of one symbol as often as ``where`` is true, likewise."""
    zeros = np.zeros(np.count_nonzero(where), np.int64)
    return coded(code, zeros + symbol, zeros, zeros)


def packed(numbers: Numbers, sizes: Numbers) -> bytes:
    """Numbers of so many bits one after the other, and ones up to the end of the last byte."""
    fill = int(-sizes.sum() % 8)
    numbers, sizes = np.append(numbers, (1 << fill) - 1), np.append(sizes, fill)
    ends = np.cumsum(sizes)
    first = (ends - sizes) >> 5
    # Within the 64 bits from a word's start on, none is longer than 27. No two share a bit: words are sums.
    placed = numbers.astype(np.uint64) << (64 - (ends - sizes & 31) - sizes).astype(np.uint64)
    count = int(ends[-1] // 32 + 2)
    high, low = placed >> np.uint64(32), placed & np.uint64(2**32 - 1)
    # Sums of at most 32 bits, exact in float64.
    words = np.bincount(first, high, count) + np.bincount(first + 1, low, count)
    return words.astype(">u4").tobytes()[: int(ends[-1] // 8)]
