"""Published tables, to compare learned ones with: facts about other encoders, each with its source."""

import numpy as np
from numpy.typing import NDArray

from pyjpegdiff.study.curves import steps_at
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Steps = tuple[NDArray[np.int64], NDArray[np.int64]]

MOZJPEG = (
    (16, 16, 16, 18, 25, 37, 56, 85),
    (16, 17, 20, 27, 34, 40, 53, 75),
    (16, 20, 24, 31, 43, 62, 91, 135),
    (18, 27, 31, 40, 53, 74, 106, 156),
    (25, 34, 43, 53, 69, 94, 131, 189),
    (37, 40, 62, 74, 94, 124, 169, 238),
    (56, 53, 91, 106, 131, 169, 226, 311),
    (85, 75, 135, 156, 189, 238, 311, 418),
)
"""Luma and chroma of mozjpeg's default, number 3 of ``-quant-table``, by N. Robidoux (jcparam.c)."""

JPEGLI_LUMA = (
    (2.631, 3.656, 6.2, 5.97, 7.088, 7.351, 8.152, 8.213),
    (3.656, 4.442, 6.04, 5.74, 7.303, 6.72, 8.543, 8.565),
    (6.2, 6.04, 6.28, 7.187, 7.682, 8.287, 7.976, 8.993),
    (5.97, 5.74, 7.187, 7.174, 8.846, 10.2, 10.15, 9.776),
    (7.088, 7.303, 7.682, 8.846, 9.72, 10.45, 11.83, 11.64),
    (7.351, 6.72, 8.287, 10.2, 10.45, 11.54, 10.81, 12.92),
    (8.152, 8.543, 7.976, 10.15, 11.83, 10.81, 11.54, 11.47),
    (8.213, 8.565, 8.993, 9.776, 11.64, 12.92, 11.47, 9.292),
)
"""Steps of jpegli at distance 1 for 4:2:0, before rounding (lib/jpegli/quant.cc: matrix times both global scales)."""
JPEGLI_CHROMA = (
    (2.538, 3.063, 5.429, 4.657, 5.696, 5.272, 6.268, 6.75),
    (3.063, 4.166, 5.202, 4.254, 5.226, 4.642, 5.89, 6.127),
    (5.429, 5.202, 5.245, 4.758, 5.083, 5.48, 5.639, 6.418),
    (4.657, 4.254, 4.758, 4.489, 5.761, 5.758, 6.299, 6.814),
    (5.696, 5.226, 5.083, 5.761, 4.467, 6.838, 5.213, 6.556),
    (5.272, 4.642, 5.48, 5.758, 6.838, 5.868, 6.745, 9.9),
    (6.268, 5.89, 5.639, 6.299, 5.213, 6.745, 10.7, 9.783),
    (6.75, 6.127, 6.418, 6.814, 6.556, 9.9, 9.783, 82.13),
)
"""Likewise, times its factors for 4:2:0; without more options both components have the table of Cr."""
JPEGLI_EXPONENTS = (
    (1, 0.51, 0.67, 0.74, 1, 1, 1, 1),
    (0.51, 0.66, 0.69, 0.87, 1, 1, 1, 1),
    (0.67, 0.69, 0.84, 0.83, 0.96, 1, 1, 1),
    (0.74, 0.87, 0.83, 1, 1, 0.91, 0.91, 1),
    (1, 1, 0.96, 1, 1, 1, 1, 1),
    (1, 1, 1, 0.91, 1, 1, 1, 1),
    (1, 1, 1, 0.91, 1, 1, 1, 1),
    (1, 1, 1, 1, 1, 1, 1, 1),
)
"""Steps grow by this power of the distance beyond 1.5."""


def annex_k(quality: int) -> Steps:
    """The example tables of ITU-T T.81."""
    return steps_at(LUMINANCE, quality), steps_at(CHROMINANCE, quality)


def flat(quality: int) -> Steps:
    """16 for all, as number 1 of mozjpeg's ``-quant-table``."""
    return steps_at(np.full((8, 8), 16), quality), steps_at(np.full((8, 8), 16), quality)


def flat_half(quality: int) -> Steps:
    """Flat, with steps of chroma half as large as those of luma: near what the squared error asks for in 4:2:0."""
    return steps_at(np.full((8, 8), 32), quality), steps_at(np.full((8, 8), 16), quality)


def mozjpeg(quality: int) -> Steps:
    """The default of mozjpeg."""
    return steps_at(MOZJPEG, quality), steps_at(MOZJPEG, quality)


def jpegli(quality: int) -> Steps:
    """The default of jpegli for 4:2:0: its tables alone, without its adaptive quantization."""
    if quality >= 30:
        distance = 0.1 + 0.09 * (100 - quality) if quality < 100 else 0.01
    else:
        distance = 53 / 3000 * quality**2 - 23 / 20 * quality + 25
    exponents = np.array(JPEGLI_EXPONENTS)
    beyond = np.maximum(distance / 2, 1.5 ** (1 - exponents) * distance**exponents)
    scale = np.full((8, 8), distance) if distance < 1.5 else beyond
    luma, chroma = (
        np.clip(np.floor(scale * table + 0.5), 1, 255).astype(np.int64) for table in (JPEGLI_LUMA, JPEGLI_CHROMA)
    )
    return luma, chroma


PUBLISHED = {
    "Annex K": annex_k,
    "flat": flat,
    "flat, chroma half": flat_half,
    "mozjpeg": mozjpeg,
    "jpegli": jpegli,
}
