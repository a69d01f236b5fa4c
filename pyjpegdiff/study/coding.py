"""An image through the codec: its coefficients, what they are decompressed to, and the file that holds them."""

import io
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pyjpegdiff import Coefficients, arguments, jpeg_decode, jpeg_encode
from pyjpegdiff.arrays import to_host
from pyjpegdiff.jpegfile import writer
from pyjpegdiff.rate import bits_by_table
from pyjpegdiff.study.curves import SAMPLING_OF_PILLOW
from pyjpegdiff.study.measures import Pixels, mean_squared_error
from pyjpegdiff.study.settings import Settings

NEAR = 3
"""Qualities from the one of a slope to its ends: nearer ones change too few steps for a smooth slope."""


class ScanBits(NamedTuple):
    """The entropy-coded bits of a file."""

    luma_dc: int
    luma_ac: int
    chroma_dc: int
    chroma_ac: int


def encoded(image: Pixels, quality: float, settings: Settings) -> Coefficients:
    """The coefficients of the image."""
    return jpeg_encode(image.astype(np.float32), quality, ste=True, **settings.codec_options(image.ndim == 2))


def compressed(image: Pixels, quality: float, settings: Settings) -> tuple[Coefficients, Pixels]:
    """The coefficients of the image, and the image that they are decompressed to."""
    coefficients = encoded(image, quality, settings)
    axis = settings.codec_options(image.ndim == 2)["channel_axis"]
    result = jpeg_decode(coefficients, ste=True, arithmetic=settings.arithmetic, channel_axis=axis)
    return coefficients, np.asarray(result).astype(np.uint8)


def round_trip(image: Pixels, quality: float, settings: Settings) -> Pixels:
    """The image after JPEG compression and decompression, of the same shape."""
    _, result = compressed(image, quality, settings)
    return result


# --- files ------------------------------------------------------------------------------------------------------------


def in_file(image: Pixels, quality: float, settings: Settings) -> Coefficients:
    """The coefficients in the file of the image, whatever the arithmetic of the study."""
    return encoded(image, quality, replace(settings, arithmetic="libjpeg"))


def jpeg_file(image: Pixels, quality: int, settings: Settings) -> bytes:
    """The file that libjpeg-turbo writes, with standard Huffman tables; by Pillow where that has the subsampling."""
    gray = image.ndim == 2
    if not gray and settings.subsampling not in SAMPLING_OF_PILLOW:
        return writer.file_of(arguments.decoding(None, in_file(image, quality, settings)), "standard")
    options: dict[str, Any] = {} if gray else {"subsampling": settings.subsampling}
    qtables = [np.asarray(table, int).ravel().tolist() for table in settings.tables()[: 1 if gray else 2]]
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, qtables=qtables, **options)
    return file.getvalue()


def scan_bits(coefficients: Coefficients) -> ScanBits:
    """The bits that whole coefficients take in that file."""
    parts = [int(to_host(bits)) for pair in bits_by_table(coefficients) for bits in pair]
    return ScanBits(*parts, *[0] * (4 - len(parts)))


def slope(image: Pixels, quality: int, settings: Settings) -> float:
    """The change of the mean squared error per bit per pixel between two qualities, one below and one above.

    They are `NEAR` below and above it, but within 1..100. NaN where the bits do not change.
    """
    ends = max(1, quality - NEAR), min(100, quality + NEAR)
    found = [compressed(image, end, settings) for end in ends]
    before, after = (mean_squared_error(image, result) for _, result in found)
    if settings.arithmetic == "libjpeg":
        stored = [coefficients for coefficients, _ in found]
    else:
        stored = [in_file(image, end, settings) for end in ends]
    fewer, more = (sum(scan_bits(each)) for each in stored)
    return (after - before) / (more - fewer) * math.prod(image.shape[:2]) if more != fewer else math.nan
