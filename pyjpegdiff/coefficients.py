"""Quantized coefficients with what it takes to decode them."""

from typing import NamedTuple

from pyjpegdiff.spec import Array


class Coefficients(NamedTuple):
    """What a JPEG file stores: quantized coefficients, and what it takes to decode them.

    Grayscale has no ``cb``, ``cr``, ``steps_c`` and ``subsampling``: they are None.
    """

    y: Array
    """Luma blocks (..., ceil(H / 8), ceil(W / 8), 8, 8), in units of their step; vertical frequency first."""
    cb: Array | None
    """Blue difference, likewise; fewer blocks where chroma is subsampled."""
    cr: Array | None
    """Red difference, as ``cb``."""
    steps_y: Array
    """Step sizes (..., 8, 8) of luma, 1..255; leading axes broadcast against those of ``y``."""
    steps_c: Array | None
    """Step sizes of chroma."""
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    subsampling: str | None
    """``"4:2:0"`` and so on."""
