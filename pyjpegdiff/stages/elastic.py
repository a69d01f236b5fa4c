r"""The elastic cotangent of step sizes: how the error of a performed rounding changes with the step.

With u the coefficients of one frequency of an image, in units of their step Q, k the whole ones,
:math:`\varepsilon = k - u`, and G the cotangent of the reconstructed coefficients :math:`k Q`,

.. math::

    E(f) = \sum \bigl(f\,\mathrm{round}(u / f) - u\bigr)^2, \qquad
    \rho = \mathrm{clip}\Bigl(\frac{E(1 + \delta) - E(1 - \delta)}{4 \delta\, E(1)}, \rho_0, 1\Bigr), \qquad
    g_Q = \rho \sum G \varepsilon, \qquad \delta = \tfrac14, \quad \rho_0 = \tfrac1{20}

:math:`Q^2 E(f)` is the squared error of rounding to multiples of f Q, and :math:`\rho` half the slope of its logarithm
over that of f, by a central difference. It is 1 for coefficients of many steps: their error is spread evenly over half
a step to either side, and grows as the step does. Where all of them become zero at any such step it would be 0; the
least value brings a step back that has become too coarse. Sums are over the blocks of luma, or of both planes of
chroma, of one image: a batch gets what its images would get alone.
"""

from pyjpegdiff.arrays import hard_clip
from pyjpegdiff.stages.quantization import block_sums
from pyjpegdiff.types import Array, Namespace

REACH = 0.25
"""By how much of itself a step is varied."""
LEAST = 0.05
"""Share of the error that counts as if it grew with the step, where none does."""
SUMS = 3
"""How many there are with decoding."""


def sums(xp: Namespace, cotangent: Array, u: Array, k: Array, decodes: bool) -> Array:
    """What `steps_cotangent` needs, (..., 3 or 4, 8, 8), of each image or of a part of it.

    Sums over blocks and planes of G times the error, of the change of its square, and of its square; arguments
    (..., planes, H, W) in place. Decoding gives a step its sum of G k: whoever does not decode takes it off.
    """
    error = k - u
    change = _squared_error(xp, u, 1 + REACH) - _squared_error(xp, u, 1 - REACH)
    factors = (cotangent * error, change, error * error, *(() if decodes else (-cotangent * k,)))
    return xp.stack([block_sums(xp, x) for x in factors], axis=-3)


def steps_cotangent(xp: Namespace, sums: Array) -> Array:
    """Cotangent of the step sizes of each image, (..., 8, 8), from the sums of all of it."""
    product, change, square, *others = (sums[..., i, :, :] for i in range(sums.shape[-3]))
    # Where there is no error, the product is zero, too.
    elasticity = change / (4 * REACH * xp.where(square > 0, square, xp.ones_like(square)))
    return sum(others, start=hard_clip(xp, elasticity, LEAST, 1) * product)


def _squared_error(xp: Namespace, u: Array, factor: float) -> Array:
    error = factor * xp.round(u * (1 / factor)) - u
    return error * error
