"""What can be measured: each function returns one that builds a call without arguments for a batch of images."""

import functools
import importlib
import io
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pyjpegdiff import (
    Coefficients,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_encode,
    jpeg_rate,
    jpeg_rate_vjp,
)
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Batch = NDArray[np.float32]
Call = Callable[[], object]
"""Compresses and decompresses the batch that it was built for. Only tests look at what it returns."""
Build = Callable[[Batch], Call]
Codec = Callable[..., Any]

QUALITY = 50
SUBSAMPLING = "4:2:0"
TABLES = ("image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c")
# The conversion of JFIF, the default. A gradient with respect to it needs it as an explicit argument.
JFIF = {
    "color_matrix": ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312)),
    "color_offset": (0, 128, 128),
}


class Size(NamedTuple):
    """A batch of square images."""

    images: int
    edge: int

    @property
    def pixels(self) -> int:
        """Pixels of the whole batch."""
        return self.images * self.edge**2

    @property
    def label(self) -> str:
        """A name to show, and the key in a report."""
        return f"{f'{self.images} of ' if self.images > 1 else ''}{self.edge}x{self.edge}"


@functools.cache
def _photo() -> Batch:
    from skimage import data

    return np.ascontiguousarray(np.moveaxis(data.astronaut(), -1, 0), np.float32)  # type: ignore[no-untyped-call]


def batch(size: Size) -> Batch:
    """Images (images, 3, edge, edge) with pixel values 0..255: neighboring crops of a photo.

    The photo is mirrored at its borders, because a jump would not look like a photo.
    """
    across, edge = math.isqrt(size.images - 1) + 1, size.edge
    width = across * edge
    more = max(0, width - _photo().shape[-1])
    # Cut before it is padded: memory that was freed here would be missing from a measured peak.
    sheet = np.pad(_photo()[:, :width, :width], ((0, 0), (0, more), (0, more)), mode="symmetric")
    tiles = sheet.reshape(3, across, edge, across, edge).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(tiles.reshape(-1, 3, edge, edge)[: size.images])


def pixels(images: Batch) -> NDArray[np.uint8]:
    """The same images as files have them: uint8, channels last."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1).astype(np.uint8))


def parameters(count: int) -> tuple[Batch, ...]:
    """The quality of each image and both tables, as arrays, because gradients with respect to them are computed."""
    return np.full(count, QUALITY, np.float32), *(np.asarray(table, np.float32) for table in (LUMINANCE, CHROMINANCE))


# --- pyjpegdiff with arrays; ``module`` is NumPy or CuPy --------------------------------------------------------------


def forward(module: str = "numpy", **choices: Any) -> Build:
    """Only the function; with ``channel_axis=-1``, of uint8."""

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
        options |= {name: xp.asarray(value, dtype=xp.float32) for name, value in JFIF.items() if name in wrt}

        def call() -> object:
            result, gradients = diff_jpeg_coding_vjp(array, quality, *tables, **options)
            return result, gradients(result if cotangent is None else cotangent)

        return call

    return build


def in_two_steps(images: Batch) -> Call:
    """Encode, then decode."""
    return lambda: jpeg_decode(jpeg_encode(images, QUALITY, ste=True, subsampling=SUBSAMPLING), ste=True)


# --- bits; over the time that Pillow's encoder takes ------------------------------------------------------------------


def stored(images: Batch) -> Coefficients:
    """The coefficients of the files that `pillow_encode` writes."""
    return jpeg_encode(pixels(images), QUALITY, arithmetic="libjpeg", subsampling=SUBSAMPLING, channel_axis=-1)


def rate(huffman: str) -> Build:
    """The bits of the files."""

    def build(images: Batch) -> Call:
        coefficients = stored(images)
        return lambda: jpeg_rate(coefficients, huffman=huffman)

    return build


def rate_vjp(images: Batch) -> Call:
    """The same, and the gradient, of coefficients that have not been rounded."""
    coefficients = jpeg_encode(images, QUALITY, rounding="identity", subsampling=SUBSAMPLING)
    cotangent = np.ones(len(images))

    def call() -> object:
        bits, gradient = jpeg_rate_vjp(coefficients)
        return bits, gradient(cotangent)

    return call


def pillow_encode(optimize: bool) -> Build:
    """Only encode, with standard or optimized Huffman tables."""

    def build(images: Batch) -> Call:
        photos = [Image.fromarray(image) for image in pixels(images)]

        def encode(photo: Image.Image) -> bytes:
            file = io.BytesIO()
            photo.save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING, optimize=optimize)
            return file.getvalue()

        return lambda: [encode(photo) for photo in photos]

    return build


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
        inputs = [tensor.requires_grad_() for tensor in inputs]

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


# --- JAX --------------------------------------------------------------------------------------------------------------


def jax_arrays(load: Callable[[], Codec]) -> Build:
    """A function of (image, quality, luma table, chroma table, cotangent), all JAX arrays; each call waits for it."""

    def build(images: Batch) -> Call:
        jax: Any = importlib.import_module("jax")
        codec = load()
        inputs = [jax.numpy.asarray(array) for array in (images, *parameters(len(images)), images)]
        return lambda: jax.block_until_ready(codec(*inputs))

    return build


def jax_eager() -> Codec:
    """The straight-through variant of the JAX adapter."""
    return lambda image, quality, table_y, table_c, cotangent: diff_jpeg_coding(
        image, quality, table_y, table_c, ste=True, subsampling=SUBSAMPLING
    )


def jax_jit() -> Codec:
    """The same under ``jit``."""
    import jax

    codec: Codec = jax.jit(jax_eager())
    return codec


def jax_gradients() -> Codec:
    """The function and the gradients of all but the cotangent, under ``jit``."""
    import jax

    codec = jax_eager()

    def with_gradients(*inputs: Any) -> Any:
        *differentiated, cotangent = inputs
        result, pull = jax.vjp(lambda *given: codec(*given, cotangent), *differentiated)
        return result, pull(cotangent)

    compiled_codec: Codec = jax.jit(with_gradients)
    return compiled_codec


# --- what a user would pick instead; imported by name, so that this file loads where they are not installed -----------


def peer(module: str, function: str) -> Codec:
    """A codec of another package, with the arguments of `tensors`."""
    codec: Codec = getattr(importlib.import_module(module), function)
    return codec


kornia = functools.partial(peer, "kornia.enhance", "jpeg_codec_differentiable")  # for images in 0..1
diff_jpeg = functools.partial(peer, "diff_jpeg", "diff_jpeg_coding")  # the published implementation of the method


def pillow(images: Batch) -> Call:
    """Encode and decode in memory, from and to Pillow's own images, so that no conversion costs time."""

    def round_trip(photo: Image.Image) -> Image.Image:
        file = io.BytesIO()
        photo.save(file, "JPEG", quality=QUALITY, subsampling=SUBSAMPLING)
        decoded = Image.open(file)
        decoded.load()
        return decoded

    photos = [Image.fromarray(image) for image in pixels(images)]
    return lambda: [round_trip(photo) for photo in photos]


def simplejpeg(images: Batch) -> Call:
    """Encode and decode in memory, from and to arrays.

    Below quality 96 its encoder takes libjpeg's faster and less exact DCT, whatever it is told.
    """
    codec = importlib.import_module("simplejpeg")
    encode = functools.partial(codec.encode_jpeg, quality=QUALITY, colorsubsampling=SUBSAMPLING.replace(":", ""))
    photos = pixels(images)
    return lambda: [codec.decode_jpeg(encode(photo)) for photo in photos]
