"""The alternatives of a user: the real codec, and other differentiable codecs with their defaults."""

import importlib
import io

import numpy as np
from PIL import Image

from benchmarks import torch_calls
from benchmarks.calls import QUALITY, SUBSAMPLING, Build, Call
from benchmarks.photos import Batch
from benchmarks.torch_calls import Codec


def pillow(batch: Batch) -> Call:
    """Encode and decode in memory, from and to Pillow's own images, so that no conversion costs time."""
    images = [Image.fromarray(np.ascontiguousarray(np.moveaxis(image, 0, -1).astype(np.uint8))) for image in batch]

    def round_trip(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
        decoded = Image.open(file)
        decoded.load()
        return decoded

    return lambda: [round_trip(image) for image in images]


def kornia_forward(device: str = "cpu") -> Build:
    """The codec of kornia, for images in 0..1."""
    return torch_calls.forward(_kornia, white=1.0, device=device)


def kornia_backward(device: str = "cpu") -> Build:
    """The codec of kornia under autograd."""
    return torch_calls.backward(_kornia, white=1.0, device=device)


def diff_jpeg_forward(device: str = "cpu") -> Build:
    """The published implementation of the method."""
    return torch_calls.forward(_diff_jpeg, device=device)


def diff_jpeg_backward(device: str = "cpu") -> Build:
    """The published implementation of the method, under autograd."""
    return torch_calls.backward(_diff_jpeg, device=device)


# Imported by name: this file can be checked and loaded where neither is installed.


def _kornia() -> Codec:
    codec: Codec = importlib.import_module("kornia.enhance").jpeg_codec_differentiable
    return codec


def _diff_jpeg() -> Codec:
    codec: Codec = importlib.import_module("diff_jpeg").diff_jpeg_coding
    return codec
