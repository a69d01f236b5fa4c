"""What the headers of a file say, Annex B of ITU-T T.81, and which files are refused.

What libjpeg only warns of, and what does not change a coefficient, is no error here: bytes between segments, bytes
after the last symbol of a scan, scans of a sequential file that claim to be parts of one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

EOI, SOS, DQT, DHT, DRI = 0xD9, 0xDA, 0xDB, 0xC4, 0xDD
APP0, APP14 = 0xE0, 0xEE
BASELINE, PROGRESSIVE = 0xC0, 0xC2
SEQUENTIAL = (BASELINE, 0xC1)
"""Both with 8 bits and Huffman codes: the second may have more tables."""
RESTARTS = range(0xD0, 0xD8)
PLAIN = (0x01, *RESTARTS)
"""Markers without a segment."""
OTHER_FRAMES = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE, 0xDE), "hierarchical"),
    **dict.fromkeys((0xC9, 0xCA), "arithmetically coded"),
}
START = b"\xff\xd8"
MARKER = re.compile(rb"\xff[^\x00\xff]", re.DOTALL)

Steps = NDArray[np.int64]


class JPEGFileError(ValueError):
    """A file does not hold coefficients that can be read; the message says why."""


def damaged(what: str) -> JPEGFileError:
    """The error of a file that contradicts itself."""
    return JPEGFileError(f"is damaged: {what}")


def cut_short(what: str) -> JPEGFileError:
    """The error of a file that lacks its end."""
    return JPEGFileError(f"is cut short: {what}")


def too_short() -> JPEGFileError:
    """The error of a scan that lacks its end."""
    return cut_short("a scan ends before its last block")


# --- segments ---------------------------------------------------------------------------------------------------------


def segment(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The next marker, the body of its segment, and where that ends; the end marker has none."""
    while found := MARKER.search(data, at):
        marker, at = data[found.end() - 1], found.end()
        if marker == EOI:
            return marker, b"", at
        if marker in PLAIN:
            continue
        length = int.from_bytes(data[at : at + 2], "big")
        if at + max(length, 2) > len(data):
            raise cut_short("it ends within a header")
        if length < 2:
            raise damaged("a header has no length")
        return marker, data[at + 2 : at + length], at + length
    raise cut_short("it has no end marker")


# --- tables -----------------------------------------------------------------------------------------------------------


def quantization_tables(body: bytes) -> Iterator[tuple[int, Steps]]:
    """Tables by index, in zigzag order."""
    while body:
        wide, index = body[0] >> 4, body[0] & 15
        size = 128 if wide else 64
        if len(body) <= size or wide > 1 or index > 3:
            raise damaged("a quantization table is no table")
        yield index, np.frombuffer(body, ">u2" if wide else "u1", 64, 1).astype(np.int64)
        body = body[1 + size :]


def huffman_tables(body: bytes) -> Iterator[tuple[int, bytes]]:
    """Tables by class and index, 0..3 of DC and 16..19 of AC: numbers of codes of 1 to 16 bits, then the symbols."""
    while body:
        size = 17 + sum(body[1:17])
        # Codes of n bits are among 2^n, all ones among them, which no symbol may have.
        left = 1
        for count in body[1:17]:
            left = 2 * left - count
            if left < 0:
                break
        if len(body) < size or left < 0 or body[0] & 0xEC or size > 17 + 256:
            raise damaged("a Huffman table is no table")
        yield body[0], body[1:size]
        body = body[size:]


# --- frame ------------------------------------------------------------------------------------------------------------


@dataclass
class Component:
    """A component, and what has been read of it."""

    name: int
    sampling: tuple[int, int]
    """Rows and columns of its blocks in a group of the frame."""
    table: int
    size: tuple[int, int] = (0, 0)
    """Rows and columns of its blocks."""
    stored: tuple[int, int] = (0, 0)
    """The same with the dummies that complete groups."""
    blocks: NDArray[np.int16] = field(default_factory=lambda: np.zeros((0, 64), np.int16))
    """All that are stored, row by row, in zigzag order."""
    steps: Steps | None = None
    """In zigzag order; None before its first scan."""
    known: NDArray[np.int64] = field(default_factory=lambda: np.full(64, -1))
    """The lowest bit of each coefficient that has been read; -1 where none has."""


class Frame(NamedTuple):
    """What a frame header says."""

    progressive: bool
    size: tuple[int, int]
    groups: tuple[int, int]
    """Rows and columns of groups, which are the MCUs of interleaved scans."""
    components: tuple[Component, ...]


def frame(marker: int, body: bytes) -> Frame:
    """A frame header, with components whose blocks are still missing."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise damaged("its frame header has another length than it says")
    precision, height, width, count = (
        body[0], int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big"), body[5],
    )  # fmt: skip
    if precision != 8:
        raise JPEGFileError(f"has {precision} bits per sample, not 8")
    if not height or not width:
        raise JPEGFileError(f"has no {'width' if height else 'height in its frame header'}")
    if count not in (1, 3):
        kind = "CMYK or YCCK" if count == 4 else "neither gray nor YCbCr"
        raise JPEGFileError(f"has {count} components, so it is {kind}")
    components = tuple(
        Component(name, (both & 15, both >> 4), table)
        for name, both, table in zip(body[6::3], body[7::3], body[8::3], strict=True)
    )
    if len({component.name for component in components}) != count:
        raise damaged("two components have the same name")
    if not all(1 <= factor <= 4 for component in components for factor in component.sampling):
        raise damaged("a sampling factor is not within 1..4")
    high, wide = (max(component.sampling[axis] for component in components) for axis in (0, 1))
    groups = (-(-height // (8 * high)), -(-width // (8 * wide)))
    for component in components:
        rows, columns = component.sampling
        component.size = (-(-height * rows // (8 * high)), -(-width * columns // (8 * wide)))
        component.stored = component.size if count == 1 else (groups[0] * rows, groups[1] * columns)
    return Frame(marker == PROGRESSIVE, (height, width), groups, components)


def is_rgb(names: tuple[int, ...], jfif: bool, adobe: int | None) -> bool:
    """Whether libjpeg takes three components for RGB: JFIF never has it, Adobe says so, else names do."""
    if jfif:
        return False
    return adobe == 0 if adobe is not None else names == tuple(b"RGB")


# --- scans ------------------------------------------------------------------------------------------------------------


class Scan(NamedTuple):
    """What a scan header says."""

    components: tuple[Component, ...]
    tables: tuple[tuple[int, int], ...]
    """The Huffman tables of DC and of AC of each."""
    first: int
    last: int
    """The coefficients, in zigzag order."""
    above: int
    """The lowest bit of them that had been read; 0 where none was."""
    bit: int
    """The lowest bit of them that this scan has."""


def scan(frame: Frame, body: bytes) -> Scan:
    """A scan header that fits the frame and the scans before it, whose effect on `Component.known` it has."""
    if not body or len(body) != 4 + 2 * body[0]:
        raise damaged("a scan header has another length than it says")
    by_name = {component.name: component for component in frame.components}
    names = body[1:-3:2]
    if not set(names) <= by_name.keys() or len(set(names)) != len(names) or not names:
        raise damaged("a scan has components that the frame has not")
    components = tuple(by_name[name] for name in names)
    tables = tuple((both >> 4, 16 + (both & 15)) for both in body[2:-3:2])
    first, last, above, bit = (*body[-3:-1], body[-1] >> 4, body[-1] & 15) if frame.progressive else (0, 63, 0, 0)
    if frame.progressive and not (
        first <= last < 64 and (last == 0 if first == 0 else len(names) == 1) and bit < 14 and above in (0, bit + 1)
    ):
        raise damaged("a scan header says what no progressive file has")
    for component in components:
        known = component.known[first : last + 1]
        if not (known == (above or -1)).all():
            raise damaged("a scan repeats or skips bits of coefficients")
        known[:] = bit
    return Scan(components, tables, first, last, above, bit)
