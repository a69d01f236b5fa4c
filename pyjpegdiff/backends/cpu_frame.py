"""What a call of the CPU kernels is before it has any array: sizes, choices, and the shapes of what it makes."""

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
)
from pyjpegdiff.operations import BLOCKS, CORE_SHAPES, OPERATIONS, Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import ArrayType, Shape, Size, Types

FIELDS = {
    "jpeg_quality": "quality", "quantization_table_y": "table_y", "quantization_table_c": "table_c",
    "color_matrix": "matrix", "color_offset": "offset", "steps_y": "steps_y", "steps_c": "steps_c",
}  # fmt: skip
"""What the struct calls parameters."""


class Parameter(NamedTuple):
    """A parameter among the inputs of an operation."""

    position: int
    name: str
    field: str
    core: Shape
    core_size: int


class Frame(NamedTuple):
    """What plan and sizes decide of a call."""

    template: bytes
    """The struct without any array."""
    parameters: tuple[Parameter, ...]
    dtype: np.dtype[Any]
    image_shape: Shape
    """That of a new image in the order of its memory."""
    image_dtype: np.dtype[Any]
    image_pixels: tuple[int, ...]
    """Kind and strides of a new image."""
    blocks: tuple[tuple[str, Shape], ...]
    """Name and shape of each component's."""
    residuals: tuple[tuple[str, ArrayType], ...]
    """What the struct calls them, and their types."""


@functools.lru_cache(maxsize=256)
def frame_of(
    name: str, size: Size, batch_shape: Shape, hard: bool, libjpeg: bool, rounding: str, flooring: str,
    samplings: tuple[tuple[int, int], ...], channel_axis: int | None, scale: float, image_dtype: str, dtype: str,
) -> Frame:  # fmt: skip
    """The frame of an operation of that name, from what it takes of plan and sizes."""
    channels = 1 if len(samplings) == 1 else 3
    height, width = size
    rows, columns = samplings[-1]
    call = Call(
        math.prod(batch_shape), height, width, channels, rows, columns, dtype == "float64",
        ARITHMETICS.index("libjpeg" if libjpeg else "ste" if hard else "smooth"), ROUNDINGS.index(rounding),
        flooring == "cubic", FROM_BLOCKS if name == "decode" else FROM_IMAGE,
        TO_BLOCKS if name == "encode" else TO_IMAGE, scale,
    )  # fmt: skip
    of_image = np.dtype(image_dtype)
    item = of_image.itemsize
    if channel_axis == -1:
        image_shape: Shape = (*batch_shape, height, width, channels)
        strides: Shape = (channels * height * width * item, item, channels * width * item, channels * item)
    else:
        image_shape = (*batch_shape, *((channels,) if channel_axis is not None else ()), height, width)
        strides = (channels * height * width * item, height * width * item, width * item, item)
    inputs = [(index, input_) for index, input_ in enumerate(OPERATIONS[name].inputs) if input_ in FIELDS]
    if channels == 1:
        inputs = [pair for pair in inputs if pair[1] in ("jpeg_quality", "quantization_table_y", "steps_y")]
    parameters = tuple([Parameter(i, x, FIELDS[x], CORE_SHAPES[x], math.prod(CORE_SHAPES[x])) for i, x in inputs])
    padded = [padded_size(size, samplings[0 if component == "y" else -1]) for component in BLOCKS]
    blocks = [
        (component, (*batch_shape, h // 8, w // 8, 8, 8)) for component, (h, w) in zip(BLOCKS, padded, strict=True)
    ]
    return Frame(
        bytes(call), parameters, np.dtype(dtype), image_shape, of_image, (KIND_OF[of_image], *strides),
        tuple(blocks[:channels]), _residuals(name, size, batch_shape, hard, samplings, dtype),
    )  # fmt: skip


def batch_shape_of(operation: Operation, plan: Plan, shape: Shape) -> Shape:
    """The batch shape, from the shape of the first input."""
    return shape[:-4] if operation.name == "decode" else plan.layout.canonical_shape(shape)[:-3]


def residual_types(operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
    """As `pyjpegdiff.backends.Backend.residual_types`. Sizes may be symbols of a compiler."""
    spec, batch_shape = plan.spec, batch_shape_of(operation, plan, inputs[0].shape)
    fields = _residuals(operation.name, size, batch_shape, spec.hard, spec.samplings, plan.layout.compute_dtype)
    return tuple([type_ for _, type_ in fields])


def _residuals(
    name: str, size: Size, batch_shape: Shape, hard: bool, samplings: tuple[tuple[int, int], ...], dtype: str
) -> tuple[tuple[str, ArrayType], ...]:
    # Block after block and row after row. No length of an axis may turn out as 1 or not by the size of the image: for
    # that a compiler would compile again.
    height, width = size
    u, in_range = [], []
    for group, planes, factors in zip("yc", (1, 2), samplings, strict=False):
        high, wide = padded_size(size, factors)
        u.append((f"u_{group}", ArrayType((*batch_shape, planes, high, wide), dtype)))
        in_range.append((f"in_range_{group}", ArrayType((*batch_shape, planes, 1, high // 8 * wide), "uint8")))
    channels = 1 if len(samplings) == 1 else 3
    inside = ("inside", ArrayType((*batch_shape, channels, 1, height * ((width + 7) // 8)), "uint8"))
    return (*(() if name == "decode" else u), *(() if name == "encode" else (inside, *(in_range if hard else ()))))
