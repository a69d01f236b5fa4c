import numpy as np
import pytest

pytest.importorskip("skimage")
from skimage.metrics import structural_similarity
from skimage.transform import downscale_local_mean

from pyjpegdiff.distortions import dissimilarity, multiscale_dissimilarity, squared_error

SHAPES = [(7, 7), (20, 9), (16, 24, 3), (31, 8, 1), (57, 30, 3)]
DISTORTIONS = [squared_error, dissimilarity, multiscale_dissimilarity]


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


@pytest.mark.parametrize(("shape", "scales"), [((7, 13), 1), ((14, 27, 3), 2), ((29, 31), 3), ((64, 57, 3), 3)])
def test_multiscale_dissimilarity_is_the_mean_of_those_of_scikit_images_reductions(shape, scales):
    _, image, decoded = pair(shape)
    values = []
    for scale in range(scales):
        block = (2**scale, 2**scale, 1)[: len(shape)]
        whole = tuple(slice(length // 2**scale * 2**scale) for length in shape[:2])
        values.append(dissimilarity(*(downscale_local_mean(x[whole], block) for x in (image, decoded)))[0])
    assert multiscale_dissimilarity(image, decoded)[0] == pytest.approx(np.mean(values), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("distortion", DISTORTIONS)
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


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_dtypes_do_not_matter(distortion, dtype):
    rng = np.random.default_rng(0)
    image, decoded = rng.integers(0, 256, (2, 30, 33, 3))
    value, gradient = distortion(image.astype(dtype), decoded.astype(dtype))
    want, of_floats = distortion(image.astype(float), decoded.astype(float))
    assert value == want
    np.testing.assert_array_equal(gradient, of_floats)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_bad_arguments(distortion):
    with pytest.raises(ValueError, match=r"decoded must have the shape of image, \(20, 20\), got \(20, 1\)"):
        distortion(np.zeros((20, 20)), np.zeros((20, 1)))
    with pytest.raises(TypeError, match=r"image must be numbers of shape .*, got float64 of shape \(20, 20, 3, 1\)"):
        distortion(np.zeros((20, 20, 3, 1)), np.zeros((20, 20)))
    with pytest.raises(TypeError, match=r"decoded must be numbers of shape .*, got <U1"):
        distortion(np.zeros((20, 20)), np.full((20, 20), "a"))


def test_equal_images_have_no_distortion_and_no_gradient():
    _, image, _ = pair((16, 24, 3))
    for distortion in DISTORTIONS:
        value, gradient = distortion(image, image)
        assert abs(value) < 1e-12
        assert np.abs(gradient).max() < 1e-12


def test_image_smaller_than_the_window_is_refused():
    with pytest.raises(ValueError, match=r"image must have at least 7 rows and columns for SSIM, got \(6, 9\)"):
        dissimilarity(np.zeros((6, 9)), np.zeros((6, 9)))
