"""Sums over the axes along which an operand was broadcast: the adjoint of broadcasting."""

from pyjpegdiff.spec import Array, Namespace


def sum_to_shape(xp: Namespace, cotangent: Array, shape: tuple[int, ...]) -> Array:
    """Sum over every axis that broadcasting to ``cotangent.shape`` added to ``shape`` or stretched."""
    added = cotangent.ndim - len(shape)
    axes = tuple(
        axis for axis in range(cotangent.ndim) if axis < added or shape[axis - added] == 1 != cotangent.shape[axis]
    )
    summed = xp.sum(cotangent, axis=axes) if axes else cotangent
    return xp.reshape(summed, shape)
