"""What a call of the CPU kernels is before it has any array: sizes, choices, and the shapes of what it makes."""

import ctypes
import functools
import math
from typing import Any, NamedTuple

import numpy as np

from pyjpegdiff.backends.cpu_pixels import KIND_OF
from pyjpegdiff.kernels.library import (
    ARITHMETICS,
    FROM_BLOCKS,
    FROM_IMAGE,
    ROUNDINGS,
    TO_BLOCKS,
    TO_IMAGE,
    Call,
    ready,
)
from pyjpegdiff.operations import BLOCKS, CORE_SHAPES, OPERATIONS, Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import Arrays, ArrayType, Shape, Size, Types

ALIGNMENT = 64


class Parameter(NamedTuple):
    """A parameter among the inputs of an operation."""

    position: int
    name: str
    core: Shape
    place: slice
    """Its numbers among those of all parameters of a sample."""


class Frame(NamedTuple):
    """What plan and sizes decide of a call."""

    template: bytes
    """The struct without any array."""
    parameters: tuple[Parameter, ...]
    parameters_size: int
    """Numbers of a set of them."""
    dtype: np.dtype[Any]
    image_shape: Shape
    """That of a new image in the order of its memory."""
    image_dtype: np.dtype[Any]
    image_pixels: tuple[int, ...]
    """Kind and strides of a new image."""
    blocks: tuple[tuple[str, Shape], ...]
    """Name and shape of each component's."""
    residuals_shape: Shape
    """Memory of each sample in the last of three axes, as residuals of every backend have."""
    strips: int
    """Those of all samples."""
    operands_size: int
    """Bytes of the operands of one sample."""
    sums_size: int
    """Bytes of the sums of all strips."""
    scratch_size: int
    """Bytes that each thread needs."""


@functools.lru_cache(maxsize=256)
def frame_of(
    name: str, size: Size, batch_shape: Shape, hard: bool, libjpeg: bool, rounding: str, flooring: str,
    elastic: bool, samplings: tuple[tuple[int, int], ...], channel_axis: int | None, scale: float, image_dtype: str,
    dtype: str,
) -> Frame:  # fmt: skip
    """The frame of an operation of that name, from what it takes of plan and sizes."""
    channels = 1 if len(samplings) == 1 else 3
    height, width = size
    rows, columns = samplings[-1]
    parts = residual_parts(name, size, hard, samplings, np.dtype(dtype).itemsize)
    call = Call(
        math.prod(batch_shape), height, width, channels, rows, columns, dtype == "float64",
        ARITHMETICS.index("libjpeg" if libjpeg else "ste" if hard else "smooth"), ROUNDINGS.index(rounding),
        flooring == "cubic", elastic, FROM_BLOCKS if name == "decode" else FROM_IMAGE,
        TO_BLOCKS if name == "encode" else TO_IMAGE, scale, residuals_stride=parts.pop("end"),
        has_u="u_y" in parts, has_in_range="in_range_y" in parts, has_inside="inside" in parts, **parts,
    )  # fmt: skip
    of_image = np.dtype(image_dtype)
    core, pixels = new_pixels(channel_axis, channels, size, of_image)
    padded = [padded_size(size, samplings[0 if component == "y" else -1]) for component in BLOCKS]
    blocks = [
        (component, (*batch_shape, h // 8, w // 8, 8, 8)) for component, (h, w) in zip(BLOCKS, padded, strict=True)
    ]
    residuals_shape = (*batch_shape, 1, 1, call.residuals_stride // np.dtype(dtype).itemsize)
    library, reference = ready(), ctypes.byref(call)
    strips = call.samples * library.pyjpegdiff_strips(reference)
    parameters = _parameters(name, gray=channels == 1)
    return Frame(
        bytes(call), parameters, parameters[-1].place.stop, np.dtype(dtype), (*batch_shape, *core), of_image, pixels,
        tuple(blocks[:channels]), residuals_shape, strips,
        library.pyjpegdiff_operands_size(reference), strips * library.pyjpegdiff_sums_size(reference),
        library.pyjpegdiff_scratch_size(reference),
    )  # fmt: skip


def new_pixels(
    channel_axis: int | None, channels: int, size: Size, dtype: np.dtype[Any]
) -> tuple[Shape, tuple[int, ...]]:
    """The shape of each sample of an image in the order of its memory, and its fields of `Pixels` but the address."""
    height, width = size
    item = dtype.itemsize
    sample = channels * height * width * item
    if channel_axis == -1:
        return (height, width, channels), (KIND_OF[dtype], sample, item, channels * width * item, channels * item)
    shape = (*((channels,) if channel_axis is not None else ()), height, width)
    return shape, (KIND_OF[dtype], sample, height * width * item, width * item, item)


def _parameters(name: str, gray: bool) -> tuple[Parameter, ...]:
    found, start = [], 0
    of_gray = ("jpeg_quality", "quantization_table_y", "steps_y")
    for position, input_ in enumerate(OPERATIONS[name].inputs):
        if input_ in CORE_SHAPES and (input_ in of_gray or not gray):
            core = CORE_SHAPES[input_]
            found.append(Parameter(position, input_, core, slice(start, start + math.prod(core))))
            start += math.prod(core)
    return tuple(found)


def batch_shape_of(operation: Operation, plan: Plan, shape: Shape) -> Shape:
    """The batch shape, from the shape of the first input."""
    return shape[:-4] if operation.name == "decode" else plan.layout.canonical_shape(shape)[:-3]


def steps_shapes(inputs: Arrays) -> list[Shape]:
    """Of each group of planes, as `Operation.output_types` has them, from the inputs of encode."""
    return [(*np.broadcast_shapes(inputs[1].shape, table.shape[:-2]), 8, 8) for table in inputs[2:4]]


def residual_types(operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
    """As `pyjpegdiff.backends.Backend.residual_types`. Sizes may be symbols of a compiler."""
    dtype = plan.layout.compute_dtype
    item = 8 if dtype == "float64" else 4
    end = residual_parts(operation.name, size, plan.spec.hard, plan.spec.samplings, item)["end"]
    return (ArrayType((*batch_shape_of(operation, plan, inputs[0].shape), 1, 1, end // item), dtype),)


def residual_parts(
    name: str, size: Size, hard: bool, samplings: tuple[tuple[int, int], ...], item: int
) -> dict[str, int]:
    """Where the residuals of a sample begin, in bytes, by what the struct calls them, and where they end.

    One array has all of them: each more would cost a small call a twentieth of its time. Its dtype is that in which
    images are computed, although some of it are bits: by its residuals autograd sees what a VJP depends on.
    """
    height, width = size
    groups = [(group, n, *padded_size(size, x)) for group, n, x in zip("yc", (1, 2), samplings, strict=False)]
    parts, end = {}, 0
    if name != "decode":
        for group, planes, high, wide in groups:
            parts[f"u_{group}"] = end
            end += planes * high * wide * item
    if name != "encode":
        for group, planes, high, wide in groups if hard else ():
            parts[f"in_range_{group}"] = end
            end += planes * high * wide // 8
        parts["inside"] = end
        end += (1 if len(samplings) == 1 else 3) * height * ((width + 7) // 8)
    return parts | {"end": (end + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT}
