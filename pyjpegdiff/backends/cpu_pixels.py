"""An image as the CPU kernels see it: where it lies, what its pixels are, and its strides in bytes."""

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

from pyjpegdiff.kernels.library import KINDS
from pyjpegdiff.layout import Layout
from pyjpegdiff.numpy_namespace import xp

KIND_OF = {np.dtype(name): kind for kind, name in enumerate(KINDS)}
"""Of native byte order alone."""


def pixels_of(layout: Layout, image: Any, compute_dtype: np.dtype[Any]) -> tuple[tuple[int, ...], Any]:
    """The fields of `Pixels`, and the array that they are of: the image itself unless the kernels cannot read that."""
    kind = KIND_OF.get(image.dtype)
    if kind is None or not image.flags.aligned:
        image = np.array(image, compute_dtype)
        kind = KIND_OF[compute_dtype]
    axis, strides, shape = layout.channel_axis, list(image.strides), list(image.shape)
    channel = 0
    if axis is not None:
        channel = strides.pop(axis)
        del shape[axis]
    *batch, row, column = strides
    sample = _as_one(shape[:-2], batch)
    if sample is None:
        image = np.ascontiguousarray(layout.view(xp, image))
        sample, channel, row, column = image.strides[-4:]
    return (address(image), kind, sample, channel, row, column), image


def address(array: np.ndarray[Any, Any]) -> int:
    """Where an array's first element lies."""
    if array.flags.carray:  # in C order, and may be written to
        return address_of_new(array)
    found: int = array.__array_interface__["data"][0]
    return found


def address_of_new(array: np.ndarray[Any, Any]) -> int:
    """The same of an array in C order that may be written to and is not empty: four times as fast."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]


def _as_one(lengths: Sequence[int], strides: Sequence[int]) -> int | None:
    """The stride from sample to sample where several batch axes can be taken as one, else None."""
    step = expected = None
    for length, stride in zip(reversed(lengths), reversed(strides), strict=True):
        if length == 1:
            continue
        if expected is not None and stride != expected:
            return None
        step = stride if step is None else step
        expected = length * stride
    return step or 0
