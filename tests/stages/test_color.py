import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.stages import color
from pyjpegdiff.testing import assert_adjoint, assert_vjp

RNG = np.random.default_rng(0)


def fix(c):
    return int(c * 65536 + 0.5)


def test_mix_is_the_matrix_of_a_pixel():
    matrix, shift, planes = RNG.normal(size=(3, 3)), RNG.normal(size=3), RNG.normal(size=(4, 3, 5, 6))
    expected = np.einsum("ij,bjhw->bihw", matrix, planes) + shift[:, None, None]
    np.testing.assert_allclose(color.mix(np, matrix, shift, planes), expected, rtol=1e-12, atol=1e-12)


def test_mix_takes_a_matrix_per_sample():
    matrix, shift, planes = RNG.normal(size=(4, 3, 3)), RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3, 5, 6))
    batch = color.mix(np, matrix, shift, planes)
    for index in range(4):
        np.testing.assert_allclose(batch[index], color.mix(np, matrix[index], shift[index], planes[index]), atol=1e-12)


def test_mix_adjoint():
    matrix = RNG.normal(size=(3, 3))
    assert_adjoint(
        lambda x: color.mix(np, matrix, np.zeros(3), x),
        lambda y: color.mix_vjp(np, matrix, y),
        RNG.normal(size=(2, 3, 4, 5)),
        RNG.normal(size=(2, 3, 4, 5)),
    )


@pytest.mark.parametrize("batch_shape", [(), (2,), (1,)])
def test_mix_vjp_parameters(batch_shape):
    planes = RNG.normal(size=(2, 3, 4, 5))

    def mix(matrix, shift):
        def vjp(g):
            return color.mix_vjp_parameters(np, matrix, shift, planes, g)

        return color.mix(np, matrix, shift, planes), vjp

    assert_vjp(mix, RNG.normal(size=(*batch_shape, 3, 3)), RNG.normal(size=(3,)))
    assert_vjp(mix, RNG.normal(size=(3, 3)), RNG.normal(size=(*batch_shape, 3)))


def test_invert():
    matrices = RNG.normal(size=(6, 3, 3))
    np.testing.assert_allclose(color.invert(np, matrices), np.linalg.inv(matrices), rtol=1e-10)

    def invert(matrix):
        inverse = color.invert(np, matrix)
        return inverse, lambda g: (color.invert_vjp(np, inverse, g),)

    assert_vjp(invert, np.eye(3) + 0.2 * RNG.normal(size=(2, 3, 3)))


def test_fixed_constants_are_libjpegs():
    forward = [
        [fix(0.299), fix(0.587), fix(0.114)],
        [-fix(0.16874), -fix(0.33126), fix(0.5)],
        [fix(0.5), -fix(0.41869), -fix(0.08131)],
    ]
    np.testing.assert_array_equal(np.array(color.FIXED_MATRIX) * 65536, forward)
    inverse = [
        [65536, 0, fix(1.402)],
        [65536, -fix(0.34414), -fix(0.71414)],
        [65536, fix(1.772), 0],
    ]
    np.testing.assert_array_equal(np.array(color.FIXED_INVERSE) * 65536, inverse)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_fixed_products_are_exact_in_float32_in_any_order(order):
    """The proof beside the constants, tried on every corner and a million colors, one addition at a time."""
    levels = np.array([0, 1, 2, 127, 128, 129, 253, 254, 255])
    corners = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(-1, 3)
    rgb = np.concatenate([corners, np.random.default_rng(1).integers(0, 256, (1_000_000, 3))])
    for fixed, shift, samples in (
        (color.FIXED_MATRIX, color.FIXED_SHIFT, rgb),
        (color.FIXED_INVERSE, color.FIXED_UNSHIFT, rgb - 128),
    ):
        integers = np.round(np.array(fixed) * 65536).astype(np.int64)
        for row, whole, bias in zip(np.array(fixed, np.float32), integers, np.int64(shift), strict=True):
            total = np.zeros(len(samples), np.float32)
            for channel in order:
                total += row[channel] * samples[:, channel].astype(np.float32)
            got = np.clip(np.floor(total + np.float32(bias) + np.float32(0.5)), -128, 255)
            want = np.clip((samples @ whole + (bias << 16) + 32768) >> 16, -128, 255)
            if bias == 128:
                got, want = got.clip(0), want.clip(0)
            np.testing.assert_array_equal(got, want)


@given(seed=st.integers(0, 1000))
def test_there_and_back(seed):
    rng = np.random.default_rng(seed)
    matrix = np.array(color.MATRIX) + 0.05 * rng.normal(size=(3, 3))
    shift = rng.normal(size=3)
    inverse = color.invert(np, matrix)
    rgb = rng.uniform(0, 255, (3, 2, 2))
    back = color.mix(np, inverse, -inverse @ shift, color.mix(np, matrix, shift, rgb))
    np.testing.assert_allclose(back, rgb, atol=1e-9)
