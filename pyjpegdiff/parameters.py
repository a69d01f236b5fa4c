"""From what a caller sets (quality, tables, color) to the operands that samples meet, and the VJP of it."""

import functools
from typing import Any, NamedTuple

from pyjpegdiff import numpy_namespace
from pyjpegdiff.arrays import constant, constant_like, to_dtype, unbroadcast
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages import color, quantization
from pyjpegdiff.types import Array, Cotangents, Namespace


class Parameters(NamedTuple):
    """The differentiable arguments beside the image, in the compute dtype."""

    quality: Array
    """(...)"""
    tables: tuple[Array, ...]
    """(..., 8, 8) of each group of planes."""
    matrix: Array | None
    """(..., 3, 3); None for grayscale."""
    offset: Array | None
    """(..., 3); None for grayscale."""


def prepare(xp: Namespace, spec: Spec, parameters: Parameters) -> Operands:
    """Step sizes, and the affine maps of both color conversions."""
    scale, _ = quantization.scale(xp, parameters.quality, spec.flooring, spec.hard)
    steps = [quantization.steps(xp, table, scale, spec.flooring, spec.hard)[0] for table in parameters.tables]
    return color_operands(xp, parameters.matrix, parameters.offset)._replace(steps=tuple(steps))


def steps_vjp(
    xp: Namespace, spec: Spec, parameters: Parameters, g_steps: tuple[Array, ...]
) -> tuple[Array, tuple[Array, ...]]:
    """Cotangents of quality and tables from those of the step sizes."""
    scale, slope = quantization.scale(xp, parameters.quality, spec.flooring, spec.hard)
    g_scale = xp.zeros_like(scale)
    g_tables: tuple[Array, ...] = ()
    for table, g in zip(parameters.tables, g_steps, strict=True):
        _, derivative = quantization.steps(xp, table, scale, spec.flooring, spec.hard)
        g_table, g_of_scale = quantization.steps_vjp(xp, table, scale, derivative, g)
        g_tables += (g_table,)
        g_scale = g_scale + g_of_scale
    return g_scale * slope, g_tables


def color_operands(xp: Namespace, matrix: Array | None, offset: Array | None) -> Operands:
    """Both affine maps of the color conversion, with the level shift in them."""
    if matrix is None or offset is None:
        return Operands((), None, None, None, None)
    if xp is numpy_namespace.xp:
        # To invert the matrix takes as long as all DCTs of a small image, and nearly every call has JFIF's.
        default = _operands_of_jfif(matrix.dtype)
        if _equal(matrix, default.matrix) and _equal(offset, constant_like(xp, color.OFFSET, offset)):
            return default
    return _color_operands(xp, matrix, offset)


def _color_operands(xp: Namespace, matrix: Array, offset: Array) -> Operands:
    inverse = color.invert(xp, matrix)
    unshift = xp.sum(inverse * (color.LEVEL - offset)[..., None, :], axis=-1)
    return Operands((), matrix, offset - color.LEVEL, inverse, unshift)


@functools.lru_cache(maxsize=4)
def _operands_of_jfif(dtype: Any) -> Operands:
    xp = numpy_namespace.xp
    matrix, offset = constant(xp, color.MATRIX, dtype, None), constant(xp, color.OFFSET, dtype, None)
    return _color_operands(xp, matrix, offset)


def _equal(a: Any, b: Any) -> bool:
    """The same shape and bits; ten times as fast for so few numbers as NumPy's own comparison."""
    return bool(a.shape == b.shape and a.tobytes() == b.tobytes())


def color_operands_vjp(xp: Namespace, matrix: Array, offset: Array, cotangents: Operands) -> tuple[Array, Array]:
    """Cotangents of matrix and offset; a map whose cotangents are None has none."""
    g_matrix, g_offset = xp.zeros_like(matrix), xp.zeros_like(offset)
    if cotangents.matrix is not None and cotangents.shift is not None:
        g_matrix = g_matrix + cotangents.matrix
        g_offset = g_offset + unbroadcast(xp, cotangents.shift, offset.shape)
    if cotangents.inverse is not None and cotangents.unshift is not None:
        inverse = color.invert(xp, matrix)
        g_unshift = cotangents.unshift[..., :, None]
        through_unshift = g_unshift * (color.LEVEL - offset)[..., None, :]
        g_inverse = cotangents.inverse + unbroadcast(xp, through_unshift, inverse.shape)
        g_matrix = g_matrix + color.invert_vjp(xp, inverse, g_inverse)
        g_offset = g_offset - unbroadcast(xp, xp.sum(inverse * g_unshift, axis=-2), offset.shape)
    return g_matrix, g_offset


def of_coding(xp: Namespace, inputs: Cotangents, dtype: str) -> Parameters:
    """The parameters among the inputs of code and encode."""
    quality, table_y, *chroma = [to_dtype(xp, x, dtype) for x in inputs[1:] if x is not None]
    table_c, matrix, offset = chroma or (None, None, None)
    return Parameters(quality, (table_y,) if table_c is None else (table_y, table_c), matrix, offset)


def cotangents(xp: Namespace, spec: Spec, parameters: Parameters, found: Operands) -> dict[str, Array | None]:
    """Cotangents of the parameters by the names of inputs; of those alone whose operands have one."""
    by_name: dict[str, Array | None] = {}
    if found.steps:
        g_quality, g_tables = steps_vjp(xp, spec, parameters, found.steps)
        by_name["jpeg_quality"] = g_quality
        by_name |= zip(("quantization_table_y", "quantization_table_c"), g_tables, strict=False)
    return by_name | color_cotangents(xp, parameters.matrix, parameters.offset, found)


def color_cotangents(
    xp: Namespace, matrix: Array | None, offset: Array | None, found: Operands
) -> dict[str, Array | None]:
    """Cotangents of the color conversion's parameters by the names of inputs, if its operands have any."""
    if matrix is None or offset is None or (found.shift is None and found.unshift is None):
        return {}
    return dict(zip(("color_matrix", "color_offset"), color_operands_vjp(xp, matrix, offset, found), strict=True))
