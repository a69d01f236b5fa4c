import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff import numpy_namespace
from pyjpegdiff.numpy_namespace import xp

X = np.random.default_rng(0).normal(0, 3, (4, 5, 6)).astype(np.float32)


def test_everything_else_is_numpys():
    assert xp.floor is np.floor
    assert xp.float64 is np.float64
    assert xp.bool is np.bool


def test_what_is_replaced_does_the_same():
    for got, expected in [
        (xp.astype(X, xp.float64), X.astype(float)),
        (xp.clip(X, -1, 1), np.clip(X, -1, 1)),
        (xp.clip(np.float32(7), 0, 1), np.float32(1)),
        (xp.matrix_transpose(X), np.matrix_transpose(X)),
        (xp.reshape(X, (20, 6)), np.reshape(X, (20, 6))),
        (xp.round(X), np.round(X)),
        (xp.sum(X, axis=-1), np.sum(X, axis=-1)),
        (xp.sum(X, axis=(0, 2), keepdims=True), np.sum(X, axis=(0, 2), keepdims=True)),
    ]:
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    assert xp.astype(X, X.dtype, copy=False) is X
    assert xp.astype(X, X.dtype) is not X
    assert np.isnan(xp.clip(np.array([np.nan]), 0, 1)).all()


@given(
    rows=st.integers(0, 30),
    inner=st.integers(1, 9),
    columns=st.integers(0, 30),
    batch_shapes=st.sampled_from([((), ()), ((2,), ()), ((), (3,)), ((2, 1), (3,))]),
    largest=st.sampled_from([1, 20, 100, 2**18]),
)
def test_products_in_pieces_are_the_product(rows, inner, columns, batch_shapes, largest):
    rng = np.random.default_rng(0)
    # Whole numbers: exact in any order of addition.
    a = rng.integers(-9, 10, (*batch_shapes[0], rows, inner)).astype(np.float32)
    b = rng.integers(-9, 10, (*batch_shapes[1], inner, columns)).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_namespace, "LARGEST_PRODUCT", largest)
        product = xp.matmul(a, b)
    assert product.dtype == np.float32
    np.testing.assert_array_equal(product, a @ b)


def test_no_product_is_large_enough_for_threads(monkeypatch):
    sizes = []
    numpys = np.matmul

    def spy(a, b, out=None):
        sizes.append(a.shape[-2] * a.shape[-1] * b.shape[-1])
        return numpys(a, b, out=out) if out is not None else numpys(a, b)

    monkeypatch.setattr(np, "matmul", spy)
    xp.matmul(np.ones((3, 3), np.float32), np.ones((3, 100_000), np.float32))
    xp.matmul(np.ones((50_000, 8), np.float32), np.ones((8, 8), np.float32))
    assert len(sizes) > 2
    assert max(sizes) <= numpy_namespace.LARGEST_PRODUCT
    xp.matmul(np.ones((3, 200_000), np.float32), np.ones((200_000, 3), np.float32))
    assert sizes[-1] == 200_000 * 3  # the inner axis is not cut, all others are
