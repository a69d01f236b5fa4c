"""Batches of photo content at any size, and the sizes to measure."""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.float32]


@dataclass(frozen=True)
class Size:
    """A batch of ``count`` square images."""

    name: str
    count: int
    edge: int

    @property
    def pixels(self) -> int:
        """Pixels of the whole batch."""
        return self.count * self.edge**2

    @property
    def label(self) -> str:
        """A name to show."""
        return f"{self.edge}x{self.edge}" if self.count == 1 else f"{self.count} of {self.edge}x{self.edge}"

    @property
    def huge(self) -> bool:
        """Whether only contestants with ``takes_huge`` take part."""
        return self.edge > 4096


# The first two have the same number of pixels, so they show the cost of many small images relative to a single one.
SIZES = {
    size.name: size
    for size in (
        Size("64", 64, 64),
        Size("512", 1, 512),
        Size("1024", 1, 1024),
        Size("2048", 1, 2048),
        Size("8192", 1, 8192),
    )
}


@functools.cache
def _photo() -> NDArray[np.uint8]:
    from skimage import data

    photo: NDArray[np.uint8] = data.astronaut()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.moveaxis(photo, -1, 0))


def sheet(height: int, width: int) -> Batch:
    """One image (3, height, width) from a photo, mirrored at each border, because a jump would not look like a photo.

    Filled tile by tile: temporary arrays as large as the image would change the measured memory.
    """
    photo = _photo()
    _, high, wide = photo.shape
    filled = np.empty((3, height, width), np.float32)
    for row, y in enumerate(range(0, height, high)):
        for column, x in enumerate(range(0, width, wide)):
            target = filled[:, y : y + high, x : x + wide]
            tile = photo[:, :: -1 if row % 2 else 1, :: -1 if column % 2 else 1]
            target[...] = tile[:, : target.shape[1], : target.shape[2]]
    return filled


def batch(size: Size) -> Batch:
    """Images (count, 3, edge, edge) with pixel values 0..255: neighboring crops of one sheet."""
    if size.count == 1:
        return sheet(size.edge, size.edge)[np.newaxis]
    across = math.isqrt(size.count - 1) + 1
    down = -(-size.count // across)
    cut = sheet(down * size.edge, across * size.edge).reshape(3, down, size.edge, across, size.edge)
    crops = cut.transpose(1, 3, 0, 2, 4).reshape(-1, 3, size.edge, size.edge)
    return np.ascontiguousarray(crops[: size.count])
