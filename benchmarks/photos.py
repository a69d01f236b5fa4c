"""Batches of photo content at any size."""

import functools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Batch = NDArray[np.float32]


class Size(NamedTuple):
    """A batch of ``images`` square images."""

    images: int
    edge: int

    @property
    def pixels(self) -> int:
        """Pixels of the whole batch."""
        return self.images * self.edge**2

    @property
    def label(self) -> str:
        """A name to show, and the key in a report."""
        return f"{f'{self.images} of ' if self.images > 1 else ''}{self.edge}x{self.edge}"


@functools.cache
def _photo() -> Batch:
    from skimage import data

    photo = data.astronaut()  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(np.moveaxis(photo, -1, 0), np.float32)


def batch(size: Size) -> Batch:
    """Images (count, 3, edge, edge) with pixel values 0..255: neighboring crops of a photo.

    The photo is mirrored at its borders, because a jump would not look like a photo.
    """
    count, edge = size
    across = math.isqrt(count - 1) + 1
    photo = _photo()
    more = max(0, across * edge - photo.shape[-1])
    sheet = np.pad(photo, ((0, 0), (0, more), (0, more)), mode="symmetric")[:, : across * edge, : across * edge]
    tiles = sheet.reshape(3, across, edge, across, edge).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(tiles.reshape(-1, 3, edge, edge)[:count])


def pixels(images: Batch) -> NDArray[np.uint8]:
    """The same images as files have them: uint8, (count, edge, edge, 3)."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1).astype(np.uint8))
