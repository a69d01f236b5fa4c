"""Against the real codec: libjpeg-turbo as Pillow, OpenCV and jpeglib carry it."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from pyjpegdiff import Coefficients, diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_decode, jpeg_encode
from pyjpegdiff.stages.dct import ISLOW, to_blocks
from tests.photos import IMAGES, NAMES, PILLOW_SUBSAMPLING, QUALITIES, content, photo, pillow, pillow_file, psnr
from tests.samples import MODES, THOROUGH

pytestmark = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"), reason="Pillow was not built with libjpeg-turbo"
)


def exact(image, quality, subsampling="4:2:0", *tables):
    axis = None if image.ndim == 2 else -1
    return diff_jpeg_coding(image, quality, *tables, arithmetic="libjpeg", subsampling=subsampling, channel_axis=axis)


@settings(max_examples=20_000 if THOROUGH else 2_000)
@given(**IMAGES, subsampling=st.sampled_from([*PILLOW_SUBSAMPLING, "gray"]), custom=st.booleans())
def test_every_sample_is_pillows(seed, kind, height, width, quality, subsampling, custom):
    rng = np.random.default_rng(seed)
    gray = subsampling == "gray"
    image = content(rng, kind, (height, width) if gray else (height, width, 3))
    tables = rng.integers(1, 256, (2, 8, 8)) if custom else None
    qtables = None if tables is None else [table.ravel().tolist() for table in tables[: 1 if gray else 2]]
    want = pillow(image, quality, "4:2:0" if gray else subsampling, qtables)
    got = exact(image, quality, "4:2:0" if gray else subsampling, *(() if tables is None else tables))
    assert np.count_nonzero(got != want) == 0


@settings(max_examples=2_000 if THOROUGH else 200)
@given(**IMAGES)
def test_440_is_opencvs(seed, kind, height, width, quality):
    cv2 = pytest.importorskip("cv2")
    image = content(np.random.default_rng(seed), kind, (height, width, 3))
    factor = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factor]
    _, data = cv2.imencode(".jpg", image[..., ::-1], options)
    want = cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1]
    assert np.count_nonzero(exact(image, quality, "4:4:0") != want) == 0
    assert np.count_nonzero(np.array(Image.open(io.BytesIO(data.tobytes()))) != want) == 0


@settings(max_examples=2_000 if THOROUGH else 100)
@given(**IMAGES, subsampling=st.sampled_from([*PILLOW_SUBSAMPLING, "gray"]))
def test_coefficients_are_those_in_the_file(tmp_path_factory, seed, kind, height, width, quality, subsampling):
    jpeglib = pytest.importorskip("jpeglib")
    gray = subsampling == "gray"
    image = content(np.random.default_rng(seed), kind, (height, width) if gray else (height, width, 3))
    path = tmp_path_factory.getbasetemp() / "coefficients.jpg"
    path.write_bytes(pillow_file(image, quality, "4:2:0" if gray else subsampling))
    stored = jpeglib.read_dct(str(path))
    choices = {"channel_axis": None} if gray else {"channel_axis": -1, "subsampling": subsampling}
    ours = jpeg_encode(image, quality, arithmetic="libjpeg", **choices)
    pairs = [(ours.y, stored.Y)] if gray else [(ours.y, stored.Y), (ours.cb, stored.Cb), (ours.cr, stored.Cr)]
    for got, want in pairs:
        # A file of subsampled chroma may hold dummy blocks that fill its last group.
        assert np.count_nonzero(got != want[: got.shape[0], : got.shape[1]]) == 0
    np.testing.assert_array_equal(ours.steps_y, stored.get_component_qt(0))
    decoded = jpeg_decode(ours, arithmetic="libjpeg", channel_axis=choices["channel_axis"])
    assert np.count_nonzero(decoded != np.array(Image.open(path))) == 0


@settings(max_examples=2_000 if THOROUGH else 100)
@given(seed=st.integers(0, 2**32), largest=st.integers(1, 1023), density=st.floats(0.02, 1))
def test_decoding_of_coefficients_that_came_from_no_image(tmp_path_factory, seed, largest, density):
    """As documented: equal wherever 16-bit butterflies cannot overflow, far out of the range of samples too."""
    jpeglib = pytest.importorskip("jpeglib")
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.getbasetemp() / "invented.jpg"
    path.write_bytes(pillow_file(np.zeros((40, 48), np.uint8), 50))
    file = jpeglib.read_dct(str(path))
    k = (rng.integers(-largest, largest + 1, file.Y.shape) * (rng.random(file.Y.shape) < density)).astype(np.int16)
    file.Y = k
    file.write_dct(str(path))
    steps = file.get_component_qt(0)
    coefficients = Coefficients(k, None, None, steps.astype(np.float32), None, (40, 48), None)
    decoded = jpeg_decode(coefficients, arithmetic="libjpeg", channel_axis=None)
    products = k.astype(np.int64) * steps
    columns = (np.array(ISLOW).T @ products + 1024) >> 11
    safe = (np.abs(products).max((-1, -2)) < 2**14) & (np.abs(columns).max((-1, -2)) < 2**14)
    differs = to_blocks(np, decoded != np.array(Image.open(path))).any((-1, -2))
    assert np.count_nonzero(differs & safe) == 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("quality", range(1, 101) if THOROUGH else (1, 10, 50, 75, 95, 100))
def test_whole_photos(name, quality):
    image = photo(name)
    assert np.count_nonzero(exact(image, quality) != pillow(image, quality)) == 0


@pytest.mark.parametrize(("mode", "least"), [({"ste": True}, 47.2), ({"ste": False}, 43.4)])
def test_fidelity_of_float_arithmetic(mode, least):
    ratios = [
        psnr(diff_jpeg_coding(photo(name), quality, channel_axis=-1, **mode), pillow(photo(name), quality))
        for name in NAMES
        for quality in QUALITIES
    ]
    assert np.mean(ratios) >= least


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_exact_in_every_dtype_and_off_the_integers(dtype):
    image = photo("chelsea")[:50, :61]
    want = pillow(image, 40)
    assert np.count_nonzero(exact(image.astype(dtype), 40) != want) == 0
    if dtype != np.uint8:
        noise = np.random.default_rng(0).uniform(-0.49, 0.49, image.shape)
        assert np.count_nonzero(exact((image + noise).astype(dtype), 40) != want) == 0


@pytest.mark.parametrize("mode", MODES[1:])
def test_descent_along_the_gradient_lowers_a_loss_that_pillow_measures(mode):
    """Coded at quality 20, the photo is to come out as a brighter, higher-contrast one."""
    image = photo("astronaut")[:96, 160:288].astype(np.float32)
    target = (1.15 * (image - 128) + 140).clip(0, 255)

    def through_pillow(x):
        saved = np.round(x).clip(0, 255).astype(np.uint8)
        return float(np.mean((pillow(saved, 20).astype(np.float32) - target) ** 2))

    losses = [through_pillow(image)]
    x = image
    for _ in range(12):
        coded, vjp = diff_jpeg_coding_vjp(x, 20, channel_axis=-1, **mode)
        step = vjp(coded - target).image_rgb
        x = (x - 4 * step / np.sqrt(np.mean(step**2))).clip(0, 255)
        losses.append(through_pillow(x))
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.skipif("OPENBLAS_CORETYPE" in os.environ, reason="is the run with another kernel")
def test_the_same_with_another_blas_kernel():
    """OpenBLAS sums in another order under another kernel; what is exact must not notice."""
    environment = {**os.environ, "OPENBLAS_CORETYPE": "Haswell", "PYJPEGDIFF_THOROUGH": "0"}
    here = (
        test_every_sample_is_pillows,
        test_whole_photos,
        test_fidelity_of_float_arithmetic,
        test_exact_in_every_dtype_and_off_the_integers,
    )
    tests = [f"{__file__}::{test.__name__}" for test in here]
    in_test_api = ("test_core_in_every_library", "test_encode_and_decode_in_every_library")
    tests += [f"{Path(__file__).with_name('test_api.py')}::{name}" for name in in_test_api]
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
