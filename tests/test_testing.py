import numpy as np
import pytest

from pyjpegdiff.testing import assert_adjoint, assert_vjp

X = np.array([0.5, -1.5, 2.0])


def square(factor, shape=None):
    return lambda x: (x * x, lambda v: (np.resize(factor * x * v, shape or x.shape),))


def test_right_vjp_passes():
    cotangents = []

    def square_vjp(x):
        def vjp(v):
            cotangents.append(v)
            return (2 * x * v,)

        return x * x, vjp

    assert_vjp(square_vjp, X, directions=5)
    assert [v.shape for v in cotangents] == [X.shape] * 5


def test_vjp_off_by_a_millionth_fails_with_both_products():
    with pytest.raises(AssertionError, match=r"<v, df\(w\)> = .* but <vjp\(v\), w> = "):
        assert_vjp(square(2 + 1e-5), X)


def test_vjp_of_the_wrong_shape_fails():
    with pytest.raises(AssertionError, match="shape"):
        assert_vjp(square(2, shape=(1, 3)), X)


def test_input_without_a_cotangent_is_skipped():
    points = []

    def product_vjp(x, y):
        points.append((x, y))
        return x * y, lambda v: (v * y, None)

    assert_vjp(product_vjp, X, X, directions=1)
    assert [np.array_equal(x, X) for x, _ in points] == [True, False, False]
    assert [np.array_equal(y, X) for _, y in points] == [True, True, True]


def test_adjoint():
    matrix = np.random.default_rng(0).normal(size=(4, 3))
    y = np.arange(4.0)
    assert_adjoint(lambda x: matrix @ x, lambda y: matrix.T @ y, X, y)
    with pytest.raises(AssertionError, match="<A x, y> = "):
        assert_adjoint(lambda x: matrix @ x, lambda y: 1.0001 * matrix.T @ y, X, y)
    with pytest.raises(AssertionError, match="A x is"):
        assert_adjoint(lambda x: matrix @ x, lambda y: y, X, y)
