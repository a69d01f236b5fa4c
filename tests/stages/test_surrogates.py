import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyjpegdiff.stages.surrogates import (
    FLOOR_AT_INTEGERS,
    FLOORINGS,
    LEAK,
    ROUNDINGS,
    clip,
    clip_vjp,
    floor,
    is_inside,
    round_half_away,
    rounding_surrogate,
)
from tests.libraries import case  # noqa: F401

FRACTIONS = np.array([-3.3, -1.25, -0.75, -0.49, 0.01, 0.3, 0.49, 0.51, 1.9, 7.2, 1000.4])


@pytest.mark.parametrize("name", ROUNDINGS)
def test_rounding_derivative_is_the_values(name):
    value, derivative = ROUNDINGS[name]
    h = 1e-6
    numerical = (value(np, FRACTIONS + h) - value(np, FRACTIONS - h)) / (2 * h)
    np.testing.assert_allclose(derivative(np, FRACTIONS), numerical, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", FLOORINGS)
def test_floor_derivative_is_the_values(name):
    value, derivative = FLOORINGS[name]
    h = 1e-6
    numerical = (value(np, FRACTIONS + h) - value(np, FRACTIONS - h)) / (2 * h)
    np.testing.assert_allclose(derivative(np, FRACTIONS), numerical, rtol=1e-7, atol=1e-7)


def test_rounding_values_at_a_quarter():
    x = np.array([2.25])
    expected = {
        "cubic": 2 + 0.25**3,
        "identity": 2.25,
        "sine": 2.25 - 1 / (2 * math.pi),
        "fourier": 2.25 - sum((-1) ** (k + 1) * math.sin(math.pi * k / 2) / (math.pi * k) for k in range(1, 11)),
        "tanh": 2.5 + math.tanh(-1.25) / (2 * math.tanh(2.5)),
    }
    assert expected.keys() == ROUNDINGS.keys()
    for name, want in expected.items():
        np.testing.assert_allclose(ROUNDINGS[name].value(np, x), want, rtol=1e-14, err_msg=name)


@pytest.mark.parametrize("name", ["cubic", "sine", "fourier", "tanh"])
def test_rounding_keeps_integers(name):
    integers = np.arange(-5.0, 6)
    np.testing.assert_allclose(ROUNDINGS[name].value(np, integers), integers, atol=1e-14)


def test_cubic_at_ties_and_integers():
    ties = np.array([-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_array_equal(ROUNDINGS["cubic"].value(np, ties), [-2 + 0.125, -0.125, 0.125, 2 - 0.125])
    np.testing.assert_array_equal(ROUNDINGS["cubic"].derivative(np, ties), 0.75)
    np.testing.assert_array_equal(ROUNDINGS["cubic"].derivative(np, np.arange(-3.0, 4)), 0)


@pytest.mark.parametrize("name", FLOORINGS)
def test_floor_at_integers(name):
    integers = np.arange(-3.0, 4)
    np.testing.assert_array_equal(FLOORINGS[name].value(np, integers), integers + FLOOR_AT_INTEGERS[name])
    np.testing.assert_array_equal(FLOORINGS[name].derivative(np, integers), {"cubic": 0.75, "identity": 1}[name])
    hard, slope = floor(np, integers, name, hard=True)
    np.testing.assert_array_equal(hard, integers)
    np.testing.assert_array_equal(slope, {"cubic": 0.75, "identity": 1}[name])


def test_pair_of_functions_of_the_caller():
    value, derivative = rounding_surrogate((lambda x: 2 * x, lambda x: 0 * x + 2))
    np.testing.assert_array_equal(value(np, FRACTIONS), 2 * FRACTIONS)
    np.testing.assert_array_equal(derivative(np, FRACTIONS), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(c=st.integers(-8 * 1040, 8 * 1040), step=st.integers(1, 255))
def test_round_half_away_is_libjpegs_integer_rounding(c, step, dtype):
    """c is eight times the coefficient, as libjpeg has it; divided as `quantization.divide` does."""
    u = dtype(c) / 8 * (1 / dtype(step))
    expected = math.copysign((abs(c) + 4 * step) // (8 * step), c)
    assert float(round_half_away(np, u)) == expected


@given(x=hnp.arrays(np.float64, 20, elements=st.floats(-600, 900)))
def test_clip(x):
    np.testing.assert_array_equal(clip(np, x, 0, 255, hard=True), np.clip(x, 0, 255))
    np.testing.assert_array_equal(is_inside(x, 0, 255), np.clip(x, 0, 255) == x)
    soft = clip(np, x, 0, 255, hard=False)
    np.testing.assert_allclose(
        soft, np.where(x < 0, LEAK * x, np.where(x > 255, 255 + LEAK * (x - 255), x)), atol=1e-12
    )


def test_clip_slope_is_whole_at_the_bounds():
    x = np.array([-1.0, 0, 1, 254, 255, 256])
    np.testing.assert_array_equal(clip_vjp(np, np.ones(6), is_inside(x, 0, 255)), [LEAK, 1, 1, 1, 1, LEAK])


def test_every_library(case):
    x = case.array(FRACTIONS)
    for value, derivative in (*ROUNDINGS.values(), *FLOORINGS.values()):
        for function in (value, derivative):
            got = function(case.xp, x)
            assert got.dtype == x.dtype
            assert got.device == x.device
            np.testing.assert_allclose(case.numpy(got), function(np, FRACTIONS), rtol=1e-13, atol=1e-13)
