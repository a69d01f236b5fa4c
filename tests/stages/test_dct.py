import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pyjpegdiff.stages import dct
from pyjpegdiff.testing import assert_adjoint
from tests.libraries import case  # noqa: F401

SHAPES = st.tuples(st.integers(0, 2), st.integers(1, 3), st.integers(1, 4)).map(lambda s: (s[0], 8 * s[1], 8 * s[2]))
PLANES = SHAPES.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=st.floats(-128, 127, width=32)))


def shifted(x, n):
    return (x + (1 << (n - 1))) >> n


@given(planes=PLANES)
def test_dct_is_scipys_block_by_block(planes):
    blocks = dct.to_blocks(np, planes)
    expected = scipy.fft.dctn(blocks, axes=(-2, -1), norm="ortho") if blocks.size else blocks
    np.testing.assert_allclose(dct.to_blocks(np, dct.dct(np, planes)), expected, atol=1e-11)
    np.testing.assert_allclose(dct.idct(np, dct.dct(np, planes)), planes, atol=1e-11)


@given(planes=PLANES)
def test_adjoint(planes):
    other = np.random.default_rng(0).normal(size=planes.shape)
    assert_adjoint(lambda x: dct.dct(np, x), lambda y: dct.idct(np, y), planes, other)


@given(planes=PLANES)
def test_blocks_there_and_back(planes):
    blocks = dct.to_blocks(np, planes)
    assert not np.shares_memory(blocks, planes)
    if blocks.size:
        np.testing.assert_array_equal(blocks[0, -1, 0], planes[0, -8:, :8])
    np.testing.assert_array_equal(dct.from_blocks(np, blocks), planes)


def test_islow_matrix_is_the_dct_to_its_rounding():
    np.testing.assert_allclose(np.array(dct.ISLOW) / 2**13, np.sqrt(8) * np.array(dct.BASIS), atol=2.0**-12)


EXTREMES = [np.full((8, 8), 127), np.full((8, 8), -128), np.where(np.indices((8, 8)).sum(0) % 2, 127, -128)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_islow_is_integer_arithmetic(dtype):
    rng = np.random.default_rng(0)
    samples = np.concatenate(
        [np.reshape(EXTREMES, (-1, 8)), rng.integers(-128, 128, (8000, 8)), rng.choice([-128, 127], (8000, 8))]
    )
    k = np.array(dct.ISLOW)
    blocks = samples.reshape(-1, 8, 8)
    expected = shifted(k @ shifted(blocks @ k.T, 11), 15)
    got = dct.islow_dct(np, samples.astype(dtype))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.reshape(-1, 8, 8) * 8, expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_islow_inverse_is_integer_arithmetic(dtype):
    rng = np.random.default_rng(0)
    coefficients = np.concatenate([rng.integers(-1024, 1025, (8000, 8)), rng.choice([-32768, 32767], (800, 8))])
    k = np.array(dct.ISLOW)
    expected = shifted(shifted(k.T @ coefficients.reshape(-1, 8, 8), 11) @ k, 18)
    got = dct.islow_idct(np, coefficients.astype(dtype))
    assert got.dtype == dtype
    np.testing.assert_array_equal(got.reshape(-1, 8, 8), expected)


@pytest.mark.parametrize("name", ["dct", "idct", "islow_dct", "islow_idct"])
def test_every_library(case, name):
    planes = np.random.default_rng(0).integers(-128, 128, (2, 16, 24))
    function = getattr(dct, name)
    got = function(case.xp, case.array(planes, "float32"))
    assert got.dtype == case.xp.float32
    assert got.device == case.device
    np.testing.assert_allclose(case.numpy(got), function(np, planes.astype(np.float32)), atol=1e-3)
