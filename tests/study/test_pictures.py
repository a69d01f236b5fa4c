"""The windows that are cut out are the documented ones."""

import io

import numpy as np
import pytest
from PIL import Image

from pyjpegdiff.study.coding import round_trip
from pyjpegdiff.study.pictures import Window, detail, picture, shrink, worst_blocks
from pyjpegdiff.study.settings import Settings

RNG = np.random.default_rng(0)


def pixels(file):
    return np.array(Image.open(io.BytesIO(file)))


def test_detail_is_where_the_edges_are():
    image = np.full((100, 140), 90, np.uint8)
    image[40:60, 70:90] = RNG.integers(0, 256, (20, 20))
    window = detail(image, 32)
    assert (window.height, window.width) == (32, 32)
    assert window.top <= 40
    assert window.top + 32 >= 60
    assert window.left <= 70
    assert window.left + 32 >= 90


@pytest.mark.parametrize("shape", [(1, 1), (1, 50, 3), (50, 1), (8, 20, 3), (97, 96, 3)])
def test_any_shape_has_pictures(shape):
    image = RNG.integers(0, 256, shape, np.uint8)
    found = picture(image, [10, 90], 50, Settings())
    np.testing.assert_array_equal(pixels(found.whole), image)
    np.testing.assert_array_equal(pixels(found.before), found.window.cut(image))
    for quality, file in found.after.items():
        np.testing.assert_array_equal(pixels(file), found.window.cut(round_trip(image, quality, Settings())))
    assert list(found.after) == [10, 90]


def test_worst_blocks_are_the_worst_and_do_not_overlap():
    image = RNG.integers(100, 150, (61, 83, 3), np.uint8)
    result = image.copy()
    result[16:24, 32:40] += 50
    result[16:24, 40:48] += 40  # in the surroundings of the worst
    result[56:, 80:] += 30  # 5 x 3 samples, in the corner
    result[0:8, 0:8, 1] += 20
    first, second, third = worst_blocks(image, result)
    assert first.block == Window(16, 32, 8, 8)
    assert first.around == Window(8, 24, 24, 24)
    assert second.block == Window(56, 80, 5, 3)
    assert second.around == Window(61 - 24, 83 - 24, 24, 24)
    assert third.block == Window(0, 0, 8, 8)
    assert (first.rms, second.rms) == (50, 30)
    assert third.rms == pytest.approx(20 / 3**0.5)
    for found in (first, second, third):
        np.testing.assert_array_equal(pixels(found.before), found.around.cut(image))
        np.testing.assert_array_equal(pixels(found.after), found.around.cut(result))


def test_an_image_without_error_has_no_worst_block():
    image = np.zeros((30, 30), np.uint8)
    assert worst_blocks(image, image) == []


def test_shrinking_computes_means_and_never_enlarges():
    image = RNG.integers(0, 256, (20, 40), np.uint8)
    want = image.reshape(10, 2, 20, 2).mean((1, 3))
    assert np.abs(shrink(image, 20) - want).max() <= 1  # rounded along rows, and again along columns
    np.testing.assert_array_equal(shrink(image, 50), image)
