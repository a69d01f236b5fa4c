"""Strips make the whole, however an image or a batch is cut."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff import (
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    get_num_threads,
    jpeg_decode_vjp,
    jpeg_encode_vjp,
    set_num_threads,
)
from pyjpegdiff.backends import choose, get, register, use_backend
from pyjpegdiff.backends.numpy_strips import NumPyStrips
from pyjpegdiff.backends.strips import Cutting
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import OPERATIONS
from pyjpegdiff.results import CodingGradients
from pyjpegdiff.spec import Spec
from tests.backends.comparison import (
    CHOICES,
    DTYPE_CHOICES,
    assert_same,
    assert_same_but_at_ties,
    assert_same_to_the_bit,
    drawn_problem,
)
from tests.samples import HOST_BACKENDS, MODES, photo_like


class SmallStrips(NumPyStrips):
    """Cut small, with as many threads as may be."""

    name = "small_strips"
    automatic = False

    def __init__(self):
        super().__init__(Cutting(area=700, thread_area=1))


register(SmallStrips())


@given(**CHOICES, height=st.integers(1, 70), width=st.integers(1, 40), area=st.sampled_from([1, 700, 2000, 2**15]))
def test_strips_make_the_whole(operation, mode, sampling, batch_shape, seed, height, width, area):
    rng = np.random.default_rng(seed)
    case, needs = drawn_problem(rng, operation, mode, sampling, batch_shape, (height, width))
    assert_same(case, NumPyStrips(Cutting(area, 2**30)), needs, rng)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@given(**DTYPE_CHOICES)
def test_every_dtype_and_layout_to_the_bit_in_libjpeg_arithmetic(operation, dtype, **choices):
    assert_same_to_the_bit(NumPyStrips(Cutting(700, 1)), operation, dtype, **choices)


@pytest.mark.parametrize("hard", [False, True])
def test_in_float32_only_what_is_next_to_a_tie_or_a_bound_differs(hard):
    assert_same_but_at_ties("numpy_strips", hard)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("shape", "axis"), [((2, 3, 50, 37), -3), ((2, 50, 37, 3), -1), ((3, 2, 50, 37), 0), ((2, 50, 37), None)]
)
def test_public_functions_by_strips_of_any_size(mode, shape, axis):
    image = photo_like(np.random.default_rng(0), shape)
    wrt = CodingGradients._fields if axis is not None else CodingGradients._fields[:3]

    def results():
        coded, vjp = diff_jpeg_coding_vjp(image, 60, wrt=wrt, channel_axis=axis, **mode)
        coefficients, encode_vjp = jpeg_encode_vjp(image, 60, wrt=wrt, channel_axis=axis, **mode)
        decoded, decode_vjp = jpeg_decode_vjp(coefficients, channel_axis=axis, **mode)
        halves = decode_vjp(image).coefficients
        return [coded, decoded, *vjp(image), *encode_vjp(halves), *coefficients[:5], *halves[:5]]

    want = results()
    with use_backend("small_strips"):
        got = results()
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


@pytest.mark.parametrize("axis", [-3, -1])
@pytest.mark.parametrize("backend", ["numpy_strips", "small_strips"])
def test_results_are_contiguous_in_the_callers_order_of_axes(backend, axis):
    image = photo_like(np.random.default_rng(0), (2, 3, 40, 30) if axis == -3 else (2, 40, 30, 3), np.uint8)
    with use_backend(backend):
        coded, vjp = diff_jpeg_coding_vjp(image, 60, channel_axis=axis)
        pulled = vjp(coded).image_rgb
    assert coded.shape == pulled.shape == image.shape
    assert coded.flags.c_contiguous
    assert pulled.flags.c_contiguous


@pytest.mark.parametrize(("shape", "axis"), [((1536, 1024, 3), -1), ((3, 1536, 1024), -3), ((1536, 1024), None)])
@pytest.mark.parametrize("backward", [False, True])
def test_no_copy_of_a_large_image_is_made(shape, axis, backward):
    """Of uint8 in either order of axes: beside result and residuals there are arrays of a strip, and no image."""
    image = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    cotangent = np.ones(shape, np.float32)

    def work():
        if not backward:
            return diff_jpeg_coding(image, 50, ste=True, channel_axis=axis)
        return vjp(cotangent).image_rgb

    before = get_num_threads()
    set_num_threads(1)
    try:
        _, vjp = diff_jpeg_coding_vjp(image, 50, ste=True, channel_axis=axis)
        work()
        tracemalloc.start()
        result = work()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        set_num_threads(before)
    channels = 1 if axis is None else 3
    strip = 4 * channels * 2 * Cutting().area  # of float32; strips of a large batch are twice as large
    # A stage reads one such array and writes another, or splits it; ten are more than ever exist at a time.
    assert result.dtype == np.float32
    assert peak - result.nbytes <= 10 * strip
    assert axis is None or 10 * strip < 0.85 * 4 * image.size


def test_numpy_goes_by_strips_and_others_whole():
    strict = pytest.importorskip("array_api_strict")
    spec = Spec(True, "cubic", "identity")
    assert choose(spec, xp, "cpu") == HOST_BACKENDS[0]
    # No compiled library serves surrogates of the caller.
    assert choose(Spec(True, (np.round, np.ones_like), "identity"), xp, "cpu") == "numpy_strips"
    assert choose(spec, strict, strict.Device("CPU_DEVICE")) == "array_api"


def test_it_serves_arrays_in_the_hosts_memory():
    backend, named = get("numpy_strips"), Spec(False, "cubic", "cubic")
    functions = Spec(False, (np.round, np.ones_like), "cubic")
    assert backend.is_available()
    assert backend.supports(named, xp, "cpu")
    assert backend.supports(functions, xp, "cpu")
    torch = pytest.importorskip("torch")
    namespace = pytest.importorskip("array_api_compat.torch")
    assert backend.supports(named, namespace, torch.device("cpu"))
    assert not backend.supports(named, namespace, torch.device("cuda"))
    # A surrogate of the caller expects tensors.
    assert not backend.supports(functions, namespace, torch.device("cpu"))
