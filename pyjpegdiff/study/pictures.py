"""Pictures of an image before and after JPEG: the whole, the most detailed window, and the worst blocks."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyjpegdiff.stages.dct import BLOCK
from pyjpegdiff.study.coding import round_trip
from pyjpegdiff.study.files import Pixels
from pyjpegdiff.study.settings import Settings

CONTEXT = 3 * BLOCK
WORST = 6


class Window(NamedTuple):
    """A rectangle of pixels."""

    top: int
    left: int
    height: int
    width: int

    def cut(self, image: NDArray[Any]) -> NDArray[Any]:
        """The part of an image inside this window."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


class WorstBlock(NamedTuple):
    """A block with its surroundings, before and after, as PNG files."""

    block: Window
    around: Window
    rms: float
    """Root mean squared error of the block, in pixel values."""
    before: bytes
    after: bytes


class Pictures(NamedTuple):
    """The pictures of one image, as PNG files."""

    whole: bytes
    window: Window
    before: bytes
    after: dict[int, bytes]
    """The window at each quality."""
    worst_quality: int
    worst: list[WorstBlock]


def picture(image: Pixels, qualities: Sequence[int], worst_quality: int, settings: Settings) -> Pictures:
    """The pictures of an image at several qualities, and of its worst blocks at ``worst_quality``."""
    window = detail(image, 128)
    results = {quality: round_trip(image, quality, settings) for quality in {*qualities, worst_quality}}
    after = {quality: png(window.cut(results[quality])) for quality in qualities}
    worst = worst_blocks(image, results[worst_quality])
    return Pictures(png(shrink(image, 480)), window, png(window.cut(image)), after, worst_quality, worst)


def png(image: NDArray[Any]) -> bytes:
    """The image as a PNG file: a second JPEG compression would add artifacts to those that are to be shown."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(file, "PNG", optimize=True)
    return file.getvalue()


def shrink(image: NDArray[Any], longest: int = 1024) -> NDArray[Any]:
    """The image reduced to the resolution of a drawing, by means of pixels."""
    factor = max(1.0, max(image.shape[:2]) / longest)
    height, width = (max(1, round(length / factor)) for length in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def detail(image: Pixels, side: int = 96) -> Window:
    """The window with the most edges; windows near the middle of the image are preferred."""
    luma = image if image.ndim == 2 else image.mean(axis=-1)
    luma = luma.astype(np.float32)
    height, width = (min(side, length) for length in luma.shape)
    edges = abs(np.diff(luma, axis=0, append=luma[-1:])) + abs(np.diff(luma, axis=1, append=luma[:, -1:]))
    sums = np.pad(edges.cumsum(0, np.float64).cumsum(1), ((1, 0), (1, 0)))
    sums = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.ogrid[-1 : 1 : 1j * sums.shape[0], -1 : 1 : 1j * sums.shape[1]]
    top, left = np.unravel_index(np.argmax(sums * (1 - 0.4 * (x**2 + y**2))), sums.shape)
    return Window(int(top), int(left), height, width)


def worst_blocks(image: Pixels, result: Pixels, count: int = WORST) -> list[WorstBlock]:
    """The 8x8 blocks with the greatest mean squared error, worst first; none lies in the surroundings of another."""
    height, width = image.shape[:2]
    error = (result.astype(np.float32) - image) ** 2
    error = error if error.ndim == 2 else error.mean(axis=-1)
    starts = [np.arange(0, length, BLOCK) for length in (height, width)]
    sums = np.add.reduceat(np.add.reduceat(error, starts[0], axis=0), starts[1], axis=1)
    high, wide = (np.minimum(BLOCK, length - start) for length, start in zip((height, width), starts, strict=True))
    means = sums / (high[:, np.newaxis] * wide)
    found: list[WorstBlock] = []
    while len(found) < count and means.max() > 0:
        row, column = (int(at) for at in np.unravel_index(np.argmax(means), means.shape))
        block = Window(row * BLOCK, column * BLOCK, int(high[row]), int(wide[column]))
        around = _around(block, height, width)
        rms = float(np.sqrt(means[row, column]))
        found.append(WorstBlock(block, around, rms, png(around.cut(image)), png(around.cut(result))))
        means[max(0, row - 2) : row + 3, max(0, column - 2) : column + 3] = 0
    return found


def _around(block: Window, height: int, width: int) -> Window:
    """The block with the blocks around it; moved where a part would lie outside the image."""
    high, wide = min(CONTEXT, height), min(CONTEXT, width)
    top = min(max(0, block.top - BLOCK), height - high)
    left = min(max(0, block.left - BLOCK), width - wide)
    return Window(top, left, high, wide)
