r"""Color conversion: RGB to YCbCr and back, one affine map per pixel.

.. math::

    \mathrm{ycc} = M\,\mathrm{rgb} + o - 128, \qquad
    \mathrm{rgb} = M^{-1}\,\mathrm{ycc} + M^{-1} (128 - o)

with the level shift of T.81 A.3.1 folded in: planes are centered, -128..127, from here to the way back. The default is
JFIF's matrix and offset (0, 128, 128).
"""

import math

from pyjpegdiff.arrays import add_to, unbroadcast
from pyjpegdiff.types import Array, Namespace

LEVEL = 128.0
MATRIX = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
OFFSET = (0.0, 128.0, 128.0)


def _fixed(*weights: float) -> tuple[float, ...]:
    """Libjpeg's fixed point of 16 fractional bits."""
    return tuple(math.copysign(int(abs(weight) * 65536 + 0.5), weight) / 65536 for weight in weights)


# libjpeg writes five decimals. Each entry is an integer over 2^16, each row of FIXED_MATRIX sums to 1 or 0. All that
# `mix` does with these is exact in float32, whose significand holds 24 bits, in whatever order it adds:
#   - RGB of 0..255: every partial sum is below 256 in magnitude, a multiple of 2^-16.
#   - centered planes, -128..127, by FIXED_INVERSE: every partial sum but the last is below 128 (1 + 0.71414) < 256; the
#     last is exact as well, unless it is beyond 256, where rounding is monotone and the clip decides.
FIXED_MATRIX = (_fixed(0.299, 0.587, 0.114), _fixed(-0.16874, -0.33126, 0.5), _fixed(0.5, -0.41869, -0.08131))
FIXED_SHIFT = (-LEVEL, 0.0, 0.0)
FIXED_INVERSE = (_fixed(1, 0, 1.402), _fixed(1, -0.34414, -0.71414), _fixed(1, 1.772, 0))
FIXED_UNSHIFT = (LEVEL, LEVEL, LEVEL)


def mix(xp: Namespace, matrix: Array, shift: Array, planes: Array) -> Array:
    """``matrix @ planes + shift`` per pixel: (..., n, m), (..., n) and (..., m, H, W) give (..., n, H, W)."""
    return add_to(xp, _matmul_pixels(xp, matrix, planes), shift[..., None, None])


def mix_vjp(xp: Namespace, matrix: Array, cotangent: Array) -> Array:
    """Cotangent of ``planes``."""
    return _matmul_pixels(xp, xp.matrix_transpose(matrix), cotangent)


def mix_vjp_parameters(
    xp: Namespace, matrix: Array, shift: Array, planes: Array, cotangent: Array
) -> tuple[Array, Array]:
    """Cotangents of ``matrix`` and ``shift``, of their shapes."""
    g_matrix = xp.matmul(_flat(xp, cotangent), xp.matrix_transpose(_flat(xp, planes)))
    g_shift = xp.sum(cotangent, axis=(-2, -1))
    return unbroadcast(xp, g_matrix, matrix.shape), unbroadcast(xp, g_shift, shift.shape)


def invert(xp: Namespace, matrix: Array) -> Array:
    """Inverse of (..., 3, 3) by its adjugate: rows are cross products of columns, over the determinant.

    ``linalg`` is an optional extension of the standard, synchronizes CUDA and knows no bfloat16.
    """
    a, b, c = matrix[..., 0, :], matrix[..., 1, :], matrix[..., 2, :]
    bc = _cross(xp, b, c)
    adjugate = xp.stack((bc, _cross(xp, c, a), _cross(xp, a, b)), axis=-1)
    return adjugate / xp.sum(a * bc, axis=-1)[..., None, None]


def invert_vjp(xp: Namespace, inverse: Array, cotangent: Array) -> Array:
    r"""Cotangent of the matrix, :math:`-M^{-T} G M^{-T}`."""
    transposed = xp.matrix_transpose(inverse)
    return -xp.matmul(transposed, xp.matmul(cotangent, transposed))


def _cross(xp: Namespace, a: Array, b: Array) -> Array:
    a0, a1, a2 = a[..., 0], a[..., 1], a[..., 2]
    b0, b1, b2 = b[..., 0], b[..., 1], b[..., 2]
    return xp.stack((a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0), axis=-1)


def _flat(xp: Namespace, planes: Array) -> Array:
    *batch, height, width = planes.shape
    return xp.reshape(planes, (*batch, height * width))


def _matmul_pixels(xp: Namespace, matrix: Array, planes: Array) -> Array:
    mixed = xp.matmul(matrix, _flat(xp, planes))
    return xp.reshape(mixed, (*mixed.shape[:-1], *planes.shape[-2:]))
