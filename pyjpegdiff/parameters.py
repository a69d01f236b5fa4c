"""From what a caller sets (quality, tables, color) to the operands that samples meet, and the VJP of it."""

from typing import NamedTuple

from pyjpegdiff.reduce import sum_to_shape
from pyjpegdiff.spec import Array, Namespace, Operands, Spec
from pyjpegdiff.stages import color, quantization


class Parameters(NamedTuple):
    """The differentiable arguments beside the image, as arrays of its dtype."""

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
    steps = tuple(quantization.steps(xp, table, scale, spec.flooring, spec.hard)[0] for table in parameters.tables)
    return color_operands(xp, parameters.matrix, parameters.offset)._replace(steps=steps)


def prepare_vjp(xp: Namespace, spec: Spec, parameters: Parameters, cotangents: Operands) -> Parameters:
    """Cotangents of the parameters; of those alone whose operands have one."""
    g_quality = None
    g_tables: tuple[Array, ...] = ()
    if cotangents.steps:
        scale, slope = quantization.scale(xp, parameters.quality, spec.flooring, spec.hard)
        g_scale = xp.zeros_like(scale)
        for table, g_steps in zip(parameters.tables, cotangents.steps, strict=True):
            _, derivative = quantization.steps(xp, table, scale, spec.flooring, spec.hard)
            g_table, g = quantization.steps_vjp(xp, table, scale, derivative, g_steps)
            g_tables += (g_table,)
            g_scale = g_scale + g
        g_quality = g_scale * slope
    return Parameters(g_quality, g_tables, *color_operands_vjp(xp, parameters.matrix, parameters.offset, cotangents))


def color_operands(xp: Namespace, matrix: Array | None, offset: Array | None) -> Operands:
    """Both affine maps of the color conversion, with the level shift in them."""
    if matrix is None or offset is None:
        return Operands((), None, None, None, None)
    inverse = color.invert(xp, matrix)
    unshift = xp.sum(inverse * (color.LEVEL - offset)[..., None, :], axis=-1)
    return Operands((), matrix, offset - color.LEVEL, inverse, unshift)


def color_operands_vjp(
    xp: Namespace, matrix: Array | None, offset: Array | None, cotangents: Operands
) -> tuple[Array | None, Array | None]:
    """Cotangents of matrix and offset."""
    if matrix is None or offset is None or (cotangents.shift is None and cotangents.unshift is None):
        return None, None
    g_matrix, g_offset = xp.zeros_like(matrix), xp.zeros_like(offset)
    if cotangents.shift is not None:
        g_matrix = g_matrix + cotangents.matrix
        g_offset = g_offset + sum_to_shape(xp, cotangents.shift, offset.shape)
    if cotangents.unshift is not None:
        inverse = color.invert(xp, matrix)
        g_unshift = cotangents.unshift[..., :, None]
        through_unshift = g_unshift * (color.LEVEL - offset)[..., None, :]
        g_inverse = cotangents.inverse + sum_to_shape(xp, through_unshift, inverse.shape)
        g_matrix = g_matrix + color.invert_vjp(xp, inverse, g_inverse)
        g_offset = g_offset - sum_to_shape(xp, xp.sum(inverse * g_unshift, axis=-2), offset.shape)
    return g_matrix, g_offset
