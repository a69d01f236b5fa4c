"""Walking from symbol to symbol of a scan, Annexes F and G of ITU-T T.81.

Only where the next symbol begins must be found one by one. So the loops here do nothing but that, and note places;
what stands there, values and errors alike, is read of all places at once.
"""

from array import array
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pyjpegdiff.jpegfile.headers import damaged, too_short

WINDOW = 16
"""Bits of the longest code: so many are looked up at once."""
BEYOND = 512
"""Bytes after the end, more than a block can take, so that the end is asked for once per block."""
END = 64
"""A step that leaves the block."""

Places = NDArray[np.int64]


class Bits:
    """The bits of a scan, without stuffed bytes and restart markers.

    Parameters
    ----------
    parts : sequence of bytes
        What lies between the restart markers.
    count : int
        The number of blocks in the scan.
    length : int
        That in each part but the last, which has the rest.
    """

    def __init__(self, parts: Sequence[bytes], count: int, length: int) -> None:
        self.count, self.length = count, length
        ends = np.cumsum([8 * len(part) for part in parts])
        self.starts = np.array([0, *ends[:-1]])
        firsts = range(0, count, length)
        self.parts = [
            (start, end, first, min(first + length, count))
            for start, end, first in zip(self.starts.tolist(), ends.tolist(), firsts, strict=True)
        ]
        """Of each, where it begins and ends, and its first block and the one after its last."""
        padded = np.frombuffer(b"".join(parts) + b"\xff" * BEYOND, np.uint8)
        wide = padded.astype(np.uint32)
        self.words = memoryview((wide[:-2] << 16 | wide[1:-1] << 8 | wide[2:]).data)
        """Three bytes from each byte on: the window at bit n begins within the first of them."""
        self._long: NDArray[Any] = np.ndarray((len(padded) - 7,), ">u8", padded, strides=(1,))

    def fields(self, places: Places, sizes: Places | int) -> Places:
        """The numbers of so many bits at these places; at most 57 bits."""
        shifted = self._long[places >> 3].astype(np.uint64) >> (64 - (places & 7) - sizes).astype(np.uint64)
        return shifted.astype(np.int64) & ((1 << np.asarray(sizes)) - 1)

    def values(self, places: Places, sizes: Places) -> Places:
        """The signed numbers there, Figure F.12: those with a leading zero are negative."""
        found = self.fields(places, sizes)
        return np.where(found >> np.maximum(sizes - 1, 0) > 0, found, found - (1 << sizes) + 1)


class Table:
    """A Huffman table, looked up by the next 16 bits."""

    def __init__(self, table: bytes, kind: str) -> None:
        counts, symbols = np.frombuffer(table, np.uint8, 16), np.frombuffer(table, np.uint8, offset=16)
        lengths = np.repeat(np.arange(1, 17), counts)
        spans = 1 << (WINDOW - lengths)
        # Bits that are no code have length 0, and end the block.
        self.symbols = self._full(np.repeat(symbols, spans))
        self.lengths = self._full(np.repeat(lengths, spans))
        self.sizes = self.symbols if kind == "dc" else self.symbols & 15
        if kind == "dc" and symbols.size and symbols.max() > 15:
            raise damaged("a Huffman table of DC has symbols beyond those of DC")
        run = self.symbols >> 4
        is_end = (self.sizes == 0) & (run < 15)
        followed = np.where(is_end, run, self.sizes) if kind == "progressive" else self.sizes
        self.advance: list[int] = (self.lengths + followed).tolist()
        self.step: list[int] = np.where(is_end | (self.lengths == 0), END, run + 1).tolist()

    @staticmethod
    def _full(values: NDArray[Any]) -> Places:
        full = np.zeros(1 << WINDOW, np.int64)
        full[: values.size] = values
        return full

    def read(self, bits: Bits, places: Places) -> tuple[Places, Places]:
        """The sizes and the values of the symbols at these places."""
        windows = bits.fields(places, WINDOW)
        lengths, sizes = self.lengths[windows], self.sizes[windows]
        if not lengths.all():
            raise damaged("a scan has bits that are no code")
        return sizes, bits.values(places + lengths, sizes)


class Found(NamedTuple):
    """Values of coefficients, by 64 times the number of the block in the segment plus the place within it."""

    where: Places
    values: Places


def _found(bits: Bits, tables: Sequence[Table], counts: Places, slots: Places, at: Places, where: Places) -> Found:
    """What stands at places of symbols of AC, so many in each block; symbols without a value left out."""
    blocks = np.repeat(np.arange(len(slots)), counts)
    sizes, values = np.zeros_like(at), np.zeros_like(at)
    for slot, table in enumerate(tables):
        chosen = slots[blocks] == slot
        sizes[chosen], values[chosen] = table.read(bits, at[chosen])
    stored = sizes > 0
    where, blocks, values = where[stored], blocks[stored], values[stored]
    if (where >= 64 * blocks + 64).any():
        raise damaged("a block has more than 64 coefficients")
    return Found(where, values)


def _differences(bits: Bits, tables: Sequence[Table], slots: Places, at: Places) -> Places:
    """DC coefficients, of each slot the sums of its differences within a part."""
    found = np.zeros(len(at), np.int64)
    for slot, table in enumerate(tables):
        blocks = np.flatnonzero(slots == slot)
        _, differences = table.read(bits, at[blocks])
        sums = np.cumsum([0, *differences])
        parts = blocks // bits.length
        found[blocks] = sums[1:] - sums[np.searchsorted(parts, parts)]
    return found


def sequential(bits: Bits, dc: Sequence[Table], ac: Sequence[Table], slots: Places) -> tuple[Places, Found]:
    """DC coefficients, and what is stored of AC, of blocks whose tables are those of their slots."""
    words = bits.words
    of_dc, of_ac, where, counts = (array("q") for _ in range(4))
    note_at, note_where = of_ac.append, where.append
    lookups = [(d.advance, a.advance, a.step) for d, a in zip(dc, ac, strict=True)]
    in_order = slots.tolist()
    for at, bits_end, first_block, next_block in bits.parts:
        for block in range(first_block, next_block):
            of_dc.append(at)
            dc_advance, advance, step = lookups[in_order[block]]
            at += dc_advance[words[at >> 3] >> 8 - (at & 7) & 0xFFFF]
            place, before = 64 * block, len(of_ac)
            last = place + 63
            while place < last:
                window = words[at >> 3] >> 8 - (at & 7) & 0xFFFF
                note_at(at)
                at += advance[window]
                place += step[window]
                note_where(place)
            counts.append(len(of_ac) - before)
            if at > bits_end:
                raise too_short()
    found = _found(bits, ac, _places(counts), slots, _places(of_ac), _places(where))
    return _differences(bits, dc, slots, _places(of_dc)), found


def first_dc(bits: Bits, dc: Sequence[Table], slots: Places) -> Places:
    """The upper bits of DC coefficients."""
    words, places, in_order = bits.words, array("q"), slots.tolist()
    for at, bits_end, first_block, next_block in bits.parts:
        for block in range(first_block, next_block):
            places.append(at)
            at += dc[in_order[block]].advance[words[at >> 3] >> 8 - (at & 7) & 0xFFFF]
            if at > bits_end:
                raise too_short()
    return _differences(bits, dc, slots, _places(places))


def next_dc(bits: Bits) -> Places:
    """One more bit of DC coefficients."""
    if any(start + next_block - first_block > end for start, end, first_block, next_block in bits.parts):
        raise too_short()
    blocks = np.arange(bits.count)
    return bits.fields(bits.starts[blocks // bits.length] + blocks % bits.length, 1)


def first_ac(bits: Bits, table: Table, first: int, last: int) -> Found:
    """The upper bits of AC coefficients of so many blocks, those from ``first`` to ``last``."""
    words, advance, step = bits.words, table.advance, table.step
    places, where = array("q"), array("q")
    counts = np.zeros(bits.count, np.int64)
    for at, bits_end, block, next_block in bits.parts:
        while block < next_block:
            place, end, before = 64 * block + first - 1, 64 * block + last, len(places)
            while place < end:
                window = words[at >> 3] >> 8 - (at & 7) & 0xFFFF
                places.append(at)
                at += advance[window]
                place += step[window]
                where.append(place)
            counts[block] = len(places) - before
            # Only a symbol that ends blocks, or damage, which is found below, leads past the last coefficient.
            block += _run(words, at, int(table.symbols[window]) >> 4) if place > end else 1
            if at > bits_end:
                raise too_short()
    found = _found(bits, [table], counts, np.zeros(bits.count, np.int64), _places(places), _places(where))
    if (found.where % 64 > last).any():
        raise damaged("a scan has more coefficients than its header says")
    return found


def next_ac(bits: Bits, table: Table, first: int, last: int, old: Places) -> tuple[Places, Found]:
    """One more bit of AC coefficients: of the old ones, whose places are given in order, and the new ones' signs.

    Each old one that is passed has one bit, in order. So the bits after a symbol are as many as old ones are passed
    before its coefficient, or up to the end of the last block that it ends.
    """
    words, symbols, lengths, j = bits.words, table.symbols.tolist(), table.lengths.tolist(), 0
    passed = [*old.tolist(), 1 << 62]
    starts = np.searchsorted(old, 64 * np.arange(bits.count + 1)).tolist()
    of_old, of_new, where = array("q"), array("q"), array("q")
    for at, bits_end, block, next_block in bits.parts:
        while block < next_block:
            place, end, run = 64 * block + first, 64 * block + last + 1, 1
            while place < end:
                window = words[at >> 3] >> 8 - (at & 7) & 0xFFFF
                zeros, size = symbols[window] >> 4, symbols[window] & 15
                at += lengths[window]
                if size > 1 or not lengths[window]:
                    raise damaged("a scan has bits that are no code")
                if not size and zeros < 15:
                    at += zeros
                    run = min(_run(words, at, zeros), next_block - block)
                    of_old.extend(range(at, at + starts[block + run] - j))
                    at, j = at + starts[block + run] - j, starts[block + run]
                    break
                if size:
                    of_new.append(at)
                    at += 1
                place, before = place + zeros, j
                while passed[j] <= place:
                    place, j = place + 1, j + 1
                if place >= end:
                    raise damaged("a scan has more coefficients than its header says")
                of_old.extend(range(at, at + j - before))
                at += j - before
                if size:
                    where.append(place)
                place += 1
            block += run
            if at > bits_end:
                raise too_short()
    return bits.fields(_places(of_old), 1), Found(_places(where), 2 * bits.fields(_places(of_new), 1) - 1)


def _run(words: memoryview, at: int, size: int) -> int:
    """Blocks that end with a symbol whose bits, so many, end at a place."""
    at -= size
    return (1 << size) + (words[at >> 3] >> 24 - (at & 7) - size & (1 << size) - 1)


def _places(noted: "array[int]") -> Places:
    return np.array(noted, np.int64)
