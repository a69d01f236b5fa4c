r"""The 8x8 discrete cosine transform (T.81 A.3.3) of a whole plane, in place.

.. math::

    C = D X D^T, \qquad X = D^T C D, \qquad
    D_{uj} = \tfrac{c_u}{2} \cos\frac{(2j + 1) u \pi}{16}, \quad c_0 = \tfrac{1}{\sqrt 2},\ c_{u>0} = 1.

D is orthonormal: the VJP of the DCT is the inverse DCT, and the other way round. A plane stays ``(..., H, W)`` with
coefficient (u, v) of block (i, j) at row 8 i + u and column 8 j + v. So neither pass transposes anything: along W the
blocks are the rows of one tall ``(n, 8)`` matrix, along H they are ``(8, W)`` slabs.
"""

import math
from collections.abc import Callable

from pyjpegdiff.arrays import constant_like, for_exact_products, has_float64
from pyjpegdiff.types import Array, Namespace

BLOCK = 8
BASIS = tuple(
    tuple((math.sqrt(0.125) if u == 0 else 0.5) * math.cos((2 * j + 1) * u * math.pi / 16) for j in range(BLOCK))
    for u in range(BLOCK)
)

# libjpeg's "islow" DCT, butterflies multiplied out: sqrt(8) D with 13 fractional bits, each entry the sum of the
# rounded constants that libjpeg adds up on its way, hence 2259 beside 2260.
ISLOW = (
    (8192, 8192, 8192, 8192, 8192, 8192, 8192, 8192),
    (11363, 9633, 6437, 2260, -2260, -6437, -9633, -11363),
    (10703, 4433, -4433, -10703, -10703, -4433, 4433, 10703),
    (9633, -2259, -11362, -6436, 6436, 11362, 2259, -9633),
    (8192, -8192, -8192, 8192, 8192, -8192, -8192, 8192),
    (6437, -11362, 2261, 9633, -9633, -2261, 11362, -6437),
    (4433, -10704, 10704, -4433, -4433, 10704, -10704, 4433),
    (2260, -6436, 9633, -11363, 11363, -9633, 6436, -2260),
)
# In two parts, multiples of 2^7 and the rest.
ISLOW_HIGH = tuple(tuple((entry + 64) // 128 * 128 for entry in row) for row in ISLOW)
ISLOW_LOW = tuple(
    tuple(entry - high for entry, high in zip(row, highs, strict=True))
    for row, highs in zip(ISLOW, ISLOW_HIGH, strict=True)
)


def dct(xp: Namespace, planes: Array) -> Array:
    """Coefficients of every 8x8 block of (..., H, W), H and W multiples of 8."""
    basis = constant_like(xp, BASIS, planes)
    return left(xp, basis, right(xp, planes, xp.matrix_transpose(basis)))


def idct(xp: Namespace, coefficients: Array) -> Array:
    """Samples of every 8x8 block of coefficients; the adjoint of `dct`, and its inverse."""
    basis = constant_like(xp, BASIS, coefficients)
    return right(xp, left(xp, xp.matrix_transpose(basis), coefficients), basis)


def islow_dct(xp: Namespace, planes: Array) -> Array:
    """`dct` of whole samples -128..127 as libjpeg computes it: multiples of 1/8.

    The first pass is exact in float32: a row of ISLOW sums to 2^16 at most in magnitude, times 128 that is 2^23, and
    the rounding shift adds 2^10. Its results reach 2^12, so the second pass reaches 2^28.
    """
    wide = for_exact_products(xp, planes)
    rows = _shifted(xp, right(xp, wide, xp.matrix_transpose(_islow(xp, wide, 11))))
    eighths = _exact_pass(xp, lambda x, islow: left(xp, islow, x), rows, 15)
    return xp.astype(eighths, planes.dtype, copy=False) / 8


def islow_idct(xp: Namespace, coefficients: Array) -> Array:
    """`idct` of whole coefficients as libjpeg computes it, before its clip: whole samples."""
    columns = _exact_pass(xp, lambda x, islow: left(xp, xp.matrix_transpose(islow), x), coefficients, 11)
    samples = _exact_pass(xp, lambda x, islow: right(xp, x, islow), columns, 18)
    return xp.astype(samples, coefficients.dtype, copy=False)


def _exact_pass(xp: Namespace, product: Callable[[Array, Array], Array], planes: Array, shift: int) -> Array:
    """The product of whole planes with ISLOW, shifted: in float64, or in float32 where there is no other.

    Then it is the sum of two products that are exact as long as the planes are below 2^15, which is as far as libjpeg's
    own 32 bits reach: a row or a column of ISLOW_HIGH / 2^7 or of ISLOW_LOW sums to at most 2^9 in magnitude. What the
    shift leaves of the high one before its point is taken out first. What is then added up has 22 bits at most.
    """
    if has_float64(xp):
        wide = xp.astype(planes, xp.float64, copy=False)
        return _shifted(xp, product(wide, _islow(xp, wide, shift)))
    high = product(planes, constant_like(xp, ISLOW_HIGH, planes) * 2.0**-shift)
    low = product(planes, constant_like(xp, ISLOW_LOW, planes) * 2.0**-shift)
    whole = xp.floor(high)
    return whole + _shifted(xp, (high - whole) + low)


def _islow(xp: Namespace, like: Array, shift: int) -> Array:
    return constant_like(xp, ISLOW, like) * 2.0**-shift


def _shifted(xp: Namespace, x: Array) -> Array:
    """What libjpeg's DESCALE leaves, the shift itself being in the matrix."""
    return xp.floor(x + 0.5)


def right(xp: Namespace, planes: Array, matrix: Array) -> Array:
    """Multiply every row of every block by an 8x8 matrix from the right."""
    rows = math.prod(planes.shape) // BLOCK
    return xp.reshape(xp.matmul(xp.reshape(planes, (rows, BLOCK)), matrix), planes.shape)


def left(xp: Namespace, matrix: Array, planes: Array) -> Array:
    """Multiply every column of every block by an 8x8 matrix from the left."""
    width = planes.shape[-1]
    slabs = math.prod(planes.shape[:-1]) // BLOCK
    return xp.reshape(xp.matmul(matrix, xp.reshape(planes, (slabs, BLOCK, width))), planes.shape)


def to_blocks(xp: Namespace, plane: Array) -> Array:
    """(..., H, W) with coefficients in place -> a new (..., H / 8, W / 8, 8, 8)."""
    *batch, height, width = plane.shape
    split = xp.reshape(plane, (*batch, height // BLOCK, BLOCK, width // BLOCK, BLOCK))
    return xp.asarray(_swap_inner(xp, split), copy=True)


def from_blocks(xp: Namespace, blocks: Array) -> Array:
    """(..., H / 8, W / 8, 8, 8) -> (..., H, W)."""
    *batch, high, wide, _, _ = blocks.shape
    return xp.reshape(_swap_inner(xp, blocks), (*batch, high * BLOCK, wide * BLOCK))


def _swap_inner(xp: Namespace, x: Array) -> Array:
    batch_axes = range(x.ndim - 4)
    return xp.permute_dims(x, (*batch_axes, x.ndim - 4, x.ndim - 2, x.ndim - 3, x.ndim - 1))
