"""Distances between images, and the frequencies at which they differ."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.stages.dct import BLOCK, dct, to_blocks

Pixels = NDArray[np.uint8]
Table = NDArray[np.float64]
SSIM_WINDOW = 7
BAND = 128
"""Rows compared by SSIM at once: for a whole image it would need a hundred times the memory of the image."""


def decibels(squared_error: float) -> float:
    """PSNR of a mean squared error; infinite for zero."""
    return 10 * math.log10(255**2 / squared_error) if squared_error > 0 else math.inf


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio of two images in dB, infinite for equal ones."""
    return decibels(mean_squared_error(a, b))


def mean_squared_error(a: NDArray[Any], b: NDArray[Any]) -> float:
    """The mean of the squared differences of two images."""
    return float(np.square(a.astype(np.float64) - b).mean())


def similarity(a: Pixels, b: Pixels) -> float:
    """SSIM; NaN where its window does not fit into the image.

    SSIM is a mean over all positions of the window, so it can be computed band by band. Neighboring bands overlap by
    one row less than the height of a window.
    """
    if min(a.shape[:2]) < SSIM_WINDOW:
        return math.nan
    places = a.shape[0] - SSIM_WINDOW + 1
    options: dict[str, Any] = {"win_size": SSIM_WINDOW, "channel_axis": None if a.ndim == 2 else -1, "data_range": 255}
    total = 0.0
    for start in range(0, places, BAND):
        stop = min(places, start + BAND)
        band = slice(start, stop + SSIM_WINDOW - 1)
        total += (stop - start) * structural_similarity(a[band], b[band], **options)  # type: ignore[no-untyped-call]
    return float(total / places)


def blocking_effect(image: NDArray[Any]) -> float:
    """The factor that PSNR-B adds to the mean squared error (see `study`), for (H, W) or (H, W, channels)."""
    if image.ndim == 3:
        return float(np.mean([blocking_effect(image[..., channel]) for channel in range(image.shape[-1])]))
    sums, counts = np.zeros(2), np.zeros(2)
    for plane in (image.astype(np.float64), image.T.astype(np.float64)):
        squares = np.square(np.diff(plane, axis=0)).sum(axis=1)
        edges = squares[BLOCK - 1 :: BLOCK]
        sums += edges.sum(), squares.sum() - edges.sum()
        counts += plane.shape[1] * edges.size, plane.shape[1] * (squares.size - edges.size)
    if not counts.all():
        return 0.0
    at_edges, elsewhere = sums / counts
    eta = math.log(BLOCK) / math.log(max(BLOCK, min(image.shape)))
    return float(eta * max(0.0, at_edges - elsewhere))


def frequency_energy(error: NDArray[np.float64]) -> Table:
    """Energy of a plane (H, W) at each DCT frequency; outside its border the plane counts as zero."""
    padded = np.pad(error, [(0, -length % BLOCK) for length in error.shape])
    blocks: Any = to_blocks(xp, dct(xp, padded))
    return np.asarray(np.square(blocks).sum((0, 1)))
