import io
import math

import numpy as np
import pytest
from PIL import Image
from scipy.integrate import quad

from pyjpegdiff.study.curves import Point, point, saving, size_at, steps_at
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.photos import PILLOW_SUBSAMPLING, photo

CROP = np.ascontiguousarray(photo("coffee")[:96, :120])


def test_steps_are_those_of_pillow_at_all_qualities():
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.new("RGB", (8, 8)).save(file, "JPEG", quality=quality)
        found = Image.open(file).quantization
        for number, table in enumerate((LUMINANCE, CHROMINANCE)):
            np.testing.assert_array_equal(steps_at(table, quality), np.reshape(found[number], (8, 8)))


@pytest.mark.parametrize("subsampling", PILLOW_SUBSAMPLING)
def test_a_point_is_a_file_of_pillow(subsampling):
    found = point(CROP, [steps_at(table, 60) for table in (LUMINANCE, CHROMINANCE)], subsampling)
    file = io.BytesIO()
    Image.fromarray(CROP).save(file, "JPEG", quality=60, optimize=True, subsampling=PILLOW_SUBSAMPLING[subsampling])
    assert found.size == len(file.getvalue())
    error = np.asarray(Image.open(file)).astype(float) - CROP
    assert found.psnr == pytest.approx(10 * math.log10(255**2 / np.mean(error**2)))
    assert point(CROP[..., 0], [steps_at(LUMINANCE, 60)] * 2).size < found.size


def test_saving_is_the_mean_of_logarithms_over_the_common_range():
    """For sizes that are exponentials of the quality, PCHIP is exact."""
    qualities = np.linspace(30, 40, 6)
    before = [Point(round(1000 * math.exp(0.1 * q)), q, 0.9) for q in qualities]
    after = [Point(round(1000 * math.exp(0.12 * q - 1)), q, 0.9) for q in qualities[1:] + 1]
    want = math.expm1(quad(lambda q: 0.02 * q - 1, 33, 40)[0] / 7)
    found = saving(before, after, "psnr")
    assert found.rate == pytest.approx(want, abs=1e-4)
    assert found.covered == pytest.approx(0.7)
    assert saving(before, before, "psnr") == (0.0, 1.0)


def test_saving_by_ssim_counts_decibels_of_what_is_missing():
    before = [Point(100, 0.0, 0.9), Point(1000, 0.0, 0.99), Point(10000, 0.0, 0.999)]
    after = [point._replace(size=point.size * 3) for point in before]
    assert saving(before, after, "ssim").rate == pytest.approx(2)
    assert size_at(before, Point(1, 0.0, 1 - 10**-1.5), "ssim") == pytest.approx(10**2.5)


def test_curves_without_a_common_range_have_no_saving():
    low, high = ([Point(1, q, 0.5), Point(2, q + 1, 0.6)] for q in (10, 20))
    rate, covered = saving(low, high, "psnr")
    assert math.isnan(rate)
    assert covered == 0
    assert math.isnan(size_at(low, high[0], "psnr"))


def test_the_smaller_file_counts_and_perfect_ones_do_not():
    points = [Point(50, 30.0, 0.5), Point(100, 30.0, 0.5), Point(200, 40.0, 0.6), Point(900, math.inf, 1.0)]
    assert size_at(points, Point(1, 30.0, 0.5), "psnr") == pytest.approx(50)
    with pytest.raises(ValueError, match="points must have at least two finite values of psnr"):
        saving(points[:2], points, "psnr")
