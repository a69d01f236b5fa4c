"""The warning for 0..1 images that came without data_range."""

import subprocess
import sys
import tracemalloc
import warnings

import numpy as np
import pytest

from pyjpegdiff import DataRangeWarning, diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp
from pyjpegdiff.data_range import CHUNK, warn_of_unit_range

FUNCTIONS = [diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp]
UNIT = np.random.default_rng(0).uniform(0, 1, (3, 16, 24))


def warnings_of(function, image, **choices):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function(image, 50, **choices)
    return caught


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_a_0_to_1_image_is_told_about(function, dtype):
    (warning,) = warnings_of(function, UNIT.astype(dtype))
    assert warning.category is DataRangeWarning
    assert issubclass(DataRangeWarning, UserWarning)
    message = str(warning.message)
    assert "0..1" in message
    assert "data_range=1" in message
    assert "data_range=255" in message


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_points_at_the_callers_line(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        line = sys._getframe().f_lineno + 1
        function(UNIT, 50)
    assert (caught[0].filename, caught[0].lineno) == (__file__, line)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_it_can_be_made_an_error(function):
    with warnings.catch_warnings():
        warnings.simplefilter("error", DataRangeWarning)
        with pytest.raises(DataRangeWarning, match="data_range"):
            function(UNIT, 50)


def late(value):
    """A large image that looks like 0..1 until its last value."""
    image = np.full((3, 8 * CHUNK // 64, 64), 0.5)
    image[-1, -1, -1] = value
    return image


@pytest.mark.parametrize(
    ("image", "choices"),
    [
        (255 * UNIT, {}),
        (UNIT, {"data_range": 1}),
        (UNIT, {"data_range": 255}),
        (np.round(UNIT), {}),
        (np.zeros((3, 8, 8)), {}),
        (np.ones((3, 8, 8)), {}),
        (np.round(UNIT).astype(np.uint8), {}),
        (np.round(UNIT).astype(np.int32), {"data_range": 255}),
        (UNIT - 0.5, {}),
        (UNIT + 0.5, {}),
        (late(1.5), {}),
        (late(-1e-9), {}),
        (np.zeros((0, 3, 8, 8)), {}),
    ],
    ids=[
        "0..255", "data_range 1", "data_range 255", "zeros and ones", "black", "ones", "uint8", "int32", "negative",
        "beyond 1", "last beyond 1", "last negative", "empty",
    ],
)  # fmt: skip
@pytest.mark.parametrize("function", FUNCTIONS)
def test_no_other_image_is(function, image, choices):
    assert warnings_of(function, image, **choices) == []


@pytest.mark.parametrize("function", FUNCTIONS)
def test_not_a_number_is_not_told_about(function):
    image = UNIT.copy()
    image[0, 0, 0] = np.nan
    with np.errstate(invalid="ignore"):
        assert warnings_of(function, image, ste=False) == []


@pytest.mark.parametrize(
    "image",
    [
        np.asfortranarray(UNIT),
        UNIT[:, ::-1, ::-1],
        np.repeat(UNIT, 2, -1)[..., ::2],
        np.broadcast_to(np.float32(0.5), (3, 16, 24)),
        np.moveaxis(np.moveaxis(UNIT, 0, -1).copy(), -1, 0),
    ],
    ids=["fortran", "reversed", "strided", "broadcast", "channels last"],
)
def test_whatever_the_order_of_memory(image):
    frozen = image.view()
    frozen.flags.writeable = False
    before = image.copy()
    (warning,) = warnings_of(diff_jpeg_coding, frozen)
    assert warning.category is DataRangeWarning
    np.testing.assert_array_equal(image, before)
    beyond = 255 * image
    assert warnings_of(diff_jpeg_coding, beyond) == []


def test_of_channels_last_and_gray_too():
    assert len(warnings_of(diff_jpeg_coding, np.moveaxis(UNIT, 0, -1), channel_axis=-1)) == 1
    assert len(warnings_of(jpeg_encode, UNIT, channel_axis=None)) == 1


def test_one_value_between_is_enough():
    image = np.zeros((3, 8 * CHUNK // 64, 64))
    image[-1, -1, -1] = 0.5
    assert len(warnings_of(diff_jpeg_coding, image)) == 1


def test_the_look_ends_at_the_first_chunk_outside():
    """At an image that no memory holds: to look at all of its 3e12 values would take hours."""
    program = """
import numpy as np
from pyjpegdiff.data_range import warn_of_unit_range
warn_of_unit_range(np.broadcast_to(np.float32(200), (3, 10**6, 10**6)), 1)
print("done")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.stderr) == ("done", "")


def test_the_look_copies_no_more_than_a_chunk():
    image = np.zeros((3, 256, 1024), np.float32)[:, ::-1]
    tracemalloc.start()
    try:
        warn_of_unit_range(image, 1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Some masks of a chunk, and what nditer keeps itself; the image takes 96 times as much as a chunk.
    assert peak < 8 * CHUNK * 4 < image.nbytes / 10


def test_tensors_and_other_libraries_are_not_looked_at():
    strict = pytest.importorskip("array_api_strict")
    torch = pytest.importorskip("torch")
    assert warnings_of(diff_jpeg_coding, strict.asarray(UNIT.tolist())) == []
    assert warnings_of(diff_jpeg_coding, torch.from_numpy(UNIT)) == []
