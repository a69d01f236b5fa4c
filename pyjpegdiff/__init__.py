"""Differentiable JPEG for every array library."""

from pyjpegdiff.api import (
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.coefficients import Coefficients

__version__ = "0.1.0"

__all__ = [
    "Coefficients",
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
]
