r"""The rational surrogate of rounding, whose edges are as soft in gray levels at a large step as at a small one.

With u a coefficient in units of its step Q, and :math:`d = u - \mathrm{round}(u)`,

.. math::

    r(u) = \mathrm{round}(u) + \frac{a d}{3 D}, \qquad
    \frac{\partial r}{\partial u} = \frac{a (a + 1 + 4 d^2)}{3 D^2}, \qquad
    \frac{\partial r}{\partial a} = \frac{d (1 - 4 d^2)}{3 D^2}, \qquad
    D = a + 1 - 4 d^2, \qquad a = \frac{s}{Q}

It is the mean of round(u + n) over a dither n, which is zero in two of three cases. In the third it has a density
around zero, three times the derivative of r around a tie: a peak of a width in proportion to a, with tails that fall
with the square. In gray levels that width does not depend on the step: at every quality, a coefficient counts if a
change of the image by a few gray levels can move it over a tie. At a tie n + 1/2 the value jumps from n + 1/6 to
n + 5/6, and the derivative is the same on both sides.

Because a depends on the step, so does r: with the coefficient c held fixed,
:math:`-Q\,\partial r / \partial Q = u\,\partial r / \partial u + a\,\partial r / \partial a`.
"""

from pyjpegdiff.types import Array, Namespace

SOFTNESS = 8.0
"""s, in gray levels."""


def value(xp: Namespace, u: Array, a: Array) -> Array:
    """The mean of the rounded coefficient."""
    nearest = xp.round(u)
    d = u - nearest
    return nearest + a * d / (3 * (a + 1 - 4 * d * d))


def derivative(xp: Namespace, u: Array, a: Array) -> Array:
    """With respect to u, a held fixed."""
    d = u - xp.round(u)
    square = 4 * d * d
    below = a + 1 - square
    return a * (a + 1 + square) / (3 * below * below)


def elongation(xp: Namespace, u: Array, a: Array) -> Array:
    """The derivative with respect to a, times a; u held fixed."""
    d = u - xp.round(u)
    square = 4 * d * d
    below = a + 1 - square
    return a * d * (1 - square) / (3 * below * below)
