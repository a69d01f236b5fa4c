import io

import numpy as np
import pytest
from PIL import Image

from pyjpegdiff.study.curves import point, saving, steps_at
from pyjpegdiff.tables import (
    CHROMINANCE,
    LUMINANCE,
    MULTISCALE_CHROMINANCE,
    MULTISCALE_LUMINANCE,
    PSNR_CHROMINANCE,
    PSNR_LUMINANCE,
    SSIM_CHROMINANCE,
    SSIM_LUMINANCE,
    ZIGZAG,
)
from tests.photos import photo


def test_tables_equal_those_that_pillow_writes_at_quality_50():
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG", quality=50)
    written = Image.open(buffer).quantization
    np.testing.assert_array_equal(np.reshape(written[0], (8, 8)), LUMINANCE)
    np.testing.assert_array_equal(np.reshape(written[1], (8, 8)), CHROMINANCE)


def test_zigzag_equals_the_order_in_the_file():
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG", quality=50)
    data = buffer.getvalue()
    start = data.index(b"\xff\xdb") + 5  # marker, length, table number
    assert [LUMINANCE[i][j] for i, j in ZIGZAG] == list(data[start : start + 64])


LEARNED = (
    (PSNR_LUMINANCE, PSNR_CHROMINANCE),
    (SSIM_LUMINANCE, SSIM_CHROMINANCE),
    (MULTISCALE_LUMINANCE, MULTISCALE_CHROMINANCE),
)


def test_learned_tables_can_be_stored_and_are_finer_for_chroma():
    for luma, chroma in LEARNED:
        for table in (luma, chroma):
            entries = np.array(table)
            assert entries.shape == (8, 8)
            assert np.issubdtype(entries.dtype, np.integer)
            assert 1 <= entries.min() <= entries.max() <= 255
        low = np.add.outer(np.arange(8), np.arange(8)) < 4
        assert np.mean(np.array(chroma)[low]) < np.mean(np.array(luma)[low])


@pytest.mark.parametrize("name", ["chelsea", "rocket"])
def test_learned_tables_save_a_tenth_at_equal_error_and_nothing_at_ssim(name):
    """These photos were among those that the shipped tables are learned from: ``make tables`` judges unseen ones."""
    image = np.ascontiguousarray(photo(name)[:160, :160])

    def curve(tables, qualities):
        return [point(image, [steps_at(table, quality) for table in tables]) for quality in qualities]

    before = curve((LUMINANCE, CHROMINANCE), (20, 40, 60, 80, 95))
    for tables in LEARNED:
        after = curve(tables, (12, 20, 40, 60, 80, 95, 97))
        assert saving(before, after, "psnr").rate < -0.1
        assert saving(before, after, "ssim").rate < 0
