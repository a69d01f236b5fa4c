"""The CUDA kernels, emulated, are the whole image at once: every thread of them, over arrays in memory."""

import re

import array_api_compat.numpy as np_
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff import backends, diff_jpeg_coding_vjp, jpeg_decode_vjp, jpeg_encode_vjp
from pyjpegdiff.backends import cuda_kernels
from pyjpegdiff.kernels.cuda import source
from pyjpegdiff.operations import CODE
from pyjpegdiff.results import CodingGradients
from pyjpegdiff.spec import Spec
from pyjpegdiff.stages.surrogates import ROUNDING_NAMES
from tests.backends.comparison import CHOICES, assert_same, blocks_without_ties, drawn_problem
from tests.backends.cuda import emulator
from tests.backends.cuda.emulator import EmulatedKernels, Emulator
from tests.photos import photo, pillow
from tests.samples import MODES, SAMPLINGS, default_parameters, photo_like, problem, spec_of


def unpacked(case, residuals):
    return cuda_kernels._unpacked(np_, case.plan.spec, residuals)


@given(
    **CHOICES,
    rounding=st.sampled_from(["cubic"] * 6 + [*ROUNDING_NAMES]),
    descending=st.booleans(),
    height=st.one_of(st.integers(1, 9), st.integers(1, 40)),
    width=st.one_of(st.integers(1, 9), st.integers(1, 40), st.integers(60, 140)),
)
def test_kernels_make_the_whole(operation, mode, sampling, batch_shape, seed, rounding, descending, height, width):
    if rounding != "cubic":
        sampling = (2, 2)  # a library for each combination: to compile them takes longer than to run them
    rng = np.random.default_rng(seed)
    case, needs = drawn_problem(
        rng, operation, mode, sampling, batch_shape, (height, width), rounding=rounding, flooring="identity"
    )
    backend = EmulatedKernels(Emulator(descending))
    assert_same(case, backend, needs, rng, unpacked if operation is CODE else lambda case, residuals: residuals)
    # Encode and decode are left to the array API.
    assert ("upsample_convert" in backend.launched) == (operation is CODE and case.inputs[0].size > 0)


@given(
    mode=st.sampled_from(MODES),
    flooring=st.sampled_from(["cubic", "identity"]),
    gray=st.booleans(),
    batch_shape=st.sampled_from([(), (1,), (3,), (2, 3), (0,)]),
    seed=st.integers(0, 999),
)
def test_step_sizes_and_their_cotangents(mode, flooring, gray, batch_shape, seed):
    """Steps that are clipped and qualities beyond 1 and 100 among them, in batches that differ from one to the next."""
    rng = np.random.default_rng(seed)
    spec = spec_of(mode, None if gray else (2, 2), flooring=flooring)
    case = problem(rng, CODE, spec, (9, 17), batch_shape, whole=True)

    def varied(low, high, *core):
        shape = tuple(n if rng.random() < 0.5 else 1 for n in batch_shape[rng.integers(0, len(batch_shape) + 1) :])
        return rng.uniform(low, high, (*shape, *core))

    tables = tuple(varied(0.5, 300, 8, 8) for _ in spec.samplings)
    quality = rng.permutation(4)[0] * varied(-20, 60)
    case = case._replace(inputs=(case.inputs[0], np.asarray(quality), *tables, *case.inputs[1 + 1 + len(tables) :]))
    backend = EmulatedKernels()
    outputs, residuals = case.forward("array_api")
    again, packed = backend.forward(CODE, case.plan, case.size, np_, case.inputs, case.all_needed)
    u = residuals[: len(spec.samplings)]
    assume(spec.libjpeg or all(np.abs(a - np.floor(a) - 0.5).min(initial=1) > 1e-9 for a in u))
    for a, b in zip((*again, *unpacked(case, packed)[: len(u)]), (*outputs, *u), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=0 if spec.libjpeg else 1e-9)
    needs = (False, True, *(True for _ in tables), *(False for _ in case.inputs[2 + len(tables) :]))
    g = case.cotangents(rng, outputs)
    want, got = case.vjp("array_api", residuals, g, needs), case.vjp(backend, packed, g, needs)
    for a, b, x, need in zip(got, want, case.inputs, needs, strict=True):
        assert (a is None) == (b is None) == (not need)
        if need:
            assert np.shape(a) == np.shape(b) == x.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max(initial=0))


def photo_problem(image, spec, quality, dtype="float32"):
    """A photo (..., C, H, W) with the parameters of JPEG."""
    case = problem(np.random.default_rng(0), CODE, spec, image.shape[-2:], image.shape[:-3], dtype=dtype)
    inputs = (image, np.asarray(quality, dtype), *default_parameters(dtype))
    return case._replace(inputs=inputs[: 3 if spec.sampling is None else 6])


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_libjpeg_arithmetic_in_float32_to_the_bit(sampling):
    spec = spec_of(MODES[2], sampling)
    image = np.moveaxis(photo("chelsea")[100:237, 30:171], -1, 0).astype(np.float32)
    image = image if sampling else image[:1]
    case = photo_problem(np.stack([image] * 3), spec, [3, 60, 96])
    needs = (True, *(index < 4 for index in range(1, len(case.inputs))))
    (coded,), residuals = case.forward("array_api", needs)
    (again,), packed = case.forward(EmulatedKernels(), needs)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, coded)
    for a, b in zip(unpacked(case, packed), residuals, strict=True):
        np.testing.assert_array_equal(a, b)
    names = {factors: name for name, factors in SAMPLINGS.items() if name != "4:4:0"}
    if sampling in names:
        ours = np.moveaxis(again[1], 0, -1)
        want = pillow(np.moveaxis(image, 0, -1).astype(np.uint8), 60, names[sampling])
        np.testing.assert_array_equal(ours, want)


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("flags", [(), ("-mfma", "-ffp-contract=fast")], ids=["separate", "contracted"])
def test_in_float32_only_what_is_next_to_a_tie_or_a_bound_differs(hard, flags):
    """With products and sums contracted, too, as a GPU's compiler does."""
    if flags and "fma" not in emulator.processor_flags():
        pytest.skip("this processor has no fused multiply-add")
    spec = Spec(hard, "cubic", "identity")
    image = np.moveaxis(photo("astronaut")[:256, :256], -1, 0).astype(np.float32)
    case = photo_problem(image, spec, 50)
    cotangent = (np.random.default_rng(0).standard_normal(image.shape).astype(np.float32),)
    needs = (True, True, True, True, False, False)
    backend = EmulatedKernels(Emulator(flags=flags))
    (coded,), residuals = case.forward("array_api", needs)
    (again,), packed = case.forward(backend, needs)
    settled = blocks_without_ties(image) if hard else [np.array(True)] * 2
    for a, b, sure in zip(residuals[:2], packed[:2], settled, strict=True):
        assert sure.mean() > 0.5
        # |u| < 2^11, of which float32 resolves 2^-13; products and sums of it take a few.
        assert np.all(np.isclose(a, b, rtol=0, atol=1e-3) | ~sure)
    # A block that fell the other way differs, and one more sample in a thousand may be next to a tie itself.
    assert (np.abs(coded - again) > 1e-2).mean() <= 1e-3 + sum(1 - sure.mean() for sure in settled)
    # At residuals that are the same, the VJP has neither ties nor bounds: float32's 2^-24, times the DCT's 64 products
    # twice and the cotangents' size of a few, is below 1e-4.
    same = case.vjp(backend, packed, cotangent, needs)
    want = case.vjp("array_api", unpacked(case, packed), cotangent, needs)
    np.testing.assert_allclose(same[0], want[0], rtol=0, atol=1e-4)
    # Sums of 2^16 / 64 terms of either sign, of a few units each.
    for a, b in zip(same[2:4], want[2:4], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("elastic", [False, True])
@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_results_are_the_same_whatever_thread_comes_first(sampling, elastic):
    spec = Spec(True, "cubic", "identity", sampling, elastic=elastic)
    for first, second in zip(*(results(spec, Emulator(descending)) for descending in (False, True)), strict=True):
        np.testing.assert_array_equal(first, second)


BARRIERS = len(re.findall(r"__syncthreads\(\);", source()))


@pytest.mark.parametrize("barrier", range(BARRIERS))
def test_a_missing_barrier_would_be_noticed(barrier, monkeypatch):
    """In one order of threads or the other; so the test above tells that none is missing."""
    *before, after = source().split("__syncthreads();", barrier + 1)
    without = "__syncthreads();".join(before) + after
    spec = Spec(True, "cubic", "identity", (2, 2), elastic=True)
    want = results(spec, Emulator())
    monkeypatch.setattr(emulator, "source", lambda: without)
    differs = []
    for descending in (False, True):
        got = results(spec, Emulator(descending, flags=(f"-DWITHOUT={barrier}",)))
        differs.append(any(np.any(a != b) for a, b in zip(got, want, strict=True)))
    assert any(differs)


def results(spec, launch):
    """Result, residuals and cotangents of a batch of two that differ in quality."""
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (2, 1 if spec.sampling is None else 3, 37, 71))
    case, backend = photo_problem(image, spec, [30, 70], "float64"), EmulatedKernels(launch)
    needs = (True, *(index < 4 for index in range(1, len(case.inputs))))
    outputs, residuals = case.forward(backend, needs)
    pulled = case.vjp(backend, residuals, (image - 100,), needs)
    return *outputs, *residuals, *[g for g in pulled if g is not None]


def test_each_kernel_is_launched_once():
    """The preparation of parameters twice: before the forward and before the VJP."""
    launch = Emulator()
    results(Spec(True, "cubic", "identity"), launch)
    forward = ["prepare", "encode_reconstruct", "upsample_convert"]
    assert launch.launched == [*forward, "prepare", "code_vjp", "prepare_vjp"]


@pytest.mark.parametrize("axis", [-1, -2, -4])
def test_arrays_that_are_not_contiguous(axis):
    rng = np.random.default_rng(0)
    plain = problem(rng, CODE, Spec(True, "cubic", "identity"), (20, 30), (2,))
    moved = problem(rng, CODE, Spec(True, "cubic", "identity"), (20, 30), (2,), channel_axis=axis)
    image = plain.inputs[0]
    moved = moved._replace(inputs=(np.moveaxis(image, -3, axis), *plain.inputs[1:]))
    backend = EmulatedKernels()
    outputs, residuals = plain.forward(backend)
    again, residuals_again = moved.forward(backend)
    np.testing.assert_array_equal(np.moveaxis(again[0], axis, -3), outputs[0])
    needs = (True, True, True, True, False, False)
    straight = plain.vjp(backend, residuals, (image[..., ::-1].copy(),), needs)
    flipped = plain.vjp(backend, residuals, (image[..., ::-1],), needs)
    other = moved.vjp(backend, residuals_again, (np.moveaxis(image[..., ::-1], -3, axis),), needs)
    np.testing.assert_array_equal(flipped[0], straight[0])
    np.testing.assert_array_equal(np.moveaxis(other[0], axis, -3), straight[0])


NEEDS = [tuple(map(bool, needs)) for needs in ((1, 1, 1, 1, 0, 0), (1, 0, 0, 0, 0, 0), (0, 1, 0, 0, 0, 0), (1,) * 6)]


@pytest.mark.parametrize("needs", NEEDS, ids=str)
def test_torch_tensors(needs):
    torch = pytest.importorskip("torch")
    torch_xp = pytest.importorskip("array_api_compat.torch")
    rng = np.random.default_rng(0)
    case = problem(rng, CODE, Spec(True, "cubic", "identity"), (20, 30), (2,), batch_shapes=((2,), (), (), (), ()))
    tensors = tuple(map(torch.from_numpy, case.inputs))
    backend = EmulatedKernels()
    (coded,), residuals = case.forward(backend, needs)
    (again,), theirs = backend.forward(CODE, case.plan, case.size, torch_xp, tensors, needs)
    np.testing.assert_array_equal(again.numpy(), coded)
    want = case.vjp(backend, residuals, (case.inputs[0],), needs)
    got = backend.vjp(CODE, case.plan, case.size, torch_xp, tensors, theirs, (tensors[0],), needs)
    for a, b, need in zip(got, want, needs, strict=True):
        assert (a is None) == (b is None) == (not need)
        if need:
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", [-3, -1, None])
def test_public_functions_by_the_kernels(mode, axis):
    """Operations that they leave to the array API, too."""
    backends.register(EmulatedKernels())
    shape = {-3: (2, 3, 24, 37), -1: (2, 24, 37, 3), None: (2, 24, 37)}[axis]
    image = photo_like(np.random.default_rng(0), shape)
    wrt = CodingGradients._fields if axis is not None else CodingGradients._fields[:3]

    def results():
        coded, vjp = diff_jpeg_coding_vjp(image, 60, wrt=wrt, channel_axis=axis, **mode)
        coefficients, encode_vjp = jpeg_encode_vjp(image, 60, wrt=wrt, channel_axis=axis, **mode)
        decoded, decode_vjp = jpeg_decode_vjp(coefficients, channel_axis=axis, **mode)
        halves = decode_vjp(image).coefficients
        return [coded, decoded, *vjp(image), *encode_vjp(halves), *coefficients[:5], *halves[:5]]

    want = results()
    with backends.use_backend("emulated"):
        got = results()
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * np.abs(b).max())


def test_a_rounding_surrogate_of_the_caller_is_not_for_the_kernels():
    cupy_like = type("Namespace", (), {"__name__": "array_api_compat.cupy"})()
    kernels = cuda_kernels.CudaKernels()
    assert all(kernels.supports(Spec(False, name, "cubic"), cupy_like, None) for name in ROUNDING_NAMES)
    assert not kernels.supports(Spec(False, (np.round, np.ones_like), "cubic"), cupy_like, None)


def test_only_what_a_gpu_holds_is_for_the_kernels():
    kernels, spec = cuda_kernels.CudaKernels(), Spec(False, "cubic", "cubic")
    assert not kernels.automatic
    assert not kernels.supports(spec, np_, "cpu")
    torch_xp = pytest.importorskip("array_api_compat.torch")
    torch = pytest.importorskip("torch")
    assert kernels.supports(spec, torch_xp, torch.device("cuda"))
    assert not kernels.supports(spec, torch_xp, torch.device("cpu"))
