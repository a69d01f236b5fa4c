"""Numbers over all images of a study."""

import warnings
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from pyjpegdiff.study.measurement import Measurement

T = TypeVar("T")
CURVES = {"psnr": "PSNR in dB", "ssim": "SSIM", "psnr_b": "PSNR-B in dB"}
BITS = {
    "luma_dc_bits": "luma DC",
    "luma_ac_bits": "luma AC",
    "chroma_dc_bits": "chroma DC",
    "chroma_ac_bits": "chroma AC",
}
TINY = 64 * 64
"""Images of fewer pixels, whose bits are mostly those of headers, do not stretch the axes if there are others."""

Curves = dict[str, list[Measurement]]
"""Measurements of each image; the keys are the image names to show."""


def tiny(measurements: Sequence[Measurement]) -> bool:
    """Whether an image has so few pixels that its file is mostly headers."""
    return 8 * measurements[0].file_bytes < TINY * measurements[0].bits_per_pixel


def medians(curves: Curves, key: str) -> list[float]:
    """The median over all images at each quality; NaN where no image has a value."""
    with warnings.catch_warnings():
        # Where no value is there, NaN is the right median; the mean of two infinite ones is right, too.
        warnings.simplefilter("ignore", RuntimeWarning)
        table = np.array([[getattr(m, key) for m in measurements] for measurements in curves.values()])
        return [float(value) for value in np.nanmedian(table, axis=0)]


def summary(curves: Curves) -> list[dict[str, float]]:
    """The medians of all measures, one dict per quality."""
    found = {key: medians(curves, key) for key in ("quality", "bits_per_pixel", *CURVES)}
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def bits(curves: Curves) -> list[dict[str, float]]:
    """One dict per quality: the mean over images of each part's share of the bits, and the median of ``rd_slope``."""
    counts = np.array([[[getattr(m, key) for key in BITS] for m in measurements] for measurements in curves.values()])
    shares = (counts / counts.sum(axis=-1, keepdims=True)).mean(axis=0)
    found = {"quality": medians(curves, "quality"), **dict(zip(BITS, shares.T, strict=True)),
             "rd_slope": medians(curves, "rd_slope")}  # fmt: skip
    return [dict(zip(found, map(float, row), strict=True)) for row in zip(*found.values(), strict=True)]


def spread(values: Sequence[T], count: int) -> list[T]:
    """Some of the values, from first to last, as evenly spaced as possible."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]
