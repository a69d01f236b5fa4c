"""Bits by the compiled kernels, with the array code as the reference: equal to the last bit, the VJP too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyjpegdiff import Coefficients, arguments, jpeg_rate, jpeg_rate_vjp, scan, set_num_threads
from pyjpegdiff.backends import available, cpu_scan, use_backend
from pyjpegdiff.kernels import library
from pyjpegdiff.rate import HUFFMAN
from pyjpegdiff.stages.sampling import padded_size
from tests.samples import SAMPLINGS

pytestmark = pytest.mark.skipif("cpu_kernels" not in available(), reason="the compiled library is not there")

KINDS = ("any", "whole", "quarters", "next to quarters", "next to whole")


def coefficients_of(seed, subsampling, size, batch=(), dtype="float32", kind="any"):
    """Coefficients of random density and magnitude, within what baseline can store."""
    rng = np.random.default_rng(seed)
    gray = subsampling == "gray"

    def blocks(factors):
        height, width = padded_size(size, factors)
        shape = (*batch, height // 8, width // 8, 8, 8)
        x = rng.laplace(size=shape) * 10 ** rng.uniform(-1, 2.9) * (rng.uniform(size=shape) < rng.uniform())
        if kind == "whole":
            x = np.round(x)
        elif kind in ("quarters", "next to quarters"):
            x = np.round(4 * x) / 4
        if kind == "next to quarters":
            floating = dtype if "float" in dtype else "float64"
            x = np.nextafter(x.clip(-1023, 1023).astype(floating), rng.choice([-2e3, 2e3], shape).astype(floating))
        if kind == "next to whole":
            x = np.round(x) + rng.choice([-1e-9, 0, 1e-9, 1e-6], shape)
        return np.clip(x, -127, 127).astype(dtype) if dtype == "int8" else np.clip(x, -1023, 1023).astype(dtype)

    chroma = [None] * 2 if gray else [blocks(arguments.SAMPLINGS[subsampling]) for _ in range(2)]
    steps = np.ones((8, 8))
    return Coefficients(blocks((1, 1)), *chroma, steps, None if gray else steps, size, None if gray else subsampling)


def results_of(coefficients, huffman, cotangent):
    bits, vjp = jpeg_rate_vjp(coefficients, huffman=huffman)
    np.testing.assert_array_equal(jpeg_rate(coefficients, huffman=huffman), bits)
    return bits, *[x for x in vjp(cotangent)[:3] if x is not None]


def assert_same(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_array_equal(a, b)


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32 - 1), subsampling=st.sampled_from([*SAMPLINGS, "gray"]),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)), batch=st.sampled_from([(), (2,), (2, 1, 3)]),
    dtype=st.sampled_from(["float32", "float64", "float16", "int16", "int8"]), kind=st.sampled_from(KINDS),
    huffman=st.sampled_from(HUFFMAN),
)  # fmt: skip
def test_bits_and_derivatives_are_those_of_the_array_code(seed, subsampling, size, batch, dtype, kind, huffman):
    coefficients = coefficients_of(seed, subsampling, size, batch, dtype, kind)
    cotangent = np.asarray(np.random.default_rng(seed).normal(size=batch))
    with use_backend("array_api"):
        want = results_of(coefficients, huffman, cotangent)
    with use_backend("cpu_kernels"):
        found = results_of(coefficients, huffman, cotangent)
    assert_same(found, want)


def test_the_kernels_count_what_baseline_can_store_and_leave_the_rest():
    """Otherwise the comparison above could be one of the array code with itself."""

    def counted(dc, ac):
        y = np.zeros((1, 2, 8, 8))
        y[0, :, 0, 0], y[0, 1, 7, 7] = dc, ac
        return cpu_scan.scan(None, "standard", (y,)) is not None

    for dc, ac in (((0, 0), 0), ((-1024, 1023), 1023), ((2047, 4094), -1023), ((0, 0), 1023.4), ((0.4, 2047.4), 0)):
        assert counted(dc, ac)
    for value in (1023.5, -1024, 1e30, -np.inf, np.nan):
        assert not counted((0, 0), value)
    for dc in ((2048, 0), (-1024, 1024), (np.nan, 0), (np.inf, np.inf), (2**22, 2**22)):
        assert not counted(dc, 0)


def test_large_dc_with_small_differences_is_counted_all_the_same():
    y = np.zeros((1, 4096, 8, 8))
    y[0, :, 0, 0] = 2047 * np.arange(1, 4097)  # up to twice 2^22
    coefficients = Coefficients(y, None, None, np.ones((8, 8)), None, (8, 8 * 4096), None)
    assert cpu_scan.scan(None, "standard", (y,)) is None
    # Category 11: a code of 9 bits and 11 more; then the end of the block.
    assert jpeg_rate(coefficients) == 4096 * (9 + 11 + 4)


@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("name", library.instruction_sets())
def test_every_instruction_set_gives_the_same(name, huffman):
    coefficients = coefficients_of(1, "4:2:0", (45, 61), (2,))
    cotangent = np.array([1.0, -2.0])
    want = results_of(coefficients, huffman, cotangent)
    with library.use_instruction_set(name):
        assert_same(results_of(coefficients, huffman, cotangent), want)


@pytest.mark.parametrize("huffman", HUFFMAN)
def test_threads_make_no_difference(huffman):
    coefficients = coefficients_of(2, "4:2:0", (256, 256), (5,))
    cotangent = np.arange(5.0)
    found = []
    for count in (1, 3):
        set_num_threads(count)
        try:
            found.append(results_of(coefficients, huffman, cotangent))
        finally:
            set_num_threads(None)
    assert_same(*found)


def changed(coefficients, change):
    return coefficients._replace(**{name: change(getattr(coefficients, name)) for name in ("y", "cb", "cr")})


def unaligned(x):
    raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    raw[...] = x
    return raw


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda x: x[..., ::-1, :, :][..., ::-1, :, :], id="strides"),
        pytest.param(lambda x: np.asfortranarray(x), id="order"),
        pytest.param(unaligned, id="unaligned"),
        pytest.param(lambda x: x.astype(x.dtype.newbyteorder()), id="byte-order"),
        pytest.param(lambda x: np.broadcast_to(x[:1], x.shape), id="broadcast"),
    ],
)
def test_arrays_may_lie_in_any_way(change):
    coefficients = changed(coefficients_of(3, "4:2:2", (30, 40), (2,)), change)
    plain = changed(coefficients, lambda x: np.ascontiguousarray(x, x.dtype.newbyteorder("=")))
    cotangent = np.array([1.0, 3.0])
    assert_same(results_of(coefficients, "standard", cotangent), results_of(plain, "standard", cotangent))


def test_a_batch_without_a_sample():
    coefficients = coefficients_of(4, "4:2:0", (16, 16), (0, 2))
    bits, *gradients = results_of(coefficients, "optimized", np.ones((0, 2)))
    assert bits.shape == (0, 2)
    assert [g.shape for g in gradients] == [getattr(coefficients, name).shape for name in ("y", "cb", "cr")]


def test_cotangents_that_are_not_finite_go_where_the_array_code_has_them():
    coefficients = coefficients_of(5, "4:4:4", (16, 16), (2,))
    cotangent = np.array([np.inf, np.nan])
    with use_backend("array_api"), np.errstate(invalid="ignore"):
        want = results_of(coefficients, "standard", cotangent)
    assert_same(results_of(coefficients, "standard", cotangent), want)


def test_the_reference_is_not_the_kernels():
    coefficients = coefficients_of(6, "4:2:0", (16, 16))
    call = arguments.decoding(None, coefficients)
    assert call.plan.backend == "cpu_kernels"
    whole = scan.scan(call.xp, call.plan.spec.sampling, "standard", scan.blocks_of(call))
    assert whole.bits() == jpeg_rate(coefficients)
