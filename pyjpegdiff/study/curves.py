"""Rate and distortion of real files, and how many bytes one curve saves over another."""

import io
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from pyjpegdiff.study.measures import psnr, similarity

MEASURES = ("psnr", "ssim")
SAMPLING_OF_PILLOW = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


class Point(NamedTuple):
    """A file: its size in bytes, and the quality of what is read back from it."""

    size: int
    psnr: float
    ssim: float


class Saving(NamedTuple):
    """The Bjontegaard delta rate."""

    rate: float
    """The mean change of size at equal quality, -0.1 for ten percent less."""
    covered: float
    """The share of the first curve's range of quality in which the other one is known, too."""


def steps_at(table: ArrayLike, quality: int) -> NDArray[np.int64]:
    """The steps that libjpeg makes of a table at a whole quality."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip((np.asarray(table, np.int64) * scale + 50) // 100, 1, 255)


def point(image: NDArray[np.uint8], tables: Sequence[ArrayLike], subsampling: str = "4:2:0") -> Point:
    """What Pillow makes of an image by steps of luma and chroma, with optimized Huffman tables."""
    file = io.BytesIO()
    steps = [np.ravel(table).tolist() for table in tables]
    sampling = {} if image.ndim == 2 else {"subsampling": SAMPLING_OF_PILLOW[subsampling]}
    Image.fromarray(image).save(file, "JPEG", qtables=steps[: 1 if image.ndim == 2 else 2], optimize=True, **sampling)
    with Image.open(file) as read:
        decoded = np.asarray(read)
    return Point(len(file.getvalue()), psnr(image, decoded), similarity(image, decoded))


def saving(before: Sequence[Point], after: Sequence[Point], measure: str) -> Saving:
    r"""The Bjontegaard delta rate of a curve with respect to another.

    The mean, over the range of quality that both have, of the logarithm of the size over quality, interpolated by
    monotone cubics (PCHIP). Quality is PSNR, or :math:`-10 \log_{10} (1 - \mathrm{SSIM})`. Source: Bjontegaard,
    *Calculation of average PSNR differences between RD-curves*, VCEG-M33, 2001.

    Examples
    --------
    >>> before = [Point(100, 30.0, 0.8), Point(200, 35.0, 0.9), Point(400, 40.0, 0.95)]
    >>> after = [point._replace(size=point.size // 2) for point in before]
    >>> saving(before, after, "psnr")
    Saving(rate=-0.5, covered=1.0)
    """
    (first, low, high), (second, lowest, highest) = (_curve(points, measure) for points in (before, after))
    start, stop = max(low, lowest), min(high, highest)
    if start >= stop:
        return Saving(math.nan, 0.0)
    change = (second(start, stop) - first(start, stop)) / (stop - start)
    return Saving(math.expm1(change), (stop - start) / (high - low))


def _curve(points: Sequence[Point], measure: str) -> tuple[Callable[[float, float], float], float, float]:
    """The integral of the logarithm of the size between two qualities; the range of quality."""
    from scipy.interpolate import PchipInterpolator

    qualities = np.array([getattr(point, measure) for point in points])
    if measure == "ssim":
        qualities = -10 * np.log10(1 - qualities)
    sizes = np.log([point.size for point in points])
    # Two settings may reach the same quality: the smaller file counts.
    order = np.lexsort((sizes, qualities))
    qualities, sizes = qualities[order], sizes[order]
    kept = np.concatenate([[True], np.diff(qualities) > 1e-9]) & np.isfinite(qualities)
    curve = PchipInterpolator(qualities[kept], sizes[kept])
    integral = curve.integrate
    return lambda start, stop: float(integral(start, stop)), float(qualities[kept][0]), float(qualities[kept][-1])
