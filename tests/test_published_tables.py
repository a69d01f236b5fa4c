"""Published tables, and the photos that judge them."""

import numpy as np
import pytest

pytest.importorskip("evaluation", reason="the evaluation is not part of a distribution")
from evaluation.published_tables import PUBLISHED
from evaluation.table_photos import PHOTOS, middle


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_steps_fall_with_quality_and_can_be_stored(name):
    before = np.full((2, 8, 8), 255)
    for quality in range(5, 101):
        steps = np.array(PUBLISHED[name](quality))
        assert steps.shape == (2, 8, 8)
        assert steps.min() >= 1
        assert (steps <= before).all()
        before = steps
    assert (before == 1).all()


def test_jpegli_at_distance_one():
    """Its first steps at quality 90: 1.7397 times 1.22 times 1.23974 and 1.72271, rounded."""
    luma, _ = PUBLISHED["jpegli"](90)
    assert luma[0, :2].tolist() == [3, 4]


def test_middle_of_a_photo():
    image = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    np.testing.assert_array_equal(middle(image, 3), image[1:4, :3])
    np.testing.assert_array_equal(middle(image, 9), image)
    assert len(PHOTOS) == 11
