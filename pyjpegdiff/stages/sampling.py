r"""Chroma down- and upsampling, and the replication that fills the last blocks.

Downsampling takes the mean of the samples that share a chroma sample (T.81 leaves it open; libjpeg does this).
Upsampling is libjpeg's "fancy" triangle filter: along each halved axis, with edges replicated,

.. math:: y_{2j} = \tfrac14 x_{j-1} + \tfrac34 x_j, \qquad y_{2j+1} = \tfrac34 x_j + \tfrac14 x_{j+1}.

Its adjoint is a triangle again, :math:`g_j = \tfrac34 (g^e_j + g^o_j) + \tfrac14 (g^e_{j+1} + g^o_{j-1})` over the
cotangents of even and odd outputs, and replicating the *cotangent* at the edges is just what replicating x there asks
for. So forward and VJP both take their rows with a halo of one, which is a neighbor's row inside an image and a
replicated one at its border. Every call has whole rows of the image, so columns are replicated here.

``hard`` adds the codec's roundings, each ``floor(x + bias)`` with libjpeg's biases. They alternate, so that the
average error of rounding is zero; their derivative is the identity.
"""

from pyjpegdiff.arrays import add_to, constant_like, multiply_by
from pyjpegdiff.stages.dct import BLOCK
from pyjpegdiff.types import Array, Namespace, Size

DOWN_BIAS = {(1, 2): (0.0, 0.5), (2, 1): (0.5, 0.5), (2, 2): (0.25, 0.5)}
"""Of even and odd columns, by (rows, columns) per sample: 1 + (column & 1) quarters, and so on."""
UP_BIAS = {(1, 2): (0.25, 0.5), (2, 1): (0.25, 0.5), (2, 2): (0.5, 7 / 16)}
"""Of even and odd outputs along the last upsampled axis."""


def ceil_div(a: int, b: int) -> int:
    """Quotient, rounded up."""
    return -(-a // b)


def sample_size(size: Size, sampling: tuple[int, int]) -> Size:
    """Height and width in samples of a component, before it is filled to whole blocks."""
    return -(-size[0] // sampling[0]), -(-size[1] // sampling[1])


def padded_size(size: Size, sampling: tuple[int, int]) -> Size:
    """Height and width in samples of a component's whole blocks."""
    # Every call asks this a dozen times, and sizes may be symbols: formulas in place, and no branches.
    high, wide = BLOCK * sampling[0], BLOCK * sampling[1]
    return (size[0] + high - 1) // high * BLOCK, (size[1] + wide - 1) // wide * BLOCK


# --- downsampling -----------------------------------------------------------------------------------------------------


def downsample(xp: Namespace, planes: Array, sampling: tuple[int, int], hard: bool) -> Array:
    """Mean of ``sampling`` samples, over whole blocks: ``(..., H, W) -> (..., *padded_size)``.

    As libjpeg fills up: the last column is replicated before the mean is taken; the last row only to complete its
    group, and then the last row of *means*.
    """
    rows, columns = sampling
    height, width = padded_size((planes.shape[-2], planes.shape[-1]), sampling)
    means = replicate_end(xp, planes, -1, columns * width)
    means = replicate_end(xp, means, -2, rows * ceil_div(planes.shape[-2], rows))
    if rows == 2:
        means = means[..., 0::2, :] + means[..., 1::2, :]
    if columns == 2:
        means = means[..., 0::2] + means[..., 1::2]
    if rows * columns > 1:
        means = means * (1 / (rows * columns))
        if hard:
            bias = constant_like(xp, DOWN_BIAS[sampling], means)
            means = xp.floor(means + xp.tile(bias, (width // 2,)))
    return replicate_end(xp, means, -2, height)


def downsample_vjp(xp: Namespace, cotangent: Array, sampling: tuple[int, int], size: Size) -> Array:
    """Cotangent of the planes of that size."""
    rows, columns = sampling
    height, width = size
    g = replicate_end_vjp(xp, cotangent, -2, ceil_div(height, rows))
    if rows * columns > 1:
        g = g * (1 / (rows * columns))
    if columns == 2:
        g = interleave(xp, g, g, -1)
    if rows == 2:
        g = interleave(xp, g, g, -2)
    return replicate_end_vjp(xp, replicate_end_vjp(xp, g, -2, height), -1, width)


# --- upsampling -------------------------------------------------------------------------------------------------------


def upsample(xp: Namespace, planes: Array, sampling: tuple[int, int], hard: bool) -> Array:
    """(..., h + 2 if rows are doubled, w) with a one-row halo then -> (..., rows * h, columns * w)."""
    rows, columns = sampling
    if not is_triangle(sampling, planes.shape[-1]):
        inner = planes[..., 1:-1, :] if rows == 2 else planes
        return _repeat(xp, inner, sampling)
    biases = UP_BIAS[sampling] if hard and sampling != (1, 1) else None
    if columns == 2:
        planes = halo(xp, planes, -1)
    if rows == 2:
        planes = _triangle(xp, planes, -2, biases if columns == 1 else None)
    if columns == 2:
        planes = _triangle(xp, planes, -1, biases)
    return planes


def upsample_vjp(xp: Namespace, cotangent: Array, sampling: tuple[int, int]) -> Array:
    """(..., 2 h + 2 if rows are doubled, columns * w) with a one-row halo then -> (..., h, w)."""
    rows, columns = sampling
    if not is_triangle(sampling, cotangent.shape[-1] // columns):
        inner = cotangent[..., 1:-1, :] if rows == 2 else cotangent
        return _repeat_vjp(inner, sampling)
    # Rows first: they are contiguous, and halve what the columns cost.
    g = cotangent
    if rows == 2:
        g = _triangle_vjp(xp, g, -2)
    if columns == 2:
        g = _triangle_vjp(xp, halo(xp, g, -1), -1)
    return g


def is_triangle(sampling: tuple[int, int], width: int) -> bool:
    """Whether libjpeg filters at all: where columns are doubled it repeats planes of one or two columns."""
    return sampling[1] == 1 or width > 2


def _triangle(xp: Namespace, x: Array, axis: int, biases: tuple[float, float] | None) -> Array:
    near = 0.75 * at(x, axis, slice(1, -1))
    quarter = 0.25 * x
    even = near + at(quarter, axis, slice(None, -2))
    odd = add_to(xp, near, at(quarter, axis, slice(2, None)))
    if biases is not None:
        even = xp.floor(add_to(xp, even, biases[0]))
        odd = xp.floor(add_to(xp, odd, biases[1]))
    return interleave(xp, even, odd, axis)


def _triangle_vjp(xp: Namespace, g: Array, axis: int) -> Array:
    # With the halo, odd outputs stand at 0, 2, 4, ... and even ones at 1, 3, 5, ...
    odd, even = at(g, axis, slice(0, None, 2)), at(g, axis, slice(1, None, 2))
    odd_before, odd_own = at(odd, axis, slice(None, -1)), at(odd, axis, slice(1, None))
    even_own, even_after = at(even, axis, slice(None, -1)), at(even, axis, slice(1, None))
    near, far = even_own + odd_own, even_after + odd_before
    return add_to(xp, multiply_by(xp, near, 0.75), multiply_by(xp, far, 0.25))


def _repeat(xp: Namespace, x: Array, sampling: tuple[int, int]) -> Array:
    for axis, factor in zip((-2, -1), sampling, strict=True):
        x = interleave(xp, x, x, axis) if factor == 2 else x
    return x


def _repeat_vjp(g: Array, sampling: tuple[int, int]) -> Array:
    for axis, factor in zip((-2, -1), sampling, strict=True):
        g = at(g, axis, slice(0, None, 2)) + at(g, axis, slice(1, None, 2)) if factor == 2 else g
    return g


# --- rows and columns -------------------------------------------------------------------------------------------------


def at(x: Array, axis: int, index: slice) -> Array:
    """Index one of the last two axes."""
    return x[..., index] if axis == -1 else x[..., index, :]


def halo(xp: Namespace, x: Array, axis: int, before: Array | None = None, after: Array | None = None) -> Array:
    """One row or column more on either side: a neighbor's if given, else replicated."""
    before = at(x, axis, slice(None, 1)) if before is None else before
    after = at(x, axis, slice(-1, None)) if after is None else after
    return xp.concat((before, x, after), axis=axis)


def interleave(xp: Namespace, even: Array, odd: Array, axis: int) -> Array:
    """Rows (axis -2) or columns (axis -1) of two planes in turn."""
    *batch, height, width = even.shape
    if axis == -1:
        return xp.reshape(xp.concat((even[..., None], odd[..., None]), axis=-1), (*batch, height, 2 * width))
    return xp.reshape(xp.concat((even, odd), axis=-1), (*batch, 2 * height, width))


def replicate_end(xp: Namespace, x: Array, axis: int, length: int) -> Array:
    """Repeat the last row or column until there are ``length``."""
    missing = length - x.shape[axis]
    if missing == 0:
        return x
    last = at(x, axis, slice(-1, None))
    shape = (*x.shape[:-1], missing) if axis == -1 else (*x.shape[:-2], missing, x.shape[-1])
    return xp.concat((x, xp.broadcast_to(last, shape)), axis=axis)


def replicate_end_vjp(xp: Namespace, g: Array, axis: int, length: int) -> Array:
    """The adjoint of `replicate_end`: what repeated rows or columns got goes to the one that was repeated."""
    if length == g.shape[axis]:
        return g
    kept = at(g, axis, slice(None, length - 1))
    last = xp.sum(at(g, axis, slice(length - 1, None)), axis=axis, keepdims=True)
    return xp.concat((kept, last), axis=axis)
