"""A study of an image compared with independent results: Pillow's own file, scikit-image, formulas."""

import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features
from scipy.fft import dctn
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from pyjpegdiff.study import frequency_rows, rows, study
from pyjpegdiff.study.coding import jpeg_file, round_trip
from pyjpegdiff.study.curves import SAMPLING_OF_PILLOW
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.photos import NAMES, photo, pillow, pillow_file
from tests.samples import noisy_ramp

turbo = pytest.mark.skipif(not features.check_feature("libjpeg_turbo"), reason="Pillow without libjpeg-turbo")
TABLES = np.random.default_rng(3).integers(1, 256, (2, 8, 8))


IMAGES = {
    "seed": st.integers(0, 2**32 - 1),
    "height": st.integers(1, 40),
    "width": st.integers(1, 40),
    "gray": st.booleans(),
    "quality": st.integers(1, 100),
}


@turbo
@given(**IMAGES, subsampling=st.sampled_from(sorted(SAMPLING_OF_PILLOW)), custom=st.booleans())
def test_the_measured_file_is_that_of_pillow(seed, height, width, gray, quality, subsampling, custom):
    image = noisy_ramp(seed, height, width, gray)
    tables = TABLES if custom else (None, None)
    chosen = Settings.of(subsampling, "libjpeg", *tables)
    qtables = [table.ravel().tolist() for table in TABLES[: 1 if gray else 2]] if custom else None
    file = pillow_file(image, quality, subsampling, qtables)
    assert jpeg_file(image, quality, chosen) == file
    decoded = np.array(Image.open(io.BytesIO(file)))
    np.testing.assert_array_equal(round_trip(image, quality, chosen), decoded)

    before = image.copy()
    (found,) = study(image, [quality], subsampling=subsampling, quantization_table_y=tables[0],
                     quantization_table_c=tables[1])  # fmt: skip
    np.testing.assert_array_equal(image, before)
    assert (found.quality, found.file_bytes) == (quality, len(file))
    assert found.bits_per_pixel == 8 * len(file) / (height * width)
    difference = decoded.astype(np.float64) - image
    error = (difference**2).mean()
    if error:
        assert found.psnr == pytest.approx(peak_signal_noise_ratio(image, decoded, data_range=255), abs=1e-9)
    else:
        assert found.psnr == math.inf
    assert found.psnr_b <= found.psnr
    # Parseval. The DCT is orthonormal; float64 sums of 1600 squares of at most 255 keep 12 digits and more.
    luma = difference if gray else difference @ [0.299, 0.587, 0.114]
    assert found.error_energy.sum() == pytest.approx((luma**2).sum(), rel=1e-12, abs=1e-12)
    assert not (gray and found.sensitivity_c.any())
    for table in (found.error_energy, found.sensitivity_y, found.sensitivity_c):
        assert table.shape == (8, 8)
        assert np.isfinite(table).all()


def test_photo_in_both_arithmetics():
    image = photo("astronaut")[:200, 100:300]
    for quality, exact, floating in zip(
        (10, 90), study(image, (10, 90)), study(image, (10, 90), arithmetic="float"), strict=True
    ):
        want = structural_similarity(image, pillow(image, quality), channel_axis=-1)
        assert exact.ssim == pytest.approx(want, rel=1e-9)  # computed band by band
        assert floating.psnr == pytest.approx(exact.psnr, abs=0.1)  # roundings of at most 1/2 in errors of 2 or more
        assert floating.psnr != exact.psnr
        assert floating.file_bytes == exact.file_bytes


@pytest.mark.parametrize("shape", [(6, 40), (40, 6), (1, 1)])
def test_ssim_does_not_fit_a_tiny_image(shape):
    (found,) = study(noisy_ramp(0, *shape), [50])
    assert math.isnan(found.ssim)


def test_a_flat_image_loses_nothing():
    (found,) = study(np.full((20, 20), 128, np.uint8), [50])
    assert (found.psnr, found.psnr_b, found.ssim) == (math.inf, math.inf, 1)
    assert not found.error_energy.any()


@pytest.mark.parametrize("quality", [10, 30, 60, 90])
def test_sensitivity_equals_its_formula(quality):
    """2 / N * s / 100 * rho * sum of E (round(C/S) - C/S): coefficients C, those of the error E, steps S = s T / 100.

    rho is the growth of the squared error from 3/4 to 5/4 of the step, over the squared error, within 0.05..1.
    """
    image = (noisy_ramp(1, 64, 72, gray=True) // 3 + 85).astype(np.uint8)  # far from 0 and 255: nothing is clipped
    (found,) = study(image, [quality], arithmetic="float")
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = np.clip((np.array(LUMINANCE) * scale + 50) // 100, 1, 255)

    def blocks(plane):
        return dctn(plane.reshape(8, 8, 9, 8).swapaxes(1, 2), axes=(-2, -1), norm="ortho")

    multiples = blocks(image - 128.0) / steps
    errors = blocks(round_trip(image, quality, Settings(arithmetic="float")) - image.astype(float))
    squares = [((f * np.round(multiples / f) - multiples) ** 2).sum((0, 1)) for f in (0.75, 1, 1.25)]
    share = ((squares[2] - squares[0]) / squares[1]).clip(0.05, 1)
    want = 2 / image.size * scale / 100 * share * (errors * (np.round(multiples) - multiples)).sum((0, 1))
    want[np.array(LUMINANCE) * scale > 25_550] *= 1e-3  # the slope of a clipped step
    # The error of a coefficient below 1024 in float32 is less than 1e-3. So is the error of each of the 72 products,
    # whose factors are at most half a step and 1/2.
    allowed = 2 / image.size * scale / 100 * 72 * 1e-3 * steps
    assert (np.abs(found.sensitivity_y - want) <= allowed).all()
    assert (found.sensitivity_y[steps < 255] > 0).mean() > 0.9


@turbo
@pytest.mark.parametrize("name", NAMES)
def test_sensitivity_predicts_the_effect_of_other_tables_on_pillows_error(name):
    """All steps of a table are made finer and coarser by a fifth: the sign is right, and mostly the size.

    Where large areas are flat, many coefficients share one error, which by chance may be small beside what it is at
    other steps.
    """
    ratios = []
    image = np.ascontiguousarray(photo(name)[:200, 100:300])
    tables = {"y": np.array(LUMINANCE), "c": np.array(CHROMINANCE)}
    for found in study(image, [10, 50, 90]):
        for plane, table in tables.items():
            finer, coarser = (np.round(table * factor).clip(1, 255).astype(int) for factor in (0.8, 1.2))
            errors = []
            for changed in (finer, coarser):
                qtables = [t.ravel().tolist() for t in ({**tables, plane: changed}).values()]
                result = pillow(image, found.quality, qtables=qtables)
                errors.append(((result.astype(float) - image) ** 2).mean())
            change = (getattr(found, f"sensitivity_{plane}") * (coarser - finer)).sum()
            ratios.append(change / (errors[1] - errors[0]))
    assert 0.1 < min(ratios) <= max(ratios) < 1.4
    assert 0.7 < np.median(ratios) < 1.2


def test_sensitivity_is_zero_at_quality_100():
    (found,) = study(noisy_ramp(0, 32, 32), [100])
    assert not found.sensitivity_y.any()
    assert not found.sensitivity_c.any()


def test_rows_are_plain_dicts():
    measurements = study(noisy_ramp(0, 16, 24), (90, 10))
    table = rows(measurements)
    assert [row["quality"] for row in table] == [90, 10]
    assert {type(value) for row in table for value in row.values()} == {int, float}
    long = frequency_rows(measurements)
    assert len(long) == 128
    assert long[64 + 8 + 2] == {
        "quality": 10, "u": 1, "v": 2,
        "error_energy": measurements[1].error_energy[1, 2],
        "sensitivity_y": measurements[1].sensitivity_y[1, 2],
        "sensitivity_c": measurements[1].sensitivity_c[1, 2],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"image": np.zeros((8, 8, 3))}, TypeError, "image must be of uint8.*float64"),
        ({"image": np.zeros((3, 8, 8), np.uint8)}, ValueError, r"image must have shape.*\(3, 8, 8\)"),
        ({"image": np.zeros((0, 8), np.uint8)}, ValueError, r"image must have shape.*\(0, 8\)"),
        ({"qualities": [0]}, ValueError, "qualities.* 1..100, got 0"),
        ({"qualities": [50.5]}, ValueError, "qualities.*whole.*50.5"),
        ({"qualities": [True]}, ValueError, "qualities.*True"),
        ({"qualities": ["5"]}, ValueError, "qualities.*'5'"),
        ({"qualities": [math.nan]}, ValueError, "qualities.*nan"),
        ({"qualities": 50}, TypeError, r"qualities must be several whole numbers in 1..100, such as \[50\], got 50"),
        ({"qualities": None}, TypeError, "qualities must be several.*got None"),
        ({"qualities": "50"}, TypeError, "qualities must be several.*got '50'"),
        ({"qualities": [None]}, ValueError, "qualities.*got None"),
        ({"image": "photos/a.png"}, TypeError, "image must be an array of uint8, not a file.*'photos/a.png'"),
        ({"subsampling": "4:1:1"}, ValueError, "subsampling must be one of 4:2:0, 4:2:2, 4:4:0, 4:4:4, got '4:1:1'"),
        ({"arithmetic": "exact"}, ValueError, "arithmetic must be one of libjpeg, float.*exact"),
        ({"quantization_table_y": np.ones((8, 7))}, ValueError, r"quantization_table_y.*\(8, 7\)"),
        ({"quantization_table_c": np.full((8, 8), 0.5)}, ValueError, "quantization_table_c.*0.5"),
        ({"quantization_table_c": np.full((8, 8), 256)}, ValueError, "quantization_table_c.*1..255, got 256"),
        ({"quantization_table_y": np.full((8, 8), "a")}, TypeError, "quantization_table_y must hold numbers"),
    ],
)
def test_bad_arguments(change, error, says):
    good = {"image": np.zeros((8, 8, 3), np.uint8), "qualities": [50]}
    with pytest.raises(error, match=says):
        study(**{**good, **change})
