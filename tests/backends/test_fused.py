"""The fused kernels, emulated, are the whole image at once: every thread of them, over arrays in memory."""

import re

import array_api_compat.numpy as xp
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.backends import fused, whole
from pyjpegdiff.backends.cuda import source
from pyjpegdiff.devices import shapes_alone
from pyjpegdiff.parameters import Parameters, prepare, prepare_vjp
from pyjpegdiff.reduce import sum_to_shape
from pyjpegdiff.spec import Operands, Spec, Wanted
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.surrogates import ROUNDINGS
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.backends.cuda import emulator
from tests.backends.cuda.emulator import Emulator
from tests.backends.test_strips import blocks_without_ties, operands_of
from tests.photos import photo, pillow

WANTED = [Wanted(*map(bool, wishes)) for wishes in ((1, 1, 0), (1, 0, 0), (0, 1, 0), (1, 1, 1), (0, 0, 1))]


def operands_a_sample(rng, spec, axes, leading, dtype):
    """Operands of which each has leading axes of its own number, of the image's lengths or of length 1."""

    def varied(value, spread):
        missing = rng.integers(0, len(leading) + 1)
        shape = tuple(n if rng.random() < axes else 1 for n in leading[missing:])
        return (value + spread * rng.standard_normal((*shape, *np.shape(value)))).astype(dtype)

    tables = tuple(varied(np.array(table, float), 2) for table in (LUMINANCE, CHROMINANCE))
    quality = varied(np.array(rng.uniform(10, 90)), 3)
    if spec.sampling is None:
        return prepare(xp, spec, Parameters(quality, tables[:1], None, None))
    color = (MATRIX, OFFSET) if spec.exact else (varied(np.array(MATRIX), 0.01), varied(np.array(OFFSET), 1))
    return prepare(xp, spec, Parameters(quality, tables, *(np.asarray(each, dtype) for each in color)))


def unpacked(spec, residuals):
    return fused._unpacked(xp, spec, residuals)


@given(
    mode=st.sampled_from([(False, False), (True, False), (True, True)]),
    rounding=st.sampled_from(["cubic"] * 6 + [*ROUNDINGS]),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
    descending=st.booleans(),
    seed=st.integers(0, 999),
    leading=st.sampled_from([(), (1,), (3,), (2, 3), (0,)]),
    height=st.one_of(st.integers(1, 9), st.integers(1, 40)),
    width=st.one_of(st.integers(1, 9), st.integers(1, 40), st.integers(60, 140)),
    axes=st.sampled_from([0, 0.5, 1]),
    wanted=st.sampled_from(WANTED),
)
def test_kernels_make_the_whole(mode, rounding, sampling, descending, seed, leading, height, width, axes, wanted):
    hard, exact = mode
    assume(sampling or not wanted.color)
    if rounding != "cubic":
        sampling = (2, 2)  # a library a combination: to compile them takes longer than to run them
    spec = Spec(hard, rounding, "identity", sampling, exact)
    rng = np.random.default_rng(seed)
    image = rng.uniform(-3, 258, (*leading, 1 if sampling is None else 3, height, width))
    image = np.round(image) if exact else image
    operands = operands_a_sample(rng, spec, axes, leading, np.float64)
    cotangent = rng.standard_normal(image.shape)
    backend = fused.Fused(Emulator(descending))
    coded, residuals = whole.code(xp, spec, operands, image, wanted)
    again, packed = backend.code(xp, spec, operands, image, wanted)
    assert backend.code(xp, spec, operands, image, Wanted(False, False, False))[1] == ()
    if not exact:
        # Next to a tie or a bound the last bit decides, and either is right.
        u = residuals[: len(spec.samplings)]
        assume(all(np.abs(a - np.floor(a) - 0.5).min(initial=1) > 1e-9 for a in u))
        assume(hard or np.abs(np.concatenate([coded.ravel(), coded.ravel() - 255])).min(initial=1) > 1e-9)
    np.testing.assert_allclose(again, coded, rtol=0, atol=0 if exact else 1e-9)
    for a, b in zip(unpacked(spec, packed), residuals, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=0, atol=0 if exact else 1e-9)

    given_image = image if wanted.color else None
    want = whole.code_vjp(xp, spec, operands, given_image, residuals, cotangent, wanted)
    got = backend.code_vjp(xp, spec, operands, given_image, packed, cotangent, wanted)
    assert (got.image is None) == (not wanted.image)
    if wanted.image:
        np.testing.assert_allclose(got.image, want.image, rtol=0, atol=1e-9)
    assert len(got.operands.steps) == (len(spec.samplings) if wanted.steps else 0)
    for a, b in zip(got.operands.steps, want.operands.steps, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    for name in ("matrix", "shift", "inverse", "unshift"):
        a, b = getattr(got.operands, name), getattr(want.operands, name)
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@given(
    mode=st.sampled_from([(False, False), (True, False), (True, True)]),
    flooring=st.sampled_from(["cubic", "identity"]),
    gray=st.booleans(),
    leading=st.sampled_from([(), (1,), (3,), (2, 3), (0,)]),
    seed=st.integers(0, 999),
)
def test_operands_and_their_cotangents(mode, flooring, gray, leading, seed):
    """Steps that are clipped and qualities beyond 1 and 100 among them."""
    rng = np.random.default_rng(seed)
    hard, exact = mode
    spec = Spec(hard, "cubic", flooring, None if gray else (2, 2), exact)

    def varied(low, high, *own):
        shape = tuple(n if rng.random() < 0.5 else 1 for n in leading[rng.integers(0, len(leading) + 1) :])
        return rng.uniform(low, high, (*shape, *own))

    tables = tuple(varied(0.5, 300, 8, 8) for _ in spec.samplings)
    color = (None, None) if gray else (np.array(MATRIX) + varied(-0.1, 0.1, 3, 3), varied(-9, 9, 3) + OFFSET)
    parameters = Parameters(rng.permutation(4)[0] * varied(-20, 60), tables, *color)
    backend = fused.Fused(Emulator())
    want, got = prepare(xp, spec, parameters), backend.prepare(xp, spec, parameters, leading)
    for a, b in zip(got[1:], want[1:], strict=True):
        assert (a is None) == (b is None) == gray
        if not gray:
            np.testing.assert_allclose(*np.broadcast_arrays(a, b), rtol=1e-9, atol=1e-9)
    for a, b in zip(got.steps, want.steps, strict=True):
        np.testing.assert_allclose(*np.broadcast_arrays(a, b), rtol=1e-12, atol=0)

    g_steps = tuple(rng.standard_normal(steps.shape) for steps in got.steps)
    own = tuple(sum_to_shape(xp, g, steps.shape) for g, steps in zip(g_steps, want.steps, strict=True))
    nothing = Operands((), None, None, None, None)
    pulled = prepare_vjp(xp, spec, parameters, nothing._replace(steps=own))
    theirs = backend.prepare_vjp(xp, spec, parameters, nothing._replace(steps=g_steps), leading)
    for a, b in zip((theirs.quality, *theirs.tables), (pulled.quality, *pulled.tables), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
    assert backend.prepare_vjp(xp, spec, parameters, nothing, leading) == Parameters(None, (), None, None)


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_libjpeg_arithmetic_in_float32_to_the_bit(sampling):
    spec = Spec(True, "cubic", "identity", sampling, True)
    image = np.moveaxis(photo("chelsea")[100:237, 30:171], -1, 0).astype(np.float32)
    image = image if sampling else image[:1]
    operands = operands_of(spec, np.array([3, 60, 96], np.float32), np.float32)
    batch = np.stack([image] * 3)
    wanted = Wanted(True, True, False)
    coded, residuals = whole.code(xp, spec, operands, batch, wanted)
    again, packed = fused.Fused(Emulator()).code(xp, spec, operands, batch, wanted)
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, coded)
    for a, b in zip(unpacked(spec, packed), residuals, strict=True):
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
    operands = operands_of(spec, np.float32(50), np.float32)
    cotangent = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    wanted = Wanted(True, True, False)
    backend = fused.Fused(Emulator(flags=flags))
    coded, residuals = whole.code(xp, spec, operands, image, wanted)
    again, packed = backend.code(xp, spec, operands, image, wanted)
    settled = blocks_without_ties(image) if hard else [np.array(True)] * 2
    for a, b, sure in zip(residuals[:2], packed[:2], settled, strict=True):
        assert sure.mean() > 0.5
        # |u| < 2^11, of which float32 resolves 2^-13; products and sums of it take a few.
        assert np.all(np.isclose(a, b, rtol=0, atol=1e-3) | ~sure)
    # A block that fell the other way differs, and one more sample in a thousand may be next to a tie itself.
    assert (np.abs(coded - again) > 1e-2).mean() <= 1e-3 + sum(1 - sure.mean() for sure in settled)
    # At residuals that are the same, the VJP has neither ties nor bounds: float32's 2^-24, times the DCT's 64 products
    # twice and the cotangents' size of a few, is below 1e-4.
    same = backend.code_vjp(xp, spec, operands, None, packed, cotangent, wanted)
    want = whole.code_vjp(xp, spec, operands, None, unpacked(spec, packed), cotangent, wanted)
    np.testing.assert_allclose(same.image, want.image, rtol=0, atol=1e-4)
    # Sums of 2^16 / 64 terms of either sign, of a few units each.
    for a, b in zip(same.operands.steps, want.operands.steps, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_results_are_the_same_whatever_thread_comes_first(sampling):
    spec = Spec(True, "cubic", "identity", sampling)
    for first, second in zip(*(results(spec, Emulator(descending)) for descending in (False, True)), strict=True):
        np.testing.assert_array_equal(first, second)


BARRIERS = len(re.findall(r"__syncthreads\(\);", source()))


@pytest.mark.parametrize("barrier", range(BARRIERS))
def test_a_missing_barrier_would_be_noticed(barrier, monkeypatch):
    """In one order of threads or the other; so the test above tells that none is missing."""
    *before, after = source().split("__syncthreads();", barrier + 1)
    without = "__syncthreads();".join(before) + after
    spec = Spec(True, "cubic", "identity", (2, 2))
    want = results(spec, Emulator())
    monkeypatch.setattr(emulator, "source", lambda: without)
    for descending in (False, True):
        got = results(spec, Emulator(descending, flags=(f"-DWITHOUT={barrier}",)))
        if any(np.any(a != b) for a, b in zip(got, want, strict=True)):
            return
    pytest.fail(f"barrier {barrier} makes no difference")


def results(spec, launch):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (2, 1 if spec.sampling is None else 3, 37, 71))
    groups, backend = len(spec.samplings), fused.Fused(launch)
    tables = tuple(np.array(table, float) for table in (LUMINANCE, CHROMINANCE))[:groups]
    color = (np.array(MATRIX), np.array(OFFSET)) if groups == 2 else (None, None)
    parameters = Parameters(np.array([30.0, 70.0]), tables, *color)
    operands, wanted = backend.prepare(xp, spec, parameters, (2,)), Wanted(True, True, False)
    coded, residuals = backend.code(xp, spec, operands, image, wanted)
    g_image, g = backend.code_vjp(xp, spec, operands, None, residuals, image - 100, wanted)
    pulled = backend.prepare_vjp(xp, spec, parameters, g, (2,))
    return coded, *residuals, g_image, *g.steps, pulled.quality, *pulled.tables


def test_shapes_alone_launch_nothing():
    spec = Spec(True, "cubic", "identity")
    launch = Emulator()
    want = results(spec, launch)
    assert len(launch.launched) == 5
    with shapes_alone():
        got = results(spec, launch)
    assert len(launch.launched) == 5
    assert [(a.shape, a.dtype) for a in got] == [(a.shape, a.dtype) for a in want]


def test_arrays_that_are_not_contiguous():
    spec = Spec(True, "cubic", "identity")
    rng = np.random.default_rng(0)
    image = np.moveaxis(rng.uniform(0, 255, (2, 20, 30, 3)), -1, -3)
    operands = operands_of(spec, np.float64(60), np.float64)
    backend, wanted = fused.Fused(Emulator()), Wanted(True, True, False)
    coded, residuals = backend.code(xp, spec, operands, image, wanted)
    again, _ = backend.code(xp, spec, operands, image.copy(order="C"), wanted)
    np.testing.assert_array_equal(coded, again)
    flipped = backend.code_vjp(xp, spec, operands, None, residuals, image[..., ::-1], wanted)
    straight = backend.code_vjp(xp, spec, operands, None, residuals, image[..., ::-1].copy(), wanted)
    np.testing.assert_array_equal(flipped.image, straight.image)


def test_torch_tensors():
    torch = pytest.importorskip("torch")
    import array_api_compat.torch as torch_xp

    spec = Spec(True, "cubic", "identity")
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 255, (2, 3, 20, 30))
    operands = operands_of(spec, rng.uniform(10, 90, 2), np.float64)
    tensors = type(operands)(tuple(map(torch.from_numpy, operands.steps)), *map(torch.from_numpy, operands[1:]))
    backend = fused.Fused(Emulator())
    for wanted in WANTED:
        coded, residuals = backend.code(xp, spec, operands, image, wanted)
        again, theirs = backend.code(torch_xp, spec, tensors, torch.from_numpy(image), wanted)
        np.testing.assert_array_equal(again.numpy(), coded)
        want = backend.code_vjp(xp, spec, operands, image, residuals, image, wanted)
        tensor = torch.from_numpy(image)
        got = backend.code_vjp(torch_xp, spec, tensors, tensor, theirs, tensor, wanted)
        if wanted.image:
            np.testing.assert_allclose(got.image.numpy(), want.image, rtol=0, atol=1e-9)
        for a, b in zip(got.operands.steps, want.operands.steps, strict=True):
            np.testing.assert_allclose(a.numpy(), b, rtol=1e-9, atol=1e-9)


def test_a_callers_own_surrogate_is_not_for_the_kernels():
    assert all(fused.serves(Spec(False, name, "cubic")) for name in ROUNDINGS)
    assert not fused.serves(Spec(False, (np.round, np.ones_like), "cubic"))
