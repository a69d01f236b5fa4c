"""Checks that a VJP is the derivative of its function, for everyone who adds a stage."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pyjpegdiff.types import AnyArray

Floats = NDArray[np.float64]


def assert_vjp(
    function_vjp: Callable[..., tuple[AnyArray, Callable[[AnyArray], Sequence[AnyArray | None]]]],
    *inputs: ArrayLike,
    step: float = 1e-5,
    rtol: float = 1e-6,
    directions: int = 3,
    seed: int = 0,
) -> None:
    r"""Compare a VJP with central differences along random directions.

    For random v and w, :math:`\langle v, (f(x + hw) - f(x - hw)) / 2h \rangle` must equal
    :math:`\langle \mathrm{vjp}(v), w \rangle`. There must be no kink between x and either of the two points.

    Parameters
    ----------
    function_vjp : callable
        ``function_vjp(*inputs) -> (output, vjp)``, where ``vjp(cotangent)`` has one cotangent or None per input.
    *inputs : array_like
        The point at which to compare; converted to float64.
    step : float
        h, relative to the largest magnitude of an input, or to 1 if that is larger.
    rtol : float
        Allowed difference relative to the larger inner product, in addition to the rounding error of the central
        difference, ``2 eps |v| |f(x)| / h``.
    directions : int
        Number of pairs (v, w) to try.
    seed : int
        Seed of the random directions.

    Raises
    ------
    AssertionError
        The message has both inner products.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.testing import assert_vjp
    >>> assert_vjp(lambda x: (x**3, lambda v: (3 * x**2 * v,)), np.array([1.0, -2.0]))
    """
    rng = np.random.default_rng(seed)
    points = [np.asarray(value, np.float64) for value in inputs]
    output, vjp = function_vjp(*points)
    for _ in range(directions):
        v = rng.standard_normal(np.shape(output))
        cotangents = vjp(v)
        for index, (x, g) in enumerate(zip(points, cotangents, strict=True)):
            if g is None:
                continue
            if np.shape(g) != x.shape:
                raise AssertionError(f"input {index} has shape {x.shape}, its cotangent {np.shape(g)}")
            w = rng.standard_normal(x.shape)
            h = step * max(1.0, float(np.abs(x).max(initial=0)))
            forward, backward = (
                np.asarray(function_vjp(*points[:index], x + sign * h * w, *points[index + 1 :])[0]) for sign in (1, -1)
            )
            difference = (forward - backward) / (2 * h)
            numerical, explicit = float(np.vdot(v, difference)), float(np.vdot(g, w))
            scale = max(abs(numerical), abs(explicit))
            rounding = 2 * np.finfo(np.float64).eps * np.linalg.norm(v) * np.linalg.norm(output) / h
            if not abs(numerical - explicit) <= rtol * scale + rounding:
                raise AssertionError(
                    f"input {index}: <v, df(w)> = {numerical!r}, but <vjp(v), w> = {explicit!r}; "
                    f"difference {abs(numerical - explicit):.3g}, allowed {rtol * scale + rounding:.3g}"
                )


def assert_adjoint(
    forward: Callable[[AnyArray], AnyArray],
    adjoint: Callable[[AnyArray], AnyArray],
    x: AnyArray,
    y: AnyArray,
    *,
    rtol: float | None = None,
) -> None:
    r"""Check :math:`\langle A x, y \rangle = \langle x, A^T y \rangle`, the dot-product test of a linear stage.

    Parameters
    ----------
    forward, adjoint : callable
        A and its adjoint.
    x, y : array
        An input of A and an input of its adjoint.
    rtol : float, optional
        Allowed difference relative to ``|Ax| |y| + |x| |A'y|``. Default: 8 eps sqrt(n), with eps of the dtype and n
        elements.

    Raises
    ------
    AssertionError
        The message has both inner products.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff.testing import assert_adjoint
    >>> matrix = np.arange(6.0).reshape(2, 3)
    >>> assert_adjoint(lambda x: matrix @ x, lambda y: matrix.T @ y, np.ones(3), np.array([1.0, -1.0]))
    """
    ax, aty = np.asarray(forward(x)), np.asarray(adjoint(y))
    x, y = np.asarray(x), np.asarray(y)
    if ax.shape != y.shape or aty.shape != x.shape:
        raise AssertionError(f"A x is {ax.shape} and y {y.shape}; A'y is {aty.shape} and x {x.shape}")
    if rtol is None:
        rtol = 8 * float(np.finfo(np.result_type(ax, aty)).eps) * math.sqrt(max(x.size, y.size, 1))
    vectors: list[Floats] = [np.asarray(a, np.float64).ravel() for a in (ax, y, x, aty)]
    left, right = float(vectors[0] @ vectors[1]), float(vectors[2] @ vectors[3])
    norms = [float(np.linalg.norm(a)) for a in vectors]
    if not abs(left - right) <= rtol * (norms[0] * norms[1] + norms[2] * norms[3]):
        raise AssertionError(f"<A x, y> = {left!r}, but <x, A'y> = {right!r}")
