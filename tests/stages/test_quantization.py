import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff.stages import quantization as z
from pyjpegdiff.stages.surrogates import LEAK
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.testing import assert_vjp

LUMA = np.array(LUMINANCE, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("table", [LUMINANCE, CHROMINANCE])
def test_hard_steps_are_libjpegs_at_every_quality(dtype, table):
    table = np.array(table)
    for q in range(1, 101):
        percent = 5000 // q if q < 50 else 200 - 2 * q
        expected = np.clip((table * percent + 50) // 100, 1, 255)
        scale, _ = z.scale(np, dtype(q), "identity", hard=True)
        steps, _ = z.steps(np, table.astype(dtype), scale, "identity", hard=True)
        np.testing.assert_array_equal(steps, expected)


def test_smooth_scale_is_whole_at_whole_qualities():
    q = np.arange(50.0, 101)
    for flooring in ("cubic", "identity"):
        np.testing.assert_allclose(z.scale(np, q, flooring, hard=False)[0], 200 - 2 * q, atol=1e-12)


@given(quality=st.floats(8, 99.99).filter(lambda q: abs(q - 50) > 1e-3))
@pytest.mark.parametrize("flooring", ["cubic", "identity"])
def test_smooth_derivatives(quality, flooring):
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    raw = (LUMA * z.scale(np, np.float64(quality), flooring, hard=False)[0] + 50) / 100
    # Not across the jump of a floor, nor over the kink of the clip.
    assume(1e-3 < percent % 1 < 1 - 1e-3 and ((raw % 1 > 1e-3) & (raw % 1 < 1 - 1e-3)).all())

    def steps(q, table):
        scale, slope = z.scale(np, q, flooring, hard=False)
        value, derivative = z.steps(np, table, scale, flooring, hard=False)

        def vjp(g):
            g_table, g_scale = z.steps_vjp(np, table, scale, derivative, g)
            return g_scale * slope, g_table

        return value, vjp

    assert_vjp(steps, np.float64(quality), LUMA, step=1e-7, rtol=1e-5)


def test_quality_in_an_array_is_clipped_and_leaks():
    q = np.array([-3.0, 0.5, 1, 100, 120])
    value, slope = z.scale(np, q, "identity", hard=True)
    np.testing.assert_array_equal(value, [5000, 5000, 5000, 0, 0])
    np.testing.assert_allclose(slope, [-5000 * LEAK, -5000 * LEAK, -5000, -2, -2 * LEAK])


def test_steps_leak_outside_their_range():
    table = np.full((8, 8), 1000.0)
    value, derivative = z.steps(np, table, np.float64(100), "identity", hard=True)
    np.testing.assert_array_equal(value, 255)
    np.testing.assert_allclose(derivative, LEAK / 100)


@pytest.mark.parametrize("quality", [1, 2, 5, 10, 25, 50, 100])
def test_default_flooring_has_a_gradient_where_the_cubics_vanishes(quality):
    scale, slope = z.scale(np, np.float64(quality), "identity", hard=True)
    _, derivative = z.steps(np, LUMA, scale, "identity", hard=True)
    assert slope != 0
    assert (derivative != 0).all()


@given(
    seed=st.integers(0, 99), of_scale=st.sampled_from([(), (2,), (2, 3)]), of_table=st.sampled_from([(), (3,), (1, 3)])
)
def test_steps_vjp_sums_over_broadcast_axes(seed, of_scale, of_table):
    rng = np.random.default_rng(seed)
    table = rng.uniform(5, 90, (*of_table, 8, 8))
    scale = rng.uniform(20, 300, of_scale if of_scale != (2,) else ())

    def steps(t, s):
        value, derivative = z.steps(np, t, s, "identity", hard=False)
        return value, lambda g: z.steps_vjp(np, t, s, derivative, g)

    assert_vjp(steps, table, scale)


def test_divide_and_multiply_meet_their_step():
    steps = np.arange(1.0, 65).reshape(8, 8)
    planes = np.ones((2, 3, 16, 24))
    got = z.divide(np, planes, steps)
    np.testing.assert_allclose(got, np.tile(1 / steps, (2, 3, 2, 3)))
    np.testing.assert_allclose(z.multiply(np, got, steps), 1, rtol=1e-15)


def test_steps_per_sample():
    steps = np.random.default_rng(0).uniform(1, 9, (4, 8, 8))
    planes = np.random.default_rng(1).normal(size=(4, 2, 8, 16))
    got = z.multiply(np, planes, steps)
    for index in range(4):
        np.testing.assert_array_equal(got[index], z.multiply(np, planes[index], steps[index]))


def test_steps_cotangent_sums_over_blocks():
    rng = np.random.default_rng(0)
    planes, g = rng.normal(size=(2, 3, 16, 24)), rng.normal(size=(2, 3, 16, 24))
    blocks = (planes * g).reshape(2, 3, 2, 8, 3, 8).sum((1, 2, 4))
    np.testing.assert_allclose(z.steps_cotangent(np, g, planes, (2, 8, 8)), blocks, atol=1e-12)
    np.testing.assert_allclose(z.steps_cotangent(np, g, planes, (8, 8)), blocks.sum(0), atol=1e-12)
