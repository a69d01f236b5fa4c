r"""Rounding, floor and clip, each with a surrogate that has a useful derivative.

Every surrogate is a pair ``(value, derivative)`` of functions ``f(xp, x)``. With :math:`d = x - \mathrm{round}(x)`:

========== ================================================== ==========================================
rounding   value                                              derivative
========== ================================================== ==========================================
cubic      :math:`\mathrm{round}(x) + d^3` (Shin & Song 2017)  :math:`3 d^2`
identity   :math:`x`                                          :math:`1`
sine       :math:`x - \sin(2\pi x) / 2\pi`                    :math:`1 - \cos(2\pi x)`
fourier    :math:`x - \sum_{k=1}^{10} (-1)^{k+1}              :math:`1 - 2 \sum_{k=1}^{10} (-1)^{k+1}
           \sin(2\pi k x) / \pi k`                            \cos(2\pi k x)`
tanh       :math:`\lfloor x \rfloor + (1 + \tanh(\kappa t)    :math:`\kappa (1 - \tanh^2(\kappa t)) / 2
           / \tanh(\kappa / 2)) / 2`,                         \tanh(\kappa / 2)`
           :math:`t = x - \lfloor x \rfloor - 1/2`
========== ================================================== ==========================================

With :math:`d = x - \lfloor x \rfloor - 1/2`:

======== ======================================= ==============
flooring value                                   derivative
======== ======================================= ==============
cubic    :math:`\lfloor x \rfloor + d^3`         :math:`3 d^2`
identity :math:`x - 1/2`                         :math:`1`
======== ======================================= ==============

The default of rounding, ``"rational"``, depends on the step size: see `pyjpegdiff.stages.rational`.

At a tie ``x = n + 1/2`` the cubic jumps from n + 1/8 to n + 7/8; round-half-to-even picks the side of the value,
and the derivative is 3/4 on both. The other four roundings are continuous and need no convention.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

from pyjpegdiff.arrays import hard_clip
from pyjpegdiff.types import Array, Namespace, Rounding

LEAK = 1e-3
"""Slope of a clip outside its bounds, so that a gradient still reaches what was clipped."""

FOURIER_TERMS = 10
TANH_STEEPNESS = 5.0


class Surrogate(NamedTuple):
    """A smooth stand-in for a step function, and the derivative of the stand-in."""

    value: Callable[[Namespace, Array], Array]
    derivative: Callable[[Namespace, Array], Array]


def _cubic_round(xp: Namespace, x: Array) -> Array:
    nearest = xp.round(x)
    d = x - nearest
    return nearest + d * d * d


def _cubic_round_derivative(xp: Namespace, x: Array) -> Array:
    d = x - xp.round(x)
    return 3 * d * d


def _identity(xp: Namespace, x: Array) -> Array:
    return x


def _one(xp: Namespace, x: Array) -> Array:
    return xp.ones_like(x)


def _phase(xp: Namespace, x: Array) -> Array:
    # Reduced to one period before the sine: 2 pi x itself loses digits where x is large.
    return 2 * math.pi * (x - xp.round(x))


def _sine_round(xp: Namespace, x: Array) -> Array:
    return x - xp.sin(_phase(xp, x)) / (2 * math.pi)


def _sine_round_derivative(xp: Namespace, x: Array) -> Array:
    return 1 - xp.cos(_phase(xp, x))


def _fourier_round(xp: Namespace, x: Array) -> Array:
    phase = _phase(xp, x)
    terms = ((-1) ** (k + 1) / (math.pi * k) * xp.sin(k * phase) for k in range(1, FOURIER_TERMS + 1))
    return x - sum(terms)


def _fourier_round_derivative(xp: Namespace, x: Array) -> Array:
    phase = _phase(xp, x)
    return 1 - 2 * sum((-1) ** (k + 1) * xp.cos(k * phase) for k in range(1, FOURIER_TERMS + 1))


def _tanh_round(xp: Namespace, x: Array) -> Array:
    below = xp.floor(x)
    t = xp.tanh(TANH_STEEPNESS * (x - below - 0.5))
    return below + 0.5 + t / (2 * math.tanh(TANH_STEEPNESS / 2))


def _tanh_round_derivative(xp: Namespace, x: Array) -> Array:
    t = xp.tanh(TANH_STEEPNESS * (x - xp.floor(x) - 0.5))
    return (1 - t * t) * (TANH_STEEPNESS / (2 * math.tanh(TANH_STEEPNESS / 2)))


ROUNDINGS = {
    "cubic": Surrogate(_cubic_round, _cubic_round_derivative),
    "identity": Surrogate(_identity, _one),
    "sine": Surrogate(_sine_round, _sine_round_derivative),
    "fourier": Surrogate(_fourier_round, _fourier_round_derivative),
    "tanh": Surrogate(_tanh_round, _tanh_round_derivative),
}
"""Those that are functions of the coefficient in units of its step alone."""
ROUNDING_NAMES = (*ROUNDINGS, "rational")


def rounding_surrogate(rounding: Rounding) -> Surrogate:
    """The surrogate of that name, or the caller's pair of functions of one array."""
    if isinstance(rounding, str):
        return ROUNDINGS[rounding]
    value, derivative = rounding
    return Surrogate(_of_one_array("value", value), _of_one_array("derivative", derivative))


def _of_one_array(role: str, function: Callable[[Array], Array]) -> Callable[[Namespace, Array], Array]:
    """A function of the caller's, whose results might have any form."""

    def checked(xp: Namespace, x: Array) -> Array:
        result = function(x)
        shape = getattr(result, "shape", None)
        if shape is None or tuple(shape) != tuple(x.shape):
            got = type(result).__name__ if shape is None else f"shape {tuple(shape)}"
            raise ValueError(
                f"rounding must be functions that return an array of their argument's shape: the {role} was given "
                f"shape {tuple(x.shape)} and returned {got}"
            )
        return result

    return checked


def round_half_away(xp: Namespace, x: Array) -> Array:
    """Round ties away from zero, as libjpeg rounds coefficients.

    Round-half-to-even after a relative nudge of 2^-20, which outweighs the rounding of ``coefficient * (1 / step)``
    (2^-23) and so settles every tie. It moves nothing else: coefficients are eighths and steps at most 255, so what is
    no tie is 1 / 2040 away from one, and a coefficient of at most 1040 steps is nudged by less than 1e-3 / step.
    """
    return xp.round(x * (1 + 2.0**-20))


# --- floor: (value, derivative); both end one half below their argument on average, as the floor does -----------------


def _cubic_floor(xp: Namespace, x: Array) -> Array:
    # floor(x), not round(x - 1/2): at integers, which every whole quality hits, half-to-even would jump about.
    below = xp.floor(x)
    d = x - below - 0.5
    return below + d * d * d


def _cubic_floor_derivative(xp: Namespace, x: Array) -> Array:
    d = x - xp.floor(x) - 0.5
    return 3 * d * d


def _unbiased_floor(xp: Namespace, x: Array) -> Array:
    return x - 0.5


FLOORINGS = {
    "cubic": Surrogate(_cubic_floor, _cubic_floor_derivative),
    "identity": Surrogate(_unbiased_floor, _one),
}
FLOOR_AT_INTEGERS = {"cubic": -0.125, "identity": -0.5}
"""By how much each smooth floor misses an integer that it is given."""


def floor(xp: Namespace, x: Array, flooring: str, hard: bool) -> tuple[Array, Array]:
    """Floor, or its smooth surrogate, and the surrogate's derivative either way."""
    surrogate = FLOORINGS[flooring]
    value = xp.floor(x) if hard else surrogate.value(xp, x)
    return value, surrogate.derivative(xp, x)


# --- clip: slope 1 inside, bounds included, LEAK outside --------------------------------------------------------------


def clip(xp: Namespace, x: Array, low: float, high: float, hard: bool) -> Array:
    """Clip, hard or with slope `LEAK` outside."""
    clipped = hard_clip(xp, x, low, high)
    return clipped if hard else clipped + LEAK * (x - clipped)


def is_inside(x: Array, low: float, high: float) -> Array:
    """The mask of what a clip leaves as it is, bounds included."""
    return (x >= low) & (x <= high)


def clip_vjp(xp: Namespace, cotangent: Array, inside: Array) -> Array:
    """Cotangent of what was clipped: whole inside, `LEAK` of it outside."""
    # A product, which costs NumPy a quarter of what `where` does.
    return cotangent * hard_clip(xp, xp.astype(inside, cotangent.dtype), LEAK, 1)
