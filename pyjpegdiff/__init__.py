"""Differentiable JPEG for every array library."""

from pyjpegdiff import backends
from pyjpegdiff.api import (
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.backends.threads import get_num_threads, set_num_threads
from pyjpegdiff.data_range import DataRangeWarning
from pyjpegdiff.rate import jpeg_rate, jpeg_rate_vjp
from pyjpegdiff.results import Coefficients

__version__ = "0.2.0"

__all__ = [
    "Coefficients",
    "DataRangeWarning",
    "backends",
    "diff_jpeg_coding",
    "diff_jpeg_coding_vjp",
    "get_num_threads",
    "jpeg_decode",
    "jpeg_decode_vjp",
    "jpeg_encode",
    "jpeg_encode_vjp",
    "jpeg_rate",
    "jpeg_rate_vjp",
    "set_num_threads",
]
