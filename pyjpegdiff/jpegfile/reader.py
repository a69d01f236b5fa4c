"""Reading coefficients from a file of any kind that libjpeg decodes to gray or YCbCr, ITU-T T.81."""

import re

import numpy as np
from numpy.typing import NDArray

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.jpegfile import headers, symbols
from pyjpegdiff.jpegfile.headers import (
    MARKER,
    Component,
    Frame,
    JPEGFileError,
    Scan,
    Steps,
    cut_short,
    damaged,
    too_short,
)
from pyjpegdiff.jpegfile.symbols import Bits, Found, Places, Table
from pyjpegdiff.results import Coefficients
from pyjpegdiff.stages.entropy import BACK, LARGEST_AC

LARGEST_DC = 32767
"""What libjpeg has room for; a file has differences, and no bound of its own."""
STUFFED = re.compile(rb"\xff+\x00")


def read(data: bytes) -> Coefficients:
    """The coefficients of a file; raises `JPEGFileError`."""
    if not data.startswith(headers.START):
        raise JPEGFileError("is not a JPEG file")
    reader, at = Reader(data), len(headers.START)
    while True:
        marker, body, at = headers.segment(data, at)
        if marker == headers.EOI:
            return reader.coefficients()
        at = reader.take(marker, body, at)


class Reader:
    """What has been read of a file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.frame: Frame | None = None
        self.steps: dict[int, Steps] = {}
        self.codes: dict[int, bytes] = {}
        self.interval = 0
        self.jfif = False
        self.adobe: int | None = None

    def take(self, marker: int, body: bytes, end: int) -> int:
        """Read a segment; return where it ends, with the scan that follows it."""
        if marker == headers.SOS:
            return self.take_scan(body, end)
        if marker == headers.DQT:
            self.steps.update(headers.quantization_tables(body))
        elif marker == headers.DHT:
            self.codes.update(headers.huffman_tables(body))
        elif marker == headers.DRI:
            self.interval = int.from_bytes(body, "big")
        elif marker == headers.APP0 and body.startswith(b"JFIF\0") and len(body) >= 14:
            self.jfif = True
        elif marker == headers.APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            self.adobe = body[11]
        elif marker in headers.OTHER_FRAMES:
            raise JPEGFileError(f"is {headers.OTHER_FRAMES[marker]}, neither baseline nor progressive")
        elif marker in (*headers.SEQUENTIAL, headers.PROGRESSIVE):
            if self.frame is not None:
                raise damaged("it has two frames")
            self.frame = headers.frame(marker, body)
        return end

    # --- scans --------------------------------------------------------------------------------------------------------

    def take_scan(self, body: bytes, start: int) -> int:
        """Read a scan; return where it ends."""
        if self.frame is None:
            raise damaged("a scan comes before the frame header")
        if not self.frame.components[0].blocks.size:
            self.begin(self.frame)
        scan = headers.scan(self.frame, body)
        for component in scan.components:
            if component.steps is None:
                if component.table not in self.steps:
                    raise damaged("a quantization table is missing")
                component.steps = self.steps[component.table]
        order, slots, groups = order_of(self.frame, scan)
        parts, end = self.parts(start)
        per_group = len(order) // groups
        length = (self.interval or groups) * per_group
        needed = -(-len(order) // length)
        if len(parts) < needed:
            raise too_short()
        decode(Bits(parts[:needed], len(order), length), scan, self.tables_of(scan), order, slots)
        return end

    def begin(self, frame: Frame) -> None:
        """Make the blocks, of a file that is fit to hold them."""
        names = tuple([component.name for component in frame.components])
        if len(names) == 3 and headers.is_rgb(names, self.jfif, self.adobe):
            raise JPEGFileError("holds RGB, not YCbCr")
        subsampling(frame)
        # DC takes a bit of each block at least, whatever the kind of file.
        if sum(rows * columns for rows, columns in (each.size for each in frame.components)) > 8 * len(self.data):
            raise cut_short(f"it is too small to hold an image of {frame.size[1]} x {frame.size[0]} pixels")
        for component in frame.components:
            component.blocks = np.zeros((component.stored[0] * component.stored[1], 64), np.int16)

    def parts(self, start: int) -> tuple[list[bytes], int]:
        """What lies between the restart markers of a scan, without stuffed bytes, and where it ends."""
        found = []
        at = start
        while marker := MARKER.search(self.data, at):
            # More bytes of ones may stand before any marker; as data, they would be followed by zeros.
            found.append(STUFFED.sub(b"\xff", self.data[at : marker.start()].rstrip(b"\xff")))
            if self.data[marker.end() - 1] not in headers.RESTARTS:
                return found, marker.start()
            if self.data[marker.end() - 1] != headers.RESTARTS[(len(found) - 1) % 8]:
                raise damaged("restart markers are out of order")
            at = marker.end()
        raise cut_short("it has no end marker")

    def tables_of(self, scan: Scan) -> tuple[list[Table], list[Table]]:
        """The tables of DC and of AC of the scan's components, where the scan needs them."""
        progressive = self.frame is not None and self.frame.progressive
        needed = (scan.first == 0 and not scan.above, scan.last > 0)
        made: dict[int, Table] = {}
        for chosen in scan.tables:
            for name, kind, is_needed in zip(
                chosen, ("dc", "progressive" if progressive else "ac"), needed, strict=True
            ):
                if is_needed and name not in made:
                    if name not in self.codes:
                        raise damaged("a Huffman table is missing")
                    made[name] = Table(self.codes[name], kind)
        dc, ac = ([made[name] for name in names if name in made] for names in zip(*scan.tables, strict=True))
        return dc, ac

    # --- the result ---------------------------------------------------------------------------------------------------

    def coefficients(self) -> Coefficients:
        """What the file holds, which must be all of it."""
        frame = self.frame
        if frame is None:
            raise damaged("it has no frame header")
        if any(component.known.any() for component in frame.components):
            raise cut_short("scans of some coefficients are missing")
        steps = [steps_of(component) for component in frame.components]
        if len(steps) == 3 and (steps[1] != steps[2]).any():
            raise JPEGFileError("has different quantization tables for Cb and Cr")
        y, cb, cr = (*map(blocks_of, frame.components), None, None)[:3]
        return Coefficients(y, cb, cr, steps[0], steps[1] if len(steps) == 3 else None, frame.size, subsampling(frame))


# --- parts ------------------------------------------------------------------------------------------------------------


def subsampling(frame: Frame) -> str | None:
    """Its name; None for gray."""
    if len(frame.components) == 1:
        return None
    y, cb, cr = (component.sampling for component in frame.components)
    found = {name: factors for name, factors in SAMPLINGS.items() if (cb[0] * factors[0], cb[1] * factors[1]) == y}
    if cb != cr or not found:
        factors = ", ".join(f"{columns}x{rows}" for rows, columns in (y, cb, cr))
        raise JPEGFileError(f"has sampling factors {factors}; what can be read is {', '.join(SAMPLINGS)}")
    return next(iter(found))


def order_of(frame: Frame, scan: Scan) -> tuple[Places, Places, int]:
    """The blocks of a scan in order, the component of each by its place in the scan, and the number of groups."""
    if len(scan.components) == 1:
        (component,) = scan.components
        (rows, columns), (_, stored) = component.size, component.stored
        order = (np.arange(rows)[:, None] * stored + np.arange(columns)).ravel()
        return order, np.zeros_like(order), len(order)
    down, across = frame.groups
    orders = []
    for component in scan.components:
        rows, columns = component.sampling
        grid = np.arange(component.stored[0] * component.stored[1]).reshape(down, rows, across, columns)
        orders.append(grid.swapaxes(1, 2).reshape(down * across, rows * columns))
    slots = np.repeat(np.arange(len(orders)), [order.shape[1] for order in orders])
    return np.concatenate(orders, axis=1).ravel(), np.tile(slots, down * across), down * across


def decode(bits: Bits, scan: Scan, tables: tuple[list[Table], list[Table]], order: Places, slots: Places) -> None:
    """Put what a scan holds into the blocks of its components."""
    (dc, ac), component = tables, scan.components[0]
    if scan.first == 0 and scan.above:
        new = symbols.next_dc(bits)
        for slot, component in enumerate(scan.components):
            component.blocks[order[slots == slot], 0] |= (new[slots == slot] << scan.bit).astype(np.int16)
    elif scan.first == 0:
        found = None
        if scan.last:
            of_dc, found = symbols.sequential(bits, dc, ac, slots)
        else:
            of_dc = symbols.first_dc(bits, dc, slots)
        for slot, component in enumerate(scan.components):
            chosen = slots == slot
            put(component, order[chosen], np.zeros(1, int), of_dc[chosen] << scan.bit, LARGEST_DC)
        if found is not None:
            put_found(scan, order, slots, found)
    elif scan.above:
        band = component.blocks[order, scan.first : scan.last + 1]
        blocks, at = np.nonzero(band)
        old = 64 * blocks + scan.first + at
        more, found = symbols.next_ac(bits, ac[0], scan.first, scan.last, old)
        values = component.blocks[order[blocks], scan.first + at].astype(np.int64)
        put(component, order[blocks], scan.first + at, values + np.sign(values) * (more << scan.bit), LARGEST_AC)
        put_found(scan, order, slots, found)
    else:
        put_found(scan, order, slots, symbols.first_ac(bits, ac[0], scan.first, scan.last))


def put_found(scan: Scan, order: Places, slots: Places, found: Found) -> None:
    """Store AC coefficients of a scan."""
    blocks, at = found.where // 64, found.where % 64
    for slot, component in enumerate(scan.components):
        chosen = slots[blocks] == slot
        put(component, order[blocks[chosen]], at[chosen], found.values[chosen] << scan.bit, LARGEST_AC)


def put(component: Component, blocks: Places, at: Places, values: Places, largest: int) -> None:
    """Store coefficients."""
    if np.abs(values).max(initial=0) > largest:
        raise damaged(f"a coefficient lies beyond -{largest}..{largest}")
    component.blocks[blocks, at] = values


def blocks_of(component: Component) -> NDArray[np.float32]:
    """Blocks as `Coefficients` have them."""
    (rows, columns), stored = component.size, component.stored
    blocks = component.blocks.reshape(*stored, 64)[:rows, :columns]
    return blocks[..., list(BACK)].astype(np.float32).reshape(rows, columns, 8, 8)


def steps_of(component: Component) -> NDArray[np.float32]:
    """Step sizes as `Coefficients` have them."""
    assert component.steps is not None, "its scans have been read"
    if component.steps.max() > 255:
        raise JPEGFileError(f"has step sizes of 16 bits, up to {component.steps.max()}; baseline files end at 255")
    if not component.steps.all():
        raise damaged("it has step sizes of zero")
    return component.steps[list(BACK)].astype(np.float32).reshape(8, 8)
