"""Each measure compared with independent results: SciPy's DCT, scikit-image, the sums of the paper pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.fft import dctn
from skimage.metrics import structural_similarity

from pyjpegdiff.study.measures import BAND, blocking_effect, frequency_energy, psnr, similarity
from tests.samples import noisy_ramp


@pytest.mark.parametrize("height", [7, 8, BAND - 1, BAND + 6, BAND + 7, 2 * BAND + 6, 2 * BAND + 20])
@pytest.mark.parametrize("gray", [True, False])
def test_ssim_band_by_band_equals_that_of_the_whole_image(height, gray):
    a, b = (noisy_ramp(seed, height, 9, gray) for seed in (0, 1))
    want = structural_similarity(a, b, channel_axis=None if gray else -1)
    # The running sums of a band differ from those of the whole image only in their rounding.
    assert similarity(a, b) == pytest.approx(want, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 30), width=st.integers(1, 30))
def test_energies_equal_those_of_scipy(seed, height, width):
    error = np.random.default_rng(seed).normal(0, 20, (height, width))
    padded = np.zeros((-(-height // 8) * 8, -(-width // 8) * 8))
    padded[:height, :width] = error
    blocks = padded.reshape(padded.shape[0] // 8, 8, -1, 8).swapaxes(1, 2)
    want = (dctn(blocks, axes=(-2, -1), norm="ortho") ** 2).sum((0, 1))
    np.testing.assert_allclose(frequency_energy(error), want, rtol=1e-10)


def bef(plane):
    """The sums of Yim and Bovik, pair by pair."""
    height, width = plane.shape
    edge, inner = [], []
    for i in range(height):
        for j in range(width):
            for k, m, last in ((i, j + 1, j), (i + 1, j, i)):
                if k < height and m < width:
                    (edge if last % 8 == 7 else inner).append((float(plane[i, j]) - float(plane[k, m])) ** 2)
    if not edge or not inner or np.mean(edge) <= np.mean(inner):
        return 0.0
    return math.log2(8) / math.log2(min(height, width)) * (np.mean(edge) - np.mean(inner))


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(8, 33), width=st.integers(8, 33), step=st.integers(0, 60))
def test_blocking_effect_equals_that_of_the_paper(seed, height, width, step):
    image = noisy_ramp(seed, height, width).astype(int)
    image[:, 8:] += step
    assert blocking_effect(image) == pytest.approx(np.mean([bef(image[..., c]) for c in range(3)]), rel=1e-12)
    assert blocking_effect(image[..., 0]) == pytest.approx(bef(image[..., 0]), rel=1e-12)


def test_psnr_b_counts_only_edges_between_blocks():
    y, x = np.mgrid[:64, :64]
    smooth = (x + y).astype(np.uint8)
    assert blocking_effect(smooth) == 0
    blocks = (np.add.outer(np.arange(8), np.arange(8)) * 16).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    assert blocking_effect(blocks) == pytest.approx(16**2 / 2)  # eta = log 8 / log 64; blocks are constant
    assert blocking_effect(np.roll(blocks, 4, (0, 1))) == 0


def test_psnr_of_equal_images_is_infinite():
    assert psnr(np.arange(4), np.arange(4)) == math.inf
    assert psnr(np.zeros(4), np.full(4, 255)) == 0
