"""Rate and distortion of real files, and how many bytes one curve saves over another."""

import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

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


def saving(before: Sequence[Any], after: Sequence[Any], measure: str) -> Saving:
    r"""The Bjontegaard delta rate of a curve with respect to another.

    The mean, over the range of quality that both have, of the logarithm of the size over quality, interpolated by
    monotone cubics (PCHIP). Points have a ``size`` and the measure as an attribute; for ``"ssim"`` quality is
    :math:`-10 \log_{10} (1 - \mathrm{SSIM})`. Source: Bjontegaard, *Calculation of average PSNR differences between
    RD-curves*, VCEG-M33, 2001.

    Examples
    --------
    >>> before = [Point(100, 30.0, 0.8), Point(200, 35.0, 0.9), Point(400, 40.0, 0.95)]
    >>> after = [point._replace(size=point.size // 2) for point in before]
    >>> round(saving(before, after, "psnr").rate, 6)
    -0.5
    """
    first, second = _curve(before, measure), _curve(after, measure)
    (low, *_, high), (lowest, *_, highest) = first.x, second.x
    start, stop = max(low, lowest), min(high, highest)
    if start >= stop:
        return Saving(math.nan, 0.0)
    change = (second.integrate(start, stop) - first.integrate(start, stop)) / (stop - start)
    return Saving(math.expm1(change), float((stop - start) / (high - low)))


def size_at(points: Sequence[Point], like: Point, measure: str) -> float:
    """The size that a curve has at the quality of another file, in bytes; NaN where it does not reach that.

    Examples
    --------
    >>> size_at([Point(100, 30.0, 0.8), Point(400, 40.0, 0.95)], Point(300, 35.0, 0.9), "psnr")
    200.0
    """
    return round(float(np.exp(_curve(points, measure)(_quality(like, measure)))), 6)


def _quality(point: Any, measure: str) -> float:
    value = float(getattr(point, measure))
    if measure != "ssim":
        return value
    return -10 * math.log10(1 - value) if value < 1 else math.inf


def _curve(points: Sequence[Any], measure: str) -> Any:
    """The logarithm of the size over the quality, which are finite."""
    from scipy.interpolate import PchipInterpolator

    smallest: dict[float, float] = {}  # two settings may reach the same quality: the smaller file counts
    for point in points:
        quality = _quality(point, measure)
        if math.isfinite(quality):
            smallest[quality] = min(smallest.get(quality, math.inf), math.log(point.size))
    if len(smallest) < 2:
        raise ValueError(f"points must have at least two finite values of {measure}, got {sorted(smallest)}")
    return PchipInterpolator(*zip(*sorted(smallest.items()), strict=True), extrapolate=False)
