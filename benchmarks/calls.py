"""What can be measured: each function returns one that builds a call without arguments for a batch."""

import functools
import importlib
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.photos import Batch, pixels
from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_decode, jpeg_encode
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Call = Callable[[], object]
"""Compresses and decompresses the batch that it was built for. Only tests look at what it returns."""
Build = Callable[[Batch], Call]
Codec = Callable[..., Any]

QUALITY = 50
SUBSAMPLING = "4:2:0"
TABLES = ("image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c")
COLOR = (*TABLES, "color_matrix", "color_offset")
# The conversion of JFIF, the default. A gradient with respect to it needs it as an explicit argument.
COLOR_MATRIX = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
COLOR_OFFSET = (0, 128, 128)


def parameters(count: int) -> tuple[Batch, ...]:
    """The quality of each image and both tables, as arrays, because gradients with respect to them are computed."""
    quality = np.full(count, QUALITY, np.float32)
    return quality, np.asarray(LUMINANCE, np.float32), np.asarray(CHROMINANCE, np.float32)


# --- pyjpegdiff with arrays; ``module`` is NumPy or CuPy --------------------------------------------------------------


def forward(module: str = "numpy", **choices: Any) -> Build:
    """Only the function."""

    def build(images: Batch) -> Call:
        array = importlib.import_module(module).asarray(pixels(images) if "channel_axis" in choices else images)
        return lambda: diff_jpeg_coding(array, QUALITY, subsampling=SUBSAMPLING, **choices)

    return build


def vjp(wrt: Sequence[str], module: str = "numpy", own_cotangent: bool = True, **choices: Any) -> Build:
    """The function and its gradients; without a cotangent of its own, the output serves as cotangent."""

    def build(images: Batch) -> Call:
        xp = importlib.import_module(module)
        array, quality, *tables = map(xp.asarray, (images, *parameters(len(images))))
        cotangent = array.copy() if own_cotangent else None
        options: dict[str, Any] = {"wrt": wrt, "subsampling": SUBSAMPLING, **choices}
        if "color_matrix" in wrt:
            options["color_matrix"] = xp.asarray(COLOR_MATRIX, dtype=xp.float32)
            options["color_offset"] = xp.asarray(COLOR_OFFSET, dtype=xp.float32)

        def call() -> object:
            result, gradients = diff_jpeg_coding_vjp(array, quality, *tables, **options)
            return result, gradients(result if cotangent is None else cotangent)

        return call

    return build


def in_two_steps(images: Batch) -> Call:
    """Encode, then decode."""
    return lambda: jpeg_decode(jpeg_encode(images, QUALITY, ste=True, subsampling=SUBSAMPLING), ste=True)


# --- torch ------------------------------------------------------------------------------------------------------------


def tensors(load: Callable[[], Codec], backward: bool = False, white: float = 255.0, device: str = "cpu") -> Build:
    """A codec with the arguments (image, quality, luma table, chroma table), alone or with the gradients of all.

    ``load`` imports the codec, ``white`` is its data range.
    """

    def build(images: Batch) -> Call:
        import torch

        codec = load()
        image, *rest = (torch.from_numpy(array).to(device) for array in (images, *parameters(len(images))))
        inputs = [image if white == 255.0 else image * (white / 255.0), *rest]
        if not backward:
            return lambda: codec(*inputs)
        cotangent = inputs[0].clone()
        for tensor in inputs:
            tensor.requires_grad_()

        def call() -> object:
            result = codec(*inputs)
            return result, torch.autograd.grad(result, inputs, cotangent)

        return call

    return build


def eager() -> Codec:
    """The straight-through variant of the torch adapter."""
    from pyjpegdiff.adapters.torch import diff_jpeg_coding

    return functools.partial(diff_jpeg_coding, ste=True, subsampling=SUBSAMPLING)


@functools.cache
def compiled() -> Codec:
    """The same, compiled. Cached, as in a user's program: from the second size on, torch compiles for all sizes."""
    import torch

    codec = eager()
    return torch.compile(lambda *inputs: codec(*inputs))


# --- what a user would pick instead; imported by name, so that this file loads where they are not installed -----------


def kornia() -> Codec:
    """The codec of kornia, for images in 0..1."""
    codec: Codec = importlib.import_module("kornia.enhance").jpeg_codec_differentiable
    return codec


def diff_jpeg() -> Codec:
    """The published implementation of the method."""
    codec: Codec = importlib.import_module("diff_jpeg").diff_jpeg_coding
    return codec


def pillow(images: Batch) -> Call:
    """Encode and decode in memory, from and to Pillow's own images, so that no conversion costs time."""
    photos = [Image.fromarray(image) for image in pixels(images)]

    def round_trip(photo: Image.Image) -> Image.Image:
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
        decoded = Image.open(file)
        decoded.load()
        return decoded

    return lambda: [round_trip(photo) for photo in photos]


def simplejpeg(images: Batch) -> Call:
    """Encode and decode in memory, from and to arrays.

    Below quality 96 its encoder takes libjpeg's faster and less exact DCT, whatever it is told.
    """
    codec = importlib.import_module("simplejpeg")
    subsampling = SUBSAMPLING.replace(":", "")

    def round_trip(photo: Any) -> Any:
        return codec.decode_jpeg(codec.encode_jpeg(photo, QUALITY, "RGB", subsampling))

    photos = pixels(images)
    return lambda: [round_trip(photo) for photo in photos]


def copy(images: Batch) -> Call:
    """A plain copy: nothing that returns an image can be faster."""
    return lambda: images.copy()
