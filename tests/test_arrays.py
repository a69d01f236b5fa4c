"""What differs between array libraries, on libraries of the host that stand in for a GPU's."""

import sys

import array_api_compat.numpy as np_
import numpy as np
import pytest

from pyjpegdiff import arrays, numpy_namespace
from pyjpegdiff.backends import get
from pyjpegdiff.operations import CODE, OPERATIONS
from pyjpegdiff.stages import dct
from pyjpegdiff.testing import assert_adjoint
from pyjpegdiff.types import ArrayType
from tests.libraries import case  # noqa: F401
from tests.photos import photo
from tests.samples import MODES, SAMPLINGS, Problem, problem, spec_of


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


class WithoutFloat64(LikeCuPy):
    """What is to be computed in float64 is computed in float32."""

    float64 = np.float32


def to_tf32(x):
    """To the nearest significand of 11 bits."""
    if x.dtype != np.float32:
        return x
    bits = np.ascontiguousarray(x).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & np.uint32(0xFFFFE000)).view(np.float32)


class Device:
    """Like CuPy's: a context that makes it current."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture
def like_cupy(monkeypatch):
    """A namespace that passes for CuPy's, beside a module of that name whose streams have nothing to wait for."""
    waits = []

    class Stream:
        def synchronize(self):
            waits.append(self)

    class Runtime:
        Device = staticmethod(lambda device: Device())
        get_current_stream = staticmethod(Stream)

    module = type("Module", (), {"cuda": Runtime, "ndarray": type("ndarray", (), {})})
    monkeypatch.setitem(sys.modules, "cupy", module)
    arrays.KEPT.clear()
    namespace = LikeCuPy()
    namespace.waits = waits
    yield namespace
    arrays.KEPT.clear()


def forward(xp, problem, needs=None):
    """By the array API, in a namespace of the test's choice."""
    needs = needs or problem.all_needed
    return get("array_api").forward(problem.operation, problem.plan, problem.size, xp, problem.inputs, needs)


def vjp(xp, problem, residuals, cotangents):
    return get("array_api").vjp(
        problem.operation, problem.plan, problem.size, xp, problem.inputs, residuals, cotangents, problem.all_needed
    )


def test_tf32_has_eleven_bits():
    x = np.array([1 + 2.0**-10, 1 + 2.0**-11 + 2.0**-20, -19595], np.float32)
    np.testing.assert_array_equal(to_tf32(x), np.array([1 + 2.0**-10, 1 + 2.0**-10, -19600], np.float32))


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_libjpeg_arithmetic_does_not_rely_on_float32_products(like_cupy, sampling):
    image = np.moveaxis(photo("chelsea")[100:237, 30:171], -1, 0).astype(np.float32)[: 3 if sampling else 1]
    code = problem(
        np.random.default_rng(0), CODE, spec_of(MODES[2], sampling), image.shape[-2:], dtype="float32", quality=60
    )
    code = code._replace(inputs=(image, *code.inputs[1:]))
    want, residuals = forward(np_, code)
    got, theirs = forward(like_cupy, code)
    for a, b in zip((*want, *residuals), (*got, *theirs), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    # It would show: where float64 is float32 in truth, products are not exact.
    _, theirs = forward(WithoutFloat64(), code)
    assert any(np.any(a != b) for a, b in zip(residuals, theirs, strict=True))


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("mode", MODES[1:])
def test_constants_are_sent_once(like_cupy, operation, mode):
    problem_: Problem = problem(np.random.default_rng(0), operation, spec_of(mode))
    for attempt in range(2):
        before, waits = like_cupy.sent, len(like_cupy.waits)
        outputs, residuals = forward(like_cupy, problem_)
        vjp(like_cupy, problem_, residuals, outputs)
        assert (like_cupy.sent > before) == (attempt == 0)
        # A copy from the host has arrived before the constant is kept, for calls on other streams.
        assert len(like_cupy.waits) - waits == like_cupy.sent - before


def test_hard_clip_is_clip(like_cupy):
    x = np.array([-1.5, 0.0, 100.25, 255.0, 300.0, np.inf, np.nan], np.float32)
    clipped = arrays.hard_clip(like_cupy, x, 0, 255)
    assert clipped.dtype == x.dtype
    np.testing.assert_array_equal(clipped, np.clip(x, 0, 255))


def test_kept_constants_are_told_apart_and_bounded(like_cupy):
    first = arrays.constant(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu")
    assert arrays.constant(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu") is first
    assert arrays.kept(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu") is first
    assert arrays.kept(like_cupy, ((1, 2), (3, 4)), np.float32, "another") is None
    assert arrays.constant(like_cupy, ((1, 2), (3, 4)), np.float64, "cpu").dtype == np.float64
    assert arrays.constant(like_cupy, (1, 2, 3, 4), np.float32, "cpu").shape == (4,)
    for number in range(2 * arrays.MOST_KEPT):
        array = arrays.constant(like_cupy, (number,), np.float32, "cpu")
        assert array[0] == number
    assert len(arrays.KEPT) == arrays.MOST_KEPT
    assert arrays.constant(like_cupy, ((1, 2), (3, 4)), np.float32, "cpu") is first


def test_types_of_results_need_no_constants(like_cupy):
    code = problem(np.random.default_rng(0), CODE, spec_of(MODES[1]))

    types = tuple(ArrayType(x.shape, x.dtype.name) for x in code.inputs)
    assert CODE.output_types(code.plan, code.size, types)[0].shape == (3, 21, 35)
    assert len(get("array_api").residual_types(CODE, code.plan, code.size, types)) == 5
    assert not arrays.KEPT


def test_on_the_host_nothing_is_kept():
    arrays.KEPT.clear()
    for xp in (np_, pytest.importorskip("array_api_strict")):
        made = arrays.constant_like(xp, dct.BASIS, xp.zeros(1))
        assert made.shape == (8, 8)
    assert not arrays.KEPT


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_dtype_and_device_in_every_library(case, dtype):
    like = case.array([0.0], dtype)
    made = arrays.constant_like(case.xp, ((1.0, 2.5), (3.0, -4.0)), like)
    assert made.dtype == like.dtype
    assert made.device == like.device
    np.testing.assert_array_equal(case.numpy(made), [[1, 2.5], [3, -4]])


def test_numpy_reads_tuples_once():
    values = ((1.0, 2.5), (3.0, -4.0))
    kept = arrays.constant(np_, values, np.float32, "cpu")
    assert arrays.constant(np_, values, np.float32, "cpu") is kept
    np.testing.assert_array_equal(kept, values)
    with pytest.raises(ValueError, match="read-only"):
        kept[0, 0] = 7


# --- namespaces, devices, dtypes --------------------------------------------------------------------------------------


def test_namespace_and_device_of_every_library(case):
    array = case.array([1.0])
    assert arrays.namespace(array) is case.xp
    assert arrays.device(array) == case.device


def test_numpy_has_a_namespace_without_wrappers():
    assert arrays.namespace(np.zeros(1)) is numpy_namespace.xp


@pytest.mark.parametrize(
    ("dtype", "name"),
    [
        ("float16", "float16"),
        ("float32", "float32"),
        (">f4", "float32"),
        ("float64", "float64"),
        ("uint8", "float32"),
        ("int64", "float32"),
    ],
)
def test_dtype_of_results(dtype, name):
    assert arrays.result_dtype(np.dtype(dtype)) == name


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_dtype_of_results_in_every_library(case, dtype):
    array = case.array([1], dtype)
    assert arrays.result_dtype(array.dtype) == {"uint8": "float32"}.get(dtype, dtype)


def test_to_dtype():
    x = np.arange(3.0, dtype=np.float32)
    assert arrays.to_dtype(numpy_namespace.xp, x, "float32") is x
    assert arrays.to_dtype(numpy_namespace.xp, x, "float64").dtype == np.float64
    scalar = arrays.to_dtype(numpy_namespace.xp, np.float64(1.5), "float32")
    assert isinstance(scalar, np.ndarray)
    assert (scalar.shape, scalar.dtype.name, float(scalar)) == ((), "float32", 1.5)


# --- arithmetic -------------------------------------------------------------------------------------------------------


def test_arithmetic_in_place_where_the_library_is_numpy(case):
    x, y = case.array([1.0, 2.0]), case.array([3.0, 5.0])
    np.testing.assert_array_equal(case.numpy(arrays.multiply_by(case.xp, x + 0, y)), [3, 10])
    total = arrays.add_to(case.xp, x, y)
    np.testing.assert_array_equal(case.numpy(total), [4, 7])
    assert (total is x) == (case.xp is numpy_namespace.xp)


# --- broadcasting -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "broadcast"),
    [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1,), (1,)), ((1, 3), (0, 3)), ((2, 3), (2, 3))],
)
def test_unbroadcast_is_the_adjoint_of_broadcasting(shape, broadcast):
    rng = np.random.default_rng(0)
    assert_adjoint(
        lambda x: np.broadcast_to(x, broadcast),
        lambda y: arrays.unbroadcast(np, y, shape),
        rng.normal(size=shape),
        rng.normal(size=broadcast),
    )


def test_operands_per_sample():
    operand = np.arange(2 * 4.0).reshape(2, 1, 4)
    flat = arrays.per_sample(numpy_namespace.xp, operand, 1, (2, 3))
    assert flat.shape == (6, 4)
    for sample, (row, _) in zip(flat, np.ndindex(2, 3), strict=True):
        np.testing.assert_array_equal(sample, operand[row, 0])
