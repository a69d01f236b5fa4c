"""Bits of JAX arrays, with NumPy's as the reference."""

import numpy as np
import pytest

import pyjpegdiff
from pyjpegdiff.rate import HUFFMAN
from tests.samples import THOROUGH, noisy_ramp

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")
adapter = pytest.importorskip("pyjpegdiff.adapters.jax")
jpeg_encode, jpeg_rate = adapter.jpeg_encode, adapter.jpeg_rate

BLOCKS = ("y", "cb", "cr")


@pytest.fixture(scope="module")
def both():
    """Unrounded coefficients of a batch, as NumPy's arrays and as JAX's."""
    images = np.stack([noisy_ramp(seed, 19, 27) for seed in range(3)]).astype(np.float32)
    arrays = pyjpegdiff.jpeg_encode(images, 80, rounding="identity", channel_axis=-1)
    return arrays, jax.tree.map(jnp.asarray, arrays)


def test_bits_of_optimized_tables_are_numpys(both):
    arrays, given = both
    bits = pyjpegdiff.jpeg_rate(given, huffman="optimized")
    np.testing.assert_array_equal(bits, pyjpegdiff.jpeg_rate(arrays, huffman="optimized"))


# What is not compiled as a whole takes long at first.
@pytest.mark.parametrize("huffman", HUFFMAN if THOROUGH else HUFFMAN[:1])
def test_bits_and_gradients_are_numpys(both, huffman):
    arrays, given = both
    want, want_vjp = pyjpegdiff.jpeg_rate_vjp(arrays, huffman=huffman)
    weights = np.array([1.0, -2.0, 0.5], np.float32)
    bits, vjp = pyjpegdiff.jpeg_rate_vjp(given, huffman=huffman)
    np.testing.assert_array_equal(bits, want)
    np.testing.assert_array_equal(pyjpegdiff.jpeg_rate(given, huffman=huffman), want)
    for name in BLOCKS:
        np.testing.assert_array_equal(getattr(vjp(jnp.asarray(weights)), name), getattr(want_vjp(weights), name))


def test_jit_grad_and_vmap(both):
    arrays, given = both

    def rate(y, cb, cr):
        return jpeg_rate(given._replace(y=y, cb=cb, cr=cr))

    want, want_vjp = pyjpegdiff.jpeg_rate_vjp(arrays)
    bits, gradients = jax.jit(jax.vmap(jax.value_and_grad(rate, argnums=(0, 1, 2))))(*(given.y, given.cb, given.cr))
    np.testing.assert_array_equal(bits, want)
    for name, gradient in zip(BLOCKS, gradients, strict=True):
        np.testing.assert_array_equal(gradient, getattr(want_vjp(np.ones(3)), name))


def test_optimized_tables_are_not_traced(both):
    _, given = both
    for transform in (jax.jit, jax.grad):
        with pytest.raises(NotImplementedError, match=r"huffman='optimized' is not supported under jax.jit"):
            transform(lambda y: jpeg_rate(given._replace(y=y), huffman="optimized").sum())(given.y)


def test_second_derivatives_raise():
    image = jnp.asarray(noisy_ramp(0, 8, 8).astype(np.float32))

    def rate(image):
        return jpeg_rate(jpeg_encode(image, 60, rounding="identity", channel_axis=-1))

    with pytest.raises(NotImplementedError, match="second derivatives are not supported"):
        jax.grad(lambda image: jax.grad(rate)(image).sum())(image)
