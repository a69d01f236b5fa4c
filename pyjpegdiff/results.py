"""What calls return: coefficients, and gradients by argument name."""

from typing import NamedTuple

from pyjpegdiff.types import AnyArray


class Coefficients(NamedTuple):
    """What a JPEG file stores: quantized coefficients, and what it takes to decode them.

    Grayscale has no ``cb``, ``cr``, ``steps_c`` and ``subsampling``: they are None.
    """

    y: AnyArray
    """Luma blocks (..., ceil(H / 8), ceil(W / 8), 8, 8), in units of their step; vertical frequency first."""
    cb: AnyArray | None
    """Blue difference, likewise; fewer blocks where chroma is subsampled."""
    cr: AnyArray | None
    """Red difference, as ``cb``."""
    steps_y: AnyArray
    """Step sizes (..., 8, 8) of luma, 1..255; batch axes broadcast against those of ``y``."""
    steps_c: AnyArray | None
    """Step sizes of chroma."""
    size: tuple[int, int]
    """Height and width of the image in pixels."""
    subsampling: str | None
    """``"4:2:0"`` and so on."""


class CodingGradients(NamedTuple):
    """Cotangents by argument name; None for what ``wrt`` does not name."""

    image_rgb: AnyArray | None = None
    jpeg_quality: AnyArray | None = None
    quantization_table_y: AnyArray | None = None
    quantization_table_c: AnyArray | None = None
    color_matrix: AnyArray | None = None
    color_offset: AnyArray | None = None


class DecodingGradients(NamedTuple):
    """Cotangents by argument name; None for what ``wrt`` does not name."""

    coefficients: Coefficients | None = None
    color_matrix: AnyArray | None = None
    color_offset: AnyArray | None = None
