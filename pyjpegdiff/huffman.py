"""Huffman code lengths: those of Annex K.3 of ITU-T T.81, and those that libjpeg makes for given counts.

A symbol of DC is a category: the number of bits of a magnitude. One of AC is 16 times the number of zeros before a
coefficient plus its category; 0x00 ends a block (EOB), 0xF0 stands for sixteen zeros (ZRL). Lengths are indexed by
symbol; 0 means that a symbol has no code.
"""

import heapq

import numpy as np
from numpy.typing import NDArray

DC_SYMBOLS, AC_SYMBOLS = 12, 256
END_OF_BLOCK, SIXTEEN_ZEROS = 0x00, 0xF0
LONGEST = 16
"""Bits of the longest code that a file may have."""

Lengths = NDArray[np.int64]


def _table(counts: str, symbols: str, size: int) -> tuple[int, ...]:
    """Lengths from the numbers of codes of 1, 2, ... bits, and their symbols in that order."""
    lengths = [0] * size
    in_order = [bits for bits, count in enumerate(bytes.fromhex(counts), 1) for _ in range(count)]
    for symbol, bits in zip(bytes.fromhex(symbols), in_order, strict=True):
        lengths[symbol] = bits
    return tuple(lengths)


_CATEGORIES = "000102030405060708090a0b"
STANDARD_DC = (
    _table("00010501010101010100000000000000", _CATEGORIES, DC_SYMBOLS),
    _table("00030101010101010101010000000000", _CATEGORIES, DC_SYMBOLS),
)
"""Of luma and chroma: Tables K.3 and K.4."""
STANDARD_AC = (
    _table(
        "0002010303020403050504040000017d",
        "01020300041105122131410613516107227114328191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a838485868788898a92939495969798999aa2a3a4a5"
        "a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
        AC_SYMBOLS,
    ),
    _table(
        "00020102040403040705040400010277",
        "0001020311040521310612415107617113223281081442"
        "91a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738"
        "393a434445464748494a535455565758595a636465666768696a737475767778797a82838485868788898a92939495969798999aa2a3a4"
        "a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
        AC_SYMBOLS,
    ),
)
"""Of luma and chroma: Tables K.5 and K.6."""


def optimal_lengths(counts: Lengths) -> Lengths:
    """The code lengths that libjpeg's ``optimize_coding`` gives to symbols that occur so often: (size,) -> (size,)."""
    lengths, _ = optimal_code(counts)
    return lengths


def optimal_code(counts: Lengths) -> tuple[Lengths, Lengths]:
    """The same lengths, and the symbols in the order of their codes.

    The procedure is that of Annex K.2, with an additional symbol of count 1 that keeps the code of all ones free. Among
    equal counts the last symbol is taken first. Codes longer than `LONGEST` are shortened in pairs, as Figure K.3 has
    it; libjpeg itself refuses codes of more than 32 bits, which take more than ten million symbols.
    """
    size = len(counts)
    depths = [0] * size + [0]
    heap = [(int(count), -symbol) for symbol, count in enumerate(counts) if count] + [(1, -size)]
    heapq.heapify(heap)
    members = {-key: [-key] for _, key in heap}
    while len(heap) > 1:
        _, key = first = heapq.heappop(heap)
        other = heapq.heappop(heap)
        members[-key] += members.pop(-other[1])
        for symbol in members[-key]:
            depths[symbol] += 1
        heapq.heappush(heap, (first[0] + other[0], key))
    codes = _limited(np.bincount(depths, minlength=LONGEST + 2))
    # The additional symbol takes the last of the longest codes, whoever had it.
    codes[np.nonzero(codes)[0][-1]] -= 1
    in_order = sorted(np.nonzero(counts)[0], key=lambda symbol: (depths[symbol], symbol))
    lengths = np.zeros(size, np.int64)
    lengths[in_order] = np.repeat(np.arange(len(codes)), codes)
    return lengths, np.array(in_order, np.int64)


def _limited(codes: Lengths) -> Lengths:
    """Numbers of codes of 0, 1, 2, ... bits, so that none is longer than `LONGEST`; those of 0 bits are no codes."""
    codes = codes.copy()
    codes[0] = 0
    for bits in range(len(codes) - 1, LONGEST, -1):
        while codes[bits]:
            # Two siblings leave: one takes their parent's place, a shorter code is split for the other.
            shorter = bits - 2
            while not codes[shorter]:
                shorter -= 1
            codes[bits] -= 2
            codes[bits - 1] += 1
            codes[shorter + 1] += 2
            codes[shorter] -= 1
    return codes
