"""Operands for each sample, and sums over the axes along which an operand was broadcast: the adjoint of that."""

import math

from pyjpegdiff.spec import Array, Namespace


def by_sample(xp: Namespace, operand: Array, own: int, leading: tuple[int, ...]) -> Array:
    """An operand with leading axes, broadcast to the image's and flattened: one for each sample, (samples, ...)."""
    shape = operand.shape[operand.ndim - own :]
    return xp.reshape(xp.broadcast_to(operand, (*leading, *shape)), (math.prod(leading), *shape))


def sum_to_shape(xp: Namespace, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Sum over every axis that broadcasting to ``cotangent.shape`` added to ``shape`` or stretched."""
    added = cotangent.ndim - len(shape)
    axes = tuple(
        axis for axis in range(cotangent.ndim) if axis < added or shape[axis - added] == 1 != cotangent.shape[axis]
    )
    summed = xp.sum(cotangent, axis=axes) if axes else cotangent
    return xp.reshape(summed, shape)
