r"""From quality to step sizes, and quantization by them.

.. math::

    s(q) = \lfloor 5000 / q \rfloor \text{ if } q < 50 \text{ else } \lfloor 200 - 2q \rfloor, \qquad
    Q = \mathrm{clip}\bigl(\lfloor (T s + 50) / 100 \rfloor, 1, 255\bigr), \qquad
    u = c / Q, \quad k = \mathrm{round}(u), \quad c' = k Q

as libjpeg has it. The qualities of an array are clipped to 1..100. The smooth scale adds what its floor misses at
integers (1/8 for the cubic): whole qualities give whole scales, and no step falls below the one that a file has.

Through quantization and back the step size cancels: with G the cotangent of c', the coefficient gets
:math:`g_c = G\,r'(u)` and the step :math:`\sum G k - \sum g_c u`. The rational surrogate depends on the step itself,
which adds a term: see `pyjpegdiff.stages.rational`. A performed rounding has another cotangent of the step, too: see
`pyjpegdiff.stages.elastic`.
"""

from collections.abc import Callable

from pyjpegdiff.arrays import hard_clip, unbroadcast
from pyjpegdiff.stages import rational
from pyjpegdiff.stages.dct import BLOCK
from pyjpegdiff.stages.surrogates import (
    FLOOR_AT_INTEGERS,
    LEAK,
    clip,
    floor,
    is_inside,
    round_half_away,
    rounding_surrogate,
)
from pyjpegdiff.types import Array, Namespace, Rounding, Shape

_Pairwise = Callable[[Namespace, Array, Array], Array]

# --- quality -> scale -------------------------------------------------------------------------------------------------


def scale(xp: Namespace, quality: Array, flooring: str, hard: bool) -> tuple[Array, Array]:
    """Scale of the tables, percent, and its derivative with respect to quality.

    Outside 1..100 the value is the bound's and the derivative `pyjpegdiff.stages.surrogates.LEAK` times the bound's, so
    that a quality that was stepped out of range finds its way back. At 50 both branches give 100, with the same
    derivative -2.
    """
    clipped = hard_clip(xp, quality, 1, 100)
    low = clipped < 50
    percent = xp.where(low, 5000 / clipped, 200 - 2 * clipped)
    slope = xp.where(low, -5000 / (clipped * clipped), xp.full_like(clipped, -2))
    value, derivative = floor(xp, percent, flooring, hard)
    if not hard:
        value = value - FLOOR_AT_INTEGERS[flooring]
    return value, _leaky(xp, clipped == quality, slope * derivative)


# --- table, scale -> steps --------------------------------------------------------------------------------------------


def steps(xp: Namespace, table: Array, scale: Array, flooring: str, hard: bool) -> tuple[Array, Array]:
    """Step sizes (..., 8, 8) for tables (..., 8, 8) and scales (...), and their derivative with respect to
    ``table * scale``.
    """
    exact = (table * scale[..., None, None] + 50) / 100
    floored, derivative = floor(xp, exact, flooring, hard)
    return clip(xp, floored, 1, 255, hard), _leaky(xp, is_inside(floored, 1, 255), derivative / 100)


def steps_vjp(xp: Namespace, table: Array, scale: Array, derivative: Array, cotangent: Array) -> tuple[Array, Array]:
    """Cotangents of table and scale."""
    g = cotangent * derivative
    g_table = unbroadcast(xp, g * scale[..., None, None], table.shape)
    g_scale = unbroadcast(xp, xp.sum(g * table, axis=(-2, -1)), scale.shape)
    return g_table, g_scale


def _leaky(xp: Namespace, inside: Array, slope: Array) -> Array:
    return xp.where(inside, slope, LEAK * slope)


# --- quantization -----------------------------------------------------------------------------------------------------


def divide(xp: Namespace, coefficients: Array, steps: Array) -> Array:
    """Coefficients (..., k, H, W) in place, in units of their step (..., 8, 8)."""
    return _times(xp, coefficients, 1 / steps)


def multiply(xp: Namespace, quantized: Array, steps: Array) -> Array:
    """Coefficients in units of their step -> coefficients; also the VJP of a forward `multiply`."""
    return _times(xp, quantized, steps)


def steps_cotangent(xp: Namespace, cotangent: Array, factor: Array, shape: Shape) -> Array:
    """Sum of ``cotangent * factor``, both in place, over all blocks and planes that a step met."""
    slab = _slab(xp, cotangent * factor)
    return unbroadcast(xp, slab if shape[-1] == slab.shape[-1] else untile(xp, slab), shape)


def block_sums(xp: Namespace, planes: Array) -> Array:
    """Sums (..., 8, 8) over all blocks and planes (..., k, H, W) of coefficients in place."""
    return untile(xp, _slab(xp, planes))


def _slab(xp: Namespace, planes: Array) -> Array:
    # Slabs first: they are contiguous, and leave little for the sum along them.
    *batch, count, height, width = planes.shape
    return xp.sum(xp.reshape(planes, (*batch, count * height // BLOCK, BLOCK, width)), axis=-3)


def tile(xp: Namespace, steps: Array, width: int) -> Array:
    """Steps (..., 8, 8), once for every block along a row: (..., 8, width)."""
    return xp.tile(steps, (*(1,) * (steps.ndim - 1), width // BLOCK))


def untile(xp: Namespace, tiled: Array) -> Array:
    """The adjoint of `tile`: (..., 8, width) -> (..., 8, 8)."""
    *batch, width = tiled.shape
    return xp.sum(xp.reshape(tiled, (*batch, width // BLOCK, BLOCK)), axis=-2)


def round_(xp: Namespace, u: Array, steps: Array, rounding: Rounding, hard: bool) -> Array:
    """Round, or the surrogate's value."""
    if hard:
        return round_half_away(xp, u)
    if rounding == "rational":
        return _softly(xp, rational.value, u, steps)
    return rounding_surrogate(rounding).value(xp, u)


def slope(xp: Namespace, u: Array, steps: Array, rounding: Rounding) -> Array:
    """The surrogate's derivative."""
    if rounding == "rational":
        return _softly(xp, rational.derivative, u, steps)
    return rounding_surrogate(rounding).derivative(xp, u)


def fall(xp: Namespace, u: Array, slope: Array, steps: Array, rounding: Rounding) -> Array:
    """By how much the surrogate falls per relative growth of the step."""
    by_quotient = slope * u
    return by_quotient + _softly(xp, rational.elongation, u, steps) if rounding == "rational" else by_quotient


def _softly(xp: Namespace, part: _Pairwise, u: Array, steps: Array) -> Array:
    return _by_frequency(xp, part, u, rational.SOFTNESS / steps)


def _times(xp: Namespace, planes: Array, factor: Array) -> Array:
    return _by_frequency(xp, lambda xp, slabs, factors: slabs * factors, planes, factor)


def _by_frequency(xp: Namespace, combine: _Pairwise, planes: Array, of_frequencies: Array) -> Array:
    """Planes (..., k, H, W) with an (..., 8, 8) that repeats over blocks and planes, or with its `tile`."""
    *batch, count, height, width = planes.shape
    tiled = of_frequencies if of_frequencies.shape[-1] == width else tile(xp, of_frequencies, width)
    slabs = xp.reshape(planes, (*batch, count * height // BLOCK, BLOCK, width))
    return xp.reshape(combine(xp, slabs, tiled[..., None, :, :]), planes.shape)
