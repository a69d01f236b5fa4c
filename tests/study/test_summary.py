"""Numbers over several images."""

import math

import numpy as np
import pytest

from pyjpegdiff.study import study, summary

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
NOISE = study(IMAGE, (10, 50, 90))


def test_summary_is_of_medians():
    flat_tiny = study(np.full((3, 3), 128, np.uint8), (10, 50, 90))
    found = summary.summary({"a": NOISE, "b": NOISE, "c": flat_tiny})
    assert [row["quality"] for row in found] == [10, 50, 90]
    for row, want in zip(found, NOISE, strict=True):
        assert (row["psnr"], row["ssim"], row["psnr_b"]) == (want.psnr, want.ssim, want.psnr_b)
        assert row["bits_per_pixel"] == want.bits_per_pixel
    (row, *_) = summary.summary({"c": flat_tiny})
    assert (row["psnr"], math.isnan(row["ssim"])) == (math.inf, True)


def test_shares_of_bits_are_means_of_all_images_and_slopes_are_medians():
    curves = {
        "color": NOISE,
        "gray": study(IMAGE[..., 0], (10, 50, 90)),
        "larger": study(np.tile(IMAGE, (3, 3, 1)), (10, 50, 90)),
    }
    for place, row in enumerate(summary.bits(curves)):
        found = [measurements[place] for measurements in curves.values()]
        for name in summary.BITS:
            want = np.mean([getattr(m, name) / sum(getattr(m, other) for other in summary.BITS) for m in found])
            assert row[name] == pytest.approx(want, rel=1e-12)
        assert sum(row[name] for name in summary.BITS) == pytest.approx(1, rel=1e-12)
        assert row["rd_slope"] == sorted(m.rd_slope for m in found)[1]
        assert row["quality"] == found[0].quality


def test_shares_of_an_image_without_a_slope():
    (row,) = summary.bits({"flat": study(np.full((8, 8), 128, np.uint8), (50,))})
    # One block of zeros: a code of two bits, and four that end it.
    assert [row[name] for name in summary.BITS] == [2 / 6, 4 / 6, 0, 0]
    assert math.isnan(row["rd_slope"])
