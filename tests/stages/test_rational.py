import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from pyjpegdiff.stages import quantization, rational
from tests.libraries import case  # noqa: F401

U = np.array([-3.3, -1.25, -0.75, -0.49, 0.01, 0.3, 0.49, 0.51, 1.9, 7.2, 1000.4])
softness = st.floats(0.005, 10)


@given(a=softness)
def test_derivatives_are_the_values(a):
    # The third derivative of the value is below 400 / min(a, 1)^3: with steps in proportion to a, differences are off
    # by less than 1e-6 of the largest slope, 2 / a + 1.
    h = 1e-4 * min(a, 1)
    by_u = (rational.value(np, U + h, a) - rational.value(np, U - h, a)) / (2 * h)
    np.testing.assert_allclose(rational.derivative(np, U, a), by_u, rtol=1e-5, atol=1e-6 * (2 / a + 1))
    by_a = (rational.value(np, U, a + h * a) - rational.value(np, U, a - h * a)) / (2 * h)
    np.testing.assert_allclose(rational.elongation(np, U, a), by_a, rtol=1e-5, atol=1e-6)


@given(a=softness, k=st.integers(-20, 20))
def test_ties(a, k):
    """The value jumps by two thirds, the derivative does not."""
    # One unit in the last place of u, 1e-14 at most, times a slope of at most 1 / a + 1 or one of 10 / a^2.
    bound = 1e-14 * (10 / a**2 + 1 / a + 1)
    for u, want in ((np.nextafter(k + 0.5, -np.inf), k + 1 / 6), (np.nextafter(k + 0.5, np.inf), k + 5 / 6)):
        assert rational.value(np, np.float64(u), a) == pytest.approx(want, rel=1e-13, abs=bound)
        assert rational.derivative(np, np.float64(u), a) == pytest.approx((a + 2) / (3 * a), rel=1e-13, abs=bound)


@given(a=softness, k=st.integers(-20, 20))
def test_keeps_whole_numbers_and_rises_by_one_third(a, k):
    assert rational.value(np, np.float64(k), a) == k
    risen, _ = quad(lambda u: rational.derivative(np, np.float64(u), a), k, k + 0.5, epsrel=1e-9, limit=200)
    assert risen == pytest.approx(1 / 6, rel=1e-7)


def test_between_rounding_and_a_third_of_the_way():
    np.testing.assert_allclose(rational.value(np, U, 1e-9), np.round(U), atol=1e-7)
    np.testing.assert_allclose(rational.value(np, U, 1e9), (U + 2 * np.round(U)) / 3, atol=1e-9)


def test_is_the_mean_of_rounding_over_a_dither():
    """That is zero in two of three cases, and has three times the derivative around a tie as its density else."""
    a, rng = 0.4, np.random.default_rng(0)
    grid = np.linspace(-0.5, 0.5, 200001)
    distribution = np.cumsum(3 * rational.derivative(np, grid + 0.5, a)) * (grid[1] - grid[0])
    dither = np.interp(rng.random(400_000), distribution, grid) * (rng.random(400_000) < 1 / 3)
    for u in (0.1, 0.35, 0.47, 0.8):
        mean = np.round(u + dither).mean()
        # Four standard errors of a share: 4 * 0.5 / sqrt(400000).
        assert mean == pytest.approx(rational.value(np, np.float64(u), a), abs=3.2e-3)


def test_width_in_gray_levels_is_that_of_every_step():
    """Near a tie, for steps much larger than the softness, the slope per gray level halves at the same distance."""
    for step in (64.0, 128.0, 255.0):
        a = rational.SOFTNESS / step
        half = rational.derivative(np, np.float64(0.5 + rational.SOFTNESS * (2**0.5 - 1) / 4 / step), a)
        # Of 1 - 4 d^2 = 4 e - 4 e^2 the square is left out; it counts by e, e / a = 0.1 here.
        assert half / rational.derivative(np, np.float64(0.5), a) == pytest.approx(0.5, rel=2 * a), step


def test_by_frequency(case):
    """Each coefficient meets the softness of its own step, of its own sample."""
    rng = np.random.default_rng(1)
    u, steps = rng.uniform(-3, 3, (2, 1, 16, 24)), rng.uniform(1, 255, (2, 8, 8))
    a = rational.SOFTNESS / np.tile(steps, (1, 2, 3))[:, None]
    for hard, want in ((False, rational.value(np, u, a)), (True, np.round(u))):
        got = quantization.round_(case.xp, case.array(u), case.array(steps), "rational", hard)
        np.testing.assert_allclose(case.numpy(got), want, rtol=1e-13)
    slope = quantization.slope(case.xp, case.array(u), case.array(steps), "rational")
    np.testing.assert_allclose(case.numpy(slope), rational.derivative(np, u, a), rtol=1e-12)


def test_fall_is_the_change_with_the_step():
    rng = np.random.default_rng(2)
    c, steps, h = rng.uniform(-90, 90, (1, 8, 8)), rng.uniform(1, 60, (8, 8)), 1e-6

    def value(of_steps):
        return quantization.round_(np, c / of_steps, of_steps, "rational", False)

    slope = quantization.slope(np, c / steps, steps, "rational")
    numerical = (value(steps * (1 - h)) - value(steps * (1 + h))) / (2 * h)
    fall = quantization.fall(np, c / steps, slope, steps, "rational")
    # Differences lose 1e-16 / h of values up to 90, and h^2 of a third derivative below 1e6.
    np.testing.assert_allclose(fall, numerical, atol=2e-6 + 1e-8 * np.abs(numerical).max(), rtol=1e-5)
