"""The composed pipeline: central differences in float64, and what must hold between its parts."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff import codec
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.lean import xp
from pyjpegdiff.parameters import Parameters, prepare
from pyjpegdiff.spec import Spec, Wanted
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.testing import assert_vjp
from pyjpegdiff.transforms import TRANSFORMS

ROUNDINGS = ["cubic", "identity", "sine", "fourier", "tanh"]
SPECS = st.builds(
    Spec,
    hard=st.just(False),
    rounding=st.sampled_from(ROUNDINGS),
    flooring=st.sampled_from(["cubic", "identity"]),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
)


def photo_like(rng, channels, height, width):
    return np.cumsum(8 * rng.standard_normal((channels, height, width)), -1) + rng.uniform(60, 190, (channels, 1, 1))


def parameters(rng, quality):
    return (
        np.float64(quality),
        np.array(LUMINANCE) + rng.uniform(0, 0.9, (8, 8)),
        np.array(CHROMINANCE) + rng.uniform(0, 0.9, (8, 8)),
        np.array(MATRIX) + 0.02 * rng.standard_normal((3, 3)),
        np.array(OFFSET) + rng.standard_normal(3),
    )


def differentiable(kind, spec, size, inputs):
    """The transform as `assert_vjp` wants it: several outputs concatenated."""

    def function(*arrays):
        asked = (True,) * len(arrays)
        outputs, residuals = TRANSFORMS[kind].forward(np, spec, size, arrays, asked)
        sizes = np.cumsum([output.size for output in outputs])[:-1]

        def vjp(g):
            parts = [part.reshape(o.shape) for part, o in zip(np.split(g, sizes), outputs, strict=True)]
            return TRANSFORMS[kind].vjp(np, spec, size, arrays, residuals, tuple(parts), asked)

        return np.concatenate([output.ravel() for output in outputs]), vjp

    return function


def distance_to_kinks(spec, inputs):
    """The least distance of anything rounded, floored or limited from where its surrogate has a kink."""
    image, quality, *tables = inputs[:4] if spec.sampling is not None else inputs[:3]
    color = inputs[4:] or (None, None)
    operands = prepare(np, spec, Parameters(quality, tuple(tables), *color))
    u = codec.encode(np, spec, operands, image)
    coded, _ = codec.code(np, spec, operands, image)
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    raw = [(table * percent + 50) / 100 for table in tables]
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
@pytest.mark.parametrize("kind", ["code", "encode"])
def test_smooth_gradients_are_central_differences(kind, seed, spec, height, width, quality):
    rng = np.random.default_rng(seed)
    gray = spec.sampling is None
    inputs = (photo_like(rng, 1 if gray else 3, height, width), *parameters(rng, quality))[: 3 if gray else 6]
    assume(abs(quality - 50) > 1e-3 and distance_to_kinks(spec, inputs) > 1e-5)
    # Fourier's tenth term bends a hundred times as much: its third derivative bounds the step.
    step = 1e-9 if spec.rounding == "fourier" else 1e-8
    rtol = 1e-6
    assert_vjp(
        differentiable(kind, spec, (height, width), inputs), *inputs, step=step, rtol=rtol, directions=1, seed=seed
    )


@given(
    seed=st.integers(0, 10**6),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
    height=st.integers(1, 18),
    width=st.integers(1, 18),
)
def test_decoding_gradients_are_central_differences(seed, sampling, height, width):
    rng = np.random.default_rng(seed)
    spec = Spec(False, "cubic", "cubic", sampling)
    *_, matrix, offset = inputs = (None, *parameters(rng, 77))
    image = photo_like(rng, 3 if sampling else 1, height, width)
    outputs, _ = TRANSFORMS["encode"].forward(
        np, spec, (height, width), (image, *inputs[1:])[: 6 if sampling else 3], (False,) * 6
    )
    arrays = (*outputs, matrix, offset) if sampling else outputs
    coded = TRANSFORMS["decode"].forward(np, spec, (height, width), arrays, (False,) * 7)[0][0]
    assume(min(np.abs(coded).min(), np.abs(coded - 255).min()) > 1e-4)
    assert_vjp(differentiable("decode", spec, (height, width), arrays), *arrays, step=1e-7, directions=1, seed=seed)


@pytest.mark.parametrize("kind", ["code", "encode", "decode"])
@pytest.mark.parametrize("sampling", [(2, 2), None])
def test_each_cotangent_is_the_same_asked_for_alone(kind, sampling):
    rng = np.random.default_rng(0)
    spec, size = Spec(True, "cubic", "identity", sampling), (21, 35)
    arrays = (photo_like(rng, 3 if sampling else 1, *size), *parameters(rng, 60))[: 6 if sampling else 3]
    if kind == "decode":
        coefficients, _ = TRANSFORMS["encode"].forward(np, spec, size, arrays, (False,) * len(arrays))
        arrays = (*coefficients, *arrays[4:])
    transform, every = TRANSFORMS[kind], (True,) * len(arrays)
    outputs, residuals = transform.forward(np, spec, size, arrays, every)
    g = tuple(rng.standard_normal(output.shape) for output in outputs)
    together = transform.vjp(np, spec, size, arrays, residuals, g, every)
    for index, want in enumerate(together):
        asked = tuple(i == index for i in range(len(arrays)))
        kept = tuple(a if need else None for a, need in zip(arrays, transform.needs(asked), strict=True))
        alone = transform.vjp(np, spec, size, kept, residuals, g, asked)
        assert [cotangent is not None for cotangent in alone] == list(asked)
        np.testing.assert_allclose(alone[index], want, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("exact", [False, True])
def test_code_is_decode_after_encode(exact):
    rng = np.random.default_rng(0)
    spec = Spec(True, "cubic", "identity", (2, 2), exact)
    inputs = (np.round(photo_like(rng, 3, 21, 35)).clip(0, 255), *parameters(rng, 60))
    asked = (False,) * 7
    (coded,), _ = TRANSFORMS["code"].forward(np, spec, (21, 35), inputs, asked[:6])
    coefficients, _ = TRANSFORMS["encode"].forward(np, spec, (21, 35), inputs, asked[:6])
    (decoded,), _ = TRANSFORMS["decode"].forward(np, spec, (21, 35), (*coefficients, *inputs[4:]), asked)
    np.testing.assert_array_equal(coded, decoded)


@pytest.mark.parametrize("sampling", [*SAMPLINGS.values(), None])
def test_exact_vjp_is_the_hard_one_at_the_exact_residuals(sampling):
    """To the bit: the VJP does not know which arithmetic made its residuals."""
    rng = np.random.default_rng(0)
    image = np.round(photo_like(rng, 3 if sampling else 1, 21, 35)).clip(0, 255)
    ours = parameters(rng, 60)
    tables, color = (
        ours[1:3] if sampling else ours[1:2],
        (np.array(MATRIX), np.array(OFFSET)) if sampling else (None, None),
    )
    exact, hard = (Spec(True, "cubic", "identity", sampling, exact) for exact in (True, False))
    operands = prepare(np, exact, Parameters(ours[0], tables, *color))
    coded, residuals = codec.code(np, exact, operands, image)
    g = rng.standard_normal(coded.shape)
    wanted = Wanted(True, True, False)
    by_exact = codec.code_vjp(np, exact, operands, None, residuals, g, wanted)
    by_hard = codec.code_vjp(np, hard, operands, None, residuals, g, wanted)
    np.testing.assert_array_equal(by_exact.image, by_hard.image)
    for a, b in zip(by_exact.operands.steps, by_hard.operands.steps, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.isfinite(by_exact.image).all()
    assert np.count_nonzero(by_exact.image) > image.size / 2


def test_residuals_alias_neither_image_nor_result():
    rng = np.random.default_rng(0)
    image = photo_like(rng, 1, 8, 8)
    for rounding in ("identity", (lambda x: x, lambda x: 0 * x + 1)):
        spec = Spec(False, rounding, "cubic", None)
        inputs = (image, *parameters(rng, 60)[:2])
        for kind in ("code", "encode"):
            outputs, residuals = TRANSFORMS[kind].forward(np, spec, (8, 8), inputs, (True,) * 3)
            for residual in residuals:
                assert not any(np.shares_memory(residual, other) for other in (*inputs, *outputs))


class Unchanging(np.ndarray):
    """Has no operators that work in place, as in libraries whose arrays never change."""

    def __iadd__(self, other):
        return self + other

    def __imul__(self, other):
        return self * other


@pytest.mark.parametrize("hard", [False, True])
@pytest.mark.parametrize("sampling", [(2, 2), (1, 2), (2, 1), (1, 1)])
def test_nothing_relies_on_working_in_place(hard, sampling):
    rng = np.random.default_rng(0)
    spec = Spec(hard, "cubic", "identity", sampling)
    image, cotangent = rng.uniform(0, 255, (2, 3, 21, 35))
    every = Wanted(True, True, True)

    def run(kind):
        tables = tuple(np.asarray(table, float).view(kind) for table in (LUMINANCE, CHROMINANCE))
        own = Parameters(np.full((), 60.0).view(kind), tables, np.array(MATRIX).view(kind), np.array(OFFSET).view(kind))
        operands = prepare(xp, spec, own)
        coded, residuals = codec.code(xp, spec, operands, image.view(kind))
        pulled = codec.code_vjp(xp, spec, operands, image.view(kind), residuals, cotangent.view(kind), every)
        return coded, pulled.image, *pulled.operands.steps, *pulled.operands[1:]

    for plain, unchanging in zip(run(np.ndarray), run(Unchanging), strict=True):
        np.testing.assert_array_equal(unchanging, plain)
