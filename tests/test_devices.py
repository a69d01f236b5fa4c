"""What array code owes a GPU, on libraries of the host that stand in for one."""

import array_api_compat.numpy as np_
import numpy as np
import pytest

from pyjpegdiff import codec, devices
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.backends import whole
from pyjpegdiff.spec import Spec, Wanted
from pyjpegdiff.stages import dct
from pyjpegdiff.transforms import TRANSFORMS
from tests.backends.test_strips import operands_of
from tests.libraries import case  # noqa: F401
from tests.photos import photo


class LikeCuPy:
    """NumPy under CuPy's name, with what a GPU would make of it: products by TF32, and a copy for each constant."""

    __name__ = "cupy"

    def __init__(self):
        self.sent = 0

    def __getattr__(self, name):
        return getattr(np_, name)

    def asarray(self, values, **kwargs):
        self.sent += isinstance(values, (list, tuple))
        return np_.asarray(values, **kwargs)

    def clip(self, *args):
        raise AssertionError("array-api-compat indexes by a mask here, which waits for CuPy's device")

    def matmul(self, a, b):
        return np_.matmul(to_tf32(a), to_tf32(b))


def to_tf32(x):
    """To the nearest significand of 11 bits."""
    if x.dtype != np.float32:
        return x
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


@pytest.fixture
def like_cupy(monkeypatch):
    monkeypatch.setattr(devices, "_kept", {})
    monkeypatch.setattr(devices, "_wait_for_copy", lambda device: None)
    return LikeCuPy()


def test_tf32_has_eleven_bits():
    x = np.array([1 + 2.0**-10, 1 + 2.0**-11 + 2.0**-20, -19595], np.float32)
    np.testing.assert_array_equal(to_tf32(x), np.array([1 + 2.0**-10, 1 + 2.0**-10, -19600], np.float32))


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_libjpeg_arithmetic_does_not_rely_on_float32_products(like_cupy, monkeypatch, sampling):
    spec = Spec(True, "cubic", "identity", sampling, True)
    image = np.moveaxis(photo("chelsea")[100:237, 30:171], -1, 0).astype(np.float32)[: 3 if sampling else 1]
    operands = operands_of(spec, np.float32(60), np.float32)
    want, residuals = whole.code(np_, spec, operands, image, Wanted(True, True, False))
    got, theirs = whole.code(like_cupy, spec, operands, image, Wanted(True, True, False))
    for a, b in zip((want, *residuals), (got, *theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    # It would show.
    for module in (codec, dct):
        monkeypatch.setattr(module, "for_exact_products", lambda xp, x: x)
    _, theirs = whole.code(like_cupy, spec, operands, image, Wanted(True, True, False))
    assert any(np.any(a != b) for a, b in zip(residuals, theirs, strict=True))


@pytest.mark.parametrize("kind", ["code", "encode", "decode"])
@pytest.mark.parametrize("exact", [False, True])
def test_constants_are_sent_once(like_cupy, kind, exact):
    rng = np.random.default_rng(0)
    spec, size = Spec(True, "cubic", "identity", (2, 2), exact), (21, 35)
    tables = [np.full((8, 8), 20.0), np.full((8, 8), 30.0)]
    color = [np.array(codec.color.MATRIX), np.array(codec.color.OFFSET)]
    inputs = (rng.uniform(0, 255, (3, *size)), np.array(50.0), *tables, *color)
    if kind == "decode":
        coefficients, _ = TRANSFORMS["encode"].forward(np_, spec, size, inputs, (False,) * 6)
        inputs = (*coefficients, *color)
    every = (True,) * len(inputs)
    for attempt in range(2):
        before = like_cupy.sent
        outputs, residuals = TRANSFORMS[kind].forward(like_cupy, spec, size, inputs, every)
        TRANSFORMS[kind].vjp(like_cupy, spec, size, inputs, residuals, outputs, every)
        assert (like_cupy.sent > before) == (attempt == 0)


def test_limit_is_clip(like_cupy):
    x = np.array([-1.5, 0.0, 100.25, 255.0, 300.0, np.inf, np.nan], np.float32)
    limited = devices.limit(like_cupy, x, 0, 255)
    assert limited.dtype == x.dtype
    np.testing.assert_array_equal(limited, np.clip(x, 0, 255))


def test_kept_constants_are_told_apart_and_bounded(like_cupy):
    singles = devices.constant(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu")
    assert devices.constant(like_cupy, [[1, 2], [3, 4]], np.float32, "cpu") is singles
    assert devices.constant(like_cupy, [[1, 2], [3, 4]], np.float64, "cpu").dtype == np.float64
    assert devices.constant(like_cupy, (1, 2, 3, 4), np.float32, "cpu").shape == (4,)
    for number in range(2 * devices.MOST_KEPT):
        array = devices.constant(like_cupy, (number,), np.float32, "cpu")
        assert array[0] == number
    assert len(devices._kept) == devices.MOST_KEPT
    assert devices.constant(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu") is singles


def test_who_asks_for_shapes_alone_gets_constants_of_his_own(like_cupy):
    with devices.shapes_alone():
        devices.constant_like(like_cupy, dct.BASIS, np.zeros(1))
    assert not devices._kept


def test_on_the_host_nothing_is_kept(monkeypatch):
    monkeypatch.setattr(devices, "_kept", {})
    for xp in (np_, pytest.importorskip("array_api_strict")):
        devices.constant_like(xp, dct.BASIS, xp.zeros(1))
    assert not devices._kept


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_dtype_and_device_in_every_library(case, dtype):
    like = case.array([0.0], dtype)
    made = devices.constant_like(case.xp, ((1.0, 2.5), (3.0, -4.0)), like)
    assert made.dtype == like.dtype
    assert made.device == like.device
    np.testing.assert_array_equal(case.numpy(made), [[1, 2.5], [3, -4]])


def test_numpy_reads_tuples_once_and_lists_anew():
    values = ((1.0, 2.5), (3.0, -4.0))
    kept = devices.constant(np_, values, np.float32, "cpu")
    assert devices.constant(np_, values, np.float32, "cpu") is kept
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 7
    changing = [1.0, 2.0]
    first = devices.constant(np_, changing, np.float32, "cpu")
    changing[0] = 5.0
    np.testing.assert_array_equal(first, [1, 2])
    np.testing.assert_array_equal(devices.constant(np_, changing, np.float32, "cpu"), [5, 2])
