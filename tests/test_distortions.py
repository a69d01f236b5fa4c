import numpy as np
import pytest

pytest.importorskip("skimage")
from skimage.metrics import structural_similarity

from pyjpegdiff.distortions import dissimilarity, squared_error

SHAPES = [(7, 7), (20, 9), (16, 24, 3), (31, 8, 1)]


def pair(shape):
    rng = np.random.default_rng(len(shape))
    image = rng.uniform(0, 255, shape)
    return rng, image, image + rng.normal(0, 20, shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_dissimilarity_is_one_minus_the_similarity_of_scikit_image(shape):
    _, image, decoded = pair(shape)
    axis = -1 if len(shape) == 3 else None
    want = 1 - structural_similarity(image, decoded, data_range=255, channel_axis=axis)
    assert dissimilarity(image, decoded)[0] == pytest.approx(want, abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("distortion", [squared_error, dissimilarity])
def test_gradient_equals_central_differences(distortion, shape):
    rng, image, decoded = pair(shape)
    before = image.copy(), decoded.copy()
    direction = rng.normal(size=shape)
    _, gradient = distortion(image, decoded)
    assert gradient.shape == shape
    step = 1e-3
    values = [distortion(image, decoded + sign * step * direction)[0] for sign in (1, -1)]
    # The error of the difference: step squared times a third derivative, and rounding over the step.
    assert np.sum(gradient * direction) == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-5, abs=1e-9)
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(decoded, before[1])


def test_equal_images_have_no_distortion_and_no_gradient():
    _, image, _ = pair((16, 24, 3))
    for distortion in (squared_error, dissimilarity):
        value, gradient = distortion(image, image)
        assert abs(value) < 1e-12
        assert np.abs(gradient).max() < 1e-12


def test_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"image must have at least 7 rows and columns for SSIM, got \(6, 9\)"):
        dissimilarity(np.zeros((6, 9)), np.zeros((6, 9)))
