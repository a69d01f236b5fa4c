"""Whole operations by the array API: central differences in float64, and what must hold between the parts."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff.backends import get
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import CODE, DECODE, ENCODE, OPERATIONS
from pyjpegdiff.parameters import of_coding, prepare
from pyjpegdiff.spec import Spec
from pyjpegdiff.stages.surrogates import ROUNDING_NAMES
from pyjpegdiff.testing import assert_vjp
from tests.samples import HOST_BACKENDS, MODES, SAMPLINGS, photo_like, problem, spec_of

SPECS = st.builds(
    Spec,
    hard=st.just(False),
    rounding=st.sampled_from(ROUNDING_NAMES),
    flooring=st.sampled_from(["cubic", "identity"]),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
)


def differentiable(case):
    """An operation as `assert_vjp` takes it: several outputs concatenated."""

    def function(*inputs):
        outputs, residuals = case.forward("array_api", inputs=inputs)
        sizes = np.cumsum([output.size for output in outputs])[:-1]

        def vjp(g):
            parts = [part.reshape(o.shape) for part, o in zip(np.split(g, sizes), outputs, strict=True)]
            return case.vjp("array_api", residuals, parts, inputs=inputs)

        return np.concatenate([output.ravel() for output in outputs]), vjp

    return function


def distance_to_kinks(case):
    """The least distance of anything rounded, floored or clipped from where its surrogate has a kink."""
    quality, table_y, *chroma = case.inputs[1:]
    operands = prepare(xp, case.plan.spec, of_coding(xp, case.inputs, "float64"))
    (coded,), residuals = case._replace(operation=CODE).forward("array_api")
    u = residuals[: len(operands.steps)]
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    raw = [(table * percent + 50) / 100 for table in (table_y, *chroma[:1])]
    near = [np.abs(x - np.round(x)).min() for x in (percent, *raw)]
    near += [np.abs(x - np.floor(x) - 0.5).min() for x in u]
    near += [
        np.abs(x - bound).min()
        for x, bounds in ((coded, (0, 255)), *((s, (1, 255)) for s in operands.steps))
        for bound in bounds
    ]
    return min(near)


@given(
    seed=st.integers(0, 10**6),
    spec=SPECS,
    height=st.integers(1, 18),
    width=st.integers(1, 18),
    quality=st.floats(4.3, 95.7),
)
@pytest.mark.parametrize("operation", [CODE, ENCODE], ids=lambda operation: operation.name)
def test_smooth_gradients_are_central_differences(operation, seed, spec, height, width, quality):
    rng = np.random.default_rng(seed)
    case = problem(rng, operation, spec, (height, width), quality=quality)
    assume(abs(quality - 50) > 1e-3 and distance_to_kinks(case) > 1e-5)
    # Fourier's tenth term bends a hundred times as much: its third derivative bounds the step.
    step = 1e-9 if spec.rounding == "fourier" else 1e-8
    assert_vjp(differentiable(case), *case.inputs, step=step, rtol=1e-6, directions=1, seed=seed)


@given(
    seed=st.integers(0, 10**6),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
    height=st.integers(1, 18),
    width=st.integers(1, 18),
)
def test_decoding_gradients_are_central_differences(seed, sampling, height, width):
    rng = np.random.default_rng(seed)
    case = problem(rng, DECODE, Spec(False, "cubic", "cubic", sampling), (height, width), quality=77)
    (image,), _ = case.forward("array_api")
    assume(min(np.abs(image).min(), np.abs(image - 255).min()) > 1e-4)
    assert_vjp(differentiable(case), *case.inputs, step=1e-7, directions=1, seed=seed)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("sampling", [(2, 2), None])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_each_cotangent_is_the_same_where_no_other_is_needed(backend, operation, sampling):
    rng = np.random.default_rng(0)
    case = problem(rng, operation, Spec(True, "cubic", "identity", sampling))
    outputs, residuals = case.forward(backend)
    g = case.cotangents(rng, outputs)
    together = case.vjp(backend, residuals, g)
    for index, want in enumerate(together):
        needs = tuple(i == index for i in range(len(case.inputs)))
        alone = case.vjp(backend, case.forward(backend, needs)[1], g, needs)
        assert [cotangent is not None for cotangent in alone] == list(needs)
        np.testing.assert_allclose(alone[index], want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_code_is_decode_after_encode(backend, mode):
    code = problem(np.random.default_rng(0), CODE, spec_of(mode), whole=True)
    encode = code._replace(operation=ENCODE)
    (coded,), _ = code.forward(backend)
    coefficients, _ = encode.forward(backend)
    decode = code._replace(operation=DECODE, inputs=(*coefficients, *code.inputs[4:]))
    (decoded,), _ = decode.forward(backend)
    np.testing.assert_array_equal(coded, decoded)


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_vjp_of_libjpeg_arithmetic_is_the_hard_one_at_its_residuals(backend, sampling):
    """To the bit: the VJP does not know which arithmetic made its residuals."""
    rng = np.random.default_rng(0)
    libjpeg = problem(rng, CODE, Spec(True, "cubic", "identity", sampling, True), whole=True)
    hard = libjpeg._replace(
        plan=type(libjpeg.plan)(Spec(True, "cubic", "identity", sampling, False), libjpeg.plan.layout, "")
    )
    needs = (True,) * min(4, len(libjpeg.inputs)) + (False,) * (len(libjpeg.inputs) - 4)
    outputs, residuals = libjpeg.forward(backend, needs)
    g = libjpeg.cotangents(rng, outputs)
    pulled = libjpeg.vjp(backend, residuals, g, needs)
    for a, b in zip(pulled, hard.vjp(backend, residuals, g, needs), strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(pulled[0]).all()
    assert np.count_nonzero(pulled[0]) > libjpeg.inputs[0].size / 2


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("rounding", ["identity", (lambda x: x, lambda x: 0 * x + 1)], ids=["identity", "functions"])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
@pytest.mark.parametrize("sampling", [(1, 1), None])
def test_residuals_share_memory_with_neither_inputs_nor_outputs(backend, rounding, operation, sampling):
    spec = Spec(False, rounding, "cubic", sampling)
    if not get(backend).supports(spec, xp, "cpu"):
        pytest.skip("it serves surrogates that have a name alone")
    case = problem(np.random.default_rng(0), operation, spec, (8, 8))
    outputs, residuals = case.forward(backend)
    assert residuals
    for residual in residuals:
        assert not any(np.shares_memory(residual, other) for other in (*case.inputs, *outputs))


class Immutable(np.ndarray):
    """Has no operators that work in place, as in libraries whose arrays never change."""

    def __iadd__(self, other):
        return self + other

    def __imul__(self, other):
        return self * other


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS.values())
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
def test_nothing_relies_on_working_in_place(operation, hard, sampling):
    rng = np.random.default_rng(0)
    case = problem(rng, operation, Spec(hard, "cubic", "identity", sampling))
    outputs, residuals = case.forward("array_api")
    g = case.cotangents(rng, outputs)
    plain = (*outputs, *case.vjp("array_api", residuals, g))
    again, kept = case.forward("array_api", inputs=tuple(x.view(Immutable) for x in case.inputs))
    pulled = case.vjp(
        "array_api", kept, [x.view(Immutable) for x in g], inputs=tuple(x.view(Immutable) for x in case.inputs)
    )
    for a, b in zip((*again, *pulled), plain, strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_image_without_pixels_in_its_batch():
    case = problem(np.random.default_rng(0), CODE, spec_of({"ste": True}), batch_shape=(0,))
    outputs, residuals = case.forward("array_api")
    assert outputs[0].shape == (0, 3, 21, 35)
    pulled = case.vjp("array_api", residuals, outputs)
    assert [g.shape for g in pulled] == [x.shape for x in case.inputs]
    assert not pulled[1].any()


def test_it_serves_everything_and_is_there_everywhere():
    backend = get("array_api")
    assert backend.is_available()
    for rounding in ("cubic", (np.round, np.ones_like)):
        assert backend.supports(Spec(False, rounding, "cubic"), xp, "cpu") is True


def test_blocks_that_are_not_needed_are_not_read():
    rng = np.random.default_rng(0)
    case = problem(rng, DECODE, spec_of({"ste": True}))
    needs = (True, False, True, True, False, False, False)
    assert case.operation.vjp_reads(needs)[0] is False
    (image,), residuals = case.forward("array_api", needs)
    pulled = case.vjp("array_api", residuals, (photo_like(rng, image.shape),), needs)
    assert [g is not None for g in pulled] == list(needs)
