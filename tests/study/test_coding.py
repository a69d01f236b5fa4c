"""The file of a study, its bits and slopes, compared with Pillow and with an independent reader of scans."""

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

from pyjpegdiff import jpeg_rate
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.study import study
from pyjpegdiff.study.coding import ScanBits, in_file, jpeg_file, round_trip, scan_bits
from pyjpegdiff.study.curves import SAMPLING_OF_PILLOW
from pyjpegdiff.study.measures import mean_squared_error
from pyjpegdiff.study.settings import ARITHMETICS, Settings
from tests.photos import IMAGES, NAMES, content, photo
from tests.scans import read_scan

turbo = pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="Pillow without libjpeg-turbo")
COLUMNS = ("luma_dc_bits", "luma_ac_bits", "chroma_dc_bits", "chroma_ac_bits")
KINDS = [*SAMPLINGS, "gray"]
TABLES = np.random.default_rng(3).integers(1, 256, (2, 8, 8))


def shape_of(kind, height, width):
    return (height, width) if kind == "gray" else (height, width, 3)


def settings_of(kind, *rest):
    return Settings.of("4:2:0" if kind == "gray" else kind, *(rest or ("libjpeg", None, None)))


@turbo
@pytest.mark.parametrize("subsampling", KINDS)
@given(**IMAGES, custom=st.booleans(), arithmetic=st.sampled_from(ARITHMETICS))
def test_the_columns_sum_to_the_bits_of_the_file(subsampling, seed, kind, height, width, quality, custom, arithmetic):
    image = content(np.random.default_rng(seed), kind, shape_of(subsampling, height, width))
    settings = settings_of(subsampling, arithmetic, *(TABLES if custom else (None, None)))
    options = {"quantization_table_y": settings.luma, "quantization_table_c": settings.chroma}
    (found,) = study(image, [quality], subsampling=settings.subsampling, arithmetic=arithmetic, **options)

    file = jpeg_file(image, quality, settings)
    bits = sum(getattr(found, name) for name in COLUMNS)
    assert bits == read_scan(file).bits == jpeg_rate(in_file(image, quality, settings))
    assert (found.chroma_dc_bits == found.chroma_ac_bits == 0) == (image.ndim == 2)
    assert min(found.luma_dc_bits, found.luma_ac_bits) > 0

    assert found.file_bytes == len(file)
    start = file.rindex(b"\xff\xda") + 2  # in a scan, zero follows what looks like a marker
    scan = file[start + int.from_bytes(file[start : start + 2]) : -2]
    assert len(file) - len(scan) == (330 if image.ndim == 2 else 625)
    assert len(scan) == math.ceil(bits / 8) + scan.count(b"\xff\x00")

    if arithmetic == "libjpeg":  # float decodes otherwise than a file is decoded
        with Image.open(io.BytesIO(file)) as read:
            np.testing.assert_array_equal(round_trip(image, quality, settings), np.asarray(read))


@turbo
@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_each_column_counts_its_own_coefficients(subsampling):
    """Without AC, a block has the code of its end, 4 bits or 2; without differences, DC has codes of 2 bits."""
    image = content(np.random.default_rng(1), "photo", (64, 96, 3))
    coefficients = in_file(image, 60, settings_of(subsampling))
    whole = scan_bits(coefficients)
    changed = coefficients._replace(**{name: np.copy(getattr(coefficients, name)) for name in ("y", "cb", "cr")})
    of_luma, of_chroma = 8 * 12, changed.cb[..., 0, 0].size + changed.cr[..., 0, 0].size

    changed.y.reshape(-1, 64)[:, 1:] = 0
    assert scan_bits(changed) == whole._replace(luma_ac=4 * of_luma)
    changed.cb.reshape(-1, 64)[:, 1:] = changed.cr.reshape(-1, 64)[:, 1:] = 0
    assert scan_bits(changed) == ScanBits(whole.luma_dc, 4 * of_luma, whole.chroma_dc, 2 * of_chroma)
    changed.cb[..., 0, 0] = changed.cr[..., 0, 0] = 0
    assert scan_bits(changed) == ScanBits(whole.luma_dc, 4 * of_luma, 2 * of_chroma, 2 * of_chroma)
    changed.y[..., 0, 0] = 0
    assert scan_bits(changed) == ScanBits(2 * of_luma, 4 * of_luma, 2 * of_chroma, 2 * of_chroma)


@turbo
@pytest.mark.parametrize("arithmetic", ARITHMETICS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_slope_is_that_of_two_files(kind, arithmetic):
    image = content(np.random.default_rng(2), "photo", shape_of(kind, 72, 80))
    settings = settings_of(kind, arithmetic, None, None)
    for found in study(image, [1, 2, 50, 99, 100], subsampling=settings.subsampling, arithmetic=arithmetic):
        ends = max(1, found.quality - 3), min(100, found.quality + 3)
        before, after = (mean_squared_error(image, round_trip(image, end, settings)) for end in ends)
        fewer, more = (read_scan(jpeg_file(image, end, settings)).bits / (72 * 80) for end in ends)
        # Sums of the same squares, in another order.
        assert found.rd_slope == pytest.approx((after - before) / (more - fewer), rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_slopes_of_photos_flatten(name):
    """Each bit takes away less of the error than those before it."""
    high, wide = (length // 2 for length in photo(name).shape[:2])
    image = np.ascontiguousarray(photo(name)[high - 128 : high + 128, wide - 128 : wide + 128])
    slopes = [found.rd_slope for found in study(image, [5, 10, 30, 60, 85, 95, 100])]
    assert slopes == sorted(slopes)
    assert slopes[-1] < 0


@pytest.mark.parametrize("kind", KINDS)
def test_where_bits_do_not_change_there_is_no_slope(kind):
    (found,) = study(np.full(shape_of(kind, 24, 24), 128, np.uint8), [50], subsampling=settings_of(kind).subsampling)
    assert math.isnan(found.rd_slope)


@turbo
def test_the_file_of_440_is_that_of_the_others_but_for_the_sampling():
    """An image that is the same along columns: subsampled 4:4:0 it loses nothing that 4:4:4 keeps."""
    row = content(np.random.default_rng(4), "photo", (1, 64, 3))
    image = np.repeat(row, 64, axis=0)
    assert "4:4:0" not in SAMPLING_OF_PILLOW
    with Image.open(io.BytesIO(jpeg_file(image, 100, Settings("4:4:0")))) as read:
        assert [component[1:3] for component in read.layer] == [(1, 2), (1, 1), (1, 1)]
        np.testing.assert_array_equal(np.asarray(read), round_trip(image, 100, Settings("4:4:4")))
