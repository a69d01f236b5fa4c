"""pyjpegdiff's own contestants."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks import torch_calls
from benchmarks.calls import QUALITY, SUBSAMPLING, Build, Call, parameters
from benchmarks.photos import Batch
from benchmarks.torch_calls import Codec
from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp

# The conversion of JFIF, the default. A gradient with respect to it needs it as an explicit argument.
COLOR_MATRIX = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
COLOR_OFFSET = (0, 128, 128)


def forward(**choices: Any) -> Build:
    """Only the function, in NumPy."""

    def build(batch: Batch) -> Call:
        return lambda: diff_jpeg_coding(batch, QUALITY, subsampling=SUBSAMPLING, **choices)

    return build


def vjp(wrt: Sequence[str]) -> Build:
    """The straight-through variant and its gradients, in NumPy."""

    def build(batch: Batch) -> Call:
        quality, table_y, table_c = parameters(len(batch))
        color: dict[str, Any] = {}
        if "color_matrix" in wrt:
            color["color_matrix"] = np.asarray(COLOR_MATRIX, np.float32)
            color["color_offset"] = np.asarray(COLOR_OFFSET, np.float32)
        cotangent = batch.copy()

        def call() -> object:
            result, vjp_of_batch = diff_jpeg_coding_vjp(
                batch, quality, table_y, table_c, ste=True, wrt=wrt, subsampling=SUBSAMPLING, **color
            )
            return result, vjp_of_batch(cotangent)

        return call

    return build


def torch_forward(compiled: bool = False, device: str = "cpu") -> Build:
    """The straight-through variant, with the torch adapter."""
    return torch_calls.forward(_compiled if compiled else _eager, device=device)


def torch_backward(compiled: bool = False, device: str = "cpu") -> Build:
    """The straight-through variant under autograd, with the torch adapter."""
    return torch_calls.backward(_compiled if compiled else _eager, device=device)


def _eager() -> Codec:
    from pyjpegdiff.adapters.torch import diff_jpeg_coding

    return functools.partial(diff_jpeg_coding, ste=True, subsampling=SUBSAMPLING)


@functools.cache
def _compiled() -> Codec:
    # Cached, as in a user's program: from the second size on, torch compiles for arbitrary sizes.
    import torch

    codec = _eager()
    return torch.compile(lambda *tensors: codec(*tensors))
