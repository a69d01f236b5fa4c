"""The elastic cotangent of steps against the error it was derived from, and its limits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff import diff_jpeg_coding_vjp, jpeg_encode_vjp
from pyjpegdiff.stages import elastic

WRT = ("jpeg_quality", "quantization_table_y", "quantization_table_c")


def cotangent_of(g, u, decodes=True):
    k = np.round(u)
    return elastic.steps_cotangent(np, elastic.sums(np, g, u, k, decodes))


def planes(rng, spread, shape=(2, 16, 24)):
    """Coefficients in units of their step."""
    return rng.laplace(0, spread, shape)


@given(seed=st.integers(0, 2**32), spread=st.floats(0.05, 20))
def test_of_squared_error_is_its_central_difference(seed, spread):
    """With G = 2 (k Q - c), wherever the difference is at most that of an error that grows as the step does."""
    rng = np.random.default_rng(seed)
    steps = rng.uniform(1, 99, (8, 8))
    u, tiled = planes(rng, spread), np.tile(steps, (2, 3))
    c = u * tiled

    def error(factor):
        squares = (np.round(c / (factor * tiled)) * factor * tiled - c) ** 2
        return squares.reshape(2, 2, 8, 3, 8).sum((0, 1, 3))

    got = cotangent_of(2 * (np.round(u) * tiled - c), u)
    slope = (error(1.25) - error(0.75)) / (0.5 * steps)
    expected = np.clip(slope, 0.05 * 2 * error(1) / steps, 2 * error(1) / steps)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@given(seed=st.integers(0, 2**32))
def test_zeros_have_the_least_slope(seed):
    """What becomes zero at 3/4 of the step, too, does not depend on it: its error is the coefficient."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(-0.374, 0.374, (1, 8, 8))
    g = rng.standard_normal(u.shape)
    np.testing.assert_allclose(cotangent_of(g, u), -0.05 * (g * u)[0], rtol=1e-12)


@given(seed=st.integers(0, 2**32))
def test_large_coefficients_have_the_slope_of_the_error(seed):
    """Of many coefficients of many steps the error grows as the step does, but for the chance of the sample."""
    rng = np.random.default_rng(seed)
    u = rng.uniform(-50, 50, (1, 512, 512))
    g = rng.standard_normal(u.shape)
    full = (g * (np.round(u) - u)).reshape(64, 8, 64, 8).sum((0, 2))
    got = cotangent_of(g, u)
    # The variance of a squared error is 1/180, its mean 1/12; two independent sums of 4096 and their difference: the
    # elasticity is 1 within five of its standard deviations, 0.75^2 and 1.25^2 being the parts of both.
    deviation = np.sqrt((0.75**4 + 1.25**4) / 180 / 4096) * 12
    assert np.all(np.abs(got - full) <= 5 * deviation * np.abs(full))


@pytest.mark.parametrize("decodes", [True, False])
@pytest.mark.parametrize("batch_shape", [(), (3,), (2, 2)])
def test_batches_linearity_and_what_decoding_adds(batch_shape, decodes):
    rng = np.random.default_rng(0)
    u, g, h = rng.laplace(0, 1, (*batch_shape, 2, 16, 24)), *rng.standard_normal((2, *batch_shape, 2, 16, 24))
    got = cotangent_of(g, u, decodes)
    assert got.shape == (*batch_shape, 8, 8)
    for index in np.ndindex(batch_shape):
        np.testing.assert_allclose(got[index], cotangent_of(g[index], u[index], decodes), rtol=1e-12)
    both = cotangent_of(2 * g - 3 * h, u, decodes)
    np.testing.assert_allclose(both, 2 * got - 3 * cotangent_of(h, u, decodes), rtol=1e-9, atol=1e-12)
    decoding = (g * np.round(u)).reshape(*batch_shape, 2, 2, 8, 3, 8).sum((-5, -4, -2))
    if not decodes:
        np.testing.assert_allclose(got + decoding, cotangent_of(g, u), rtol=1e-9, atol=1e-12)


def test_without_any_error():
    """Whole coefficients, as those of a black image."""
    u = np.full((1, 8, 8), -3.0)
    assert np.all(cotangent_of(np.ones_like(u), u) == 0)


@pytest.mark.parametrize("mode", [{"ste": True}, {"arithmetic": "libjpeg"}])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_a_batch_gets_what_its_images_get(mode, subsampling):
    """The elasticity is that of each image, also where all share quality and tables."""
    rng = np.random.default_rng(0)
    images = np.stack([rng.normal(128, spread, (3, 40, 24)) for spread in (5, 40, 1)])
    g = rng.standard_normal(images.shape)
    choices = {**mode, "subsampling": subsampling, "wrt": WRT}
    _, vjp = diff_jpeg_coding_vjp(images, 40, **choices)
    whole = vjp(g)
    alone = [diff_jpeg_coding_vjp(image, 40, **choices)[1](h) for image, h in zip(images, g, strict=True)]
    for name in WRT:
        expected = np.sum([getattr(each, name) for each in alone], axis=0)
        np.testing.assert_allclose(getattr(whole, name), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("mode", [{"ste": True}, {"arithmetic": "libjpeg"}])
def test_explicit_choices(mode):
    """The default is elastic where a rounding is performed, and the choice of the surrogate has no part in it."""
    rng = np.random.default_rng(0)
    image = rng.normal(128, 20, (3, 32, 32))
    g = rng.standard_normal(image.shape)

    def gradients(**choices):
        return diff_jpeg_coding_vjp(image, 40, **mode, **choices, wrt=WRT)[1](g).quantization_table_y

    default = gradients()
    assert np.array_equal(gradients(steps_gradient="elastic"), default)
    assert np.array_equal(gradients(rounding="tanh"), default)
    by_surrogate = gradients(steps_gradient="surrogate")
    assert not np.allclose(by_surrogate, default)
    assert not np.allclose(gradients(steps_gradient="surrogate", rounding="identity"), by_surrogate)


@pytest.mark.parametrize("function", [diff_jpeg_coding_vjp, jpeg_encode_vjp])
def test_errors(function):
    image = np.full((3, 8, 8), 99.0)
    with pytest.raises(ValueError, match="steps_gradient must be 'surrogate' or None in the smooth variant"):
        function(image, 40, steps_gradient="elastic")
    with pytest.raises(ValueError, match=r"steps_gradient must be one of \('elastic', 'surrogate'\), got 'elastig'"):
        function(image, 40, ste=True, steps_gradient="elastig")
    with pytest.raises(TypeError, match="steps_gradient must be one of"):
        function(image, 40, ste=True, steps_gradient=1)
