"""Strips make the whole, however an image or a batch is cut."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyjpegdiff import codec
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.backends import cuts, select, strips, whole
from pyjpegdiff.lean import xp
from pyjpegdiff.parameters import Parameters, prepare
from pyjpegdiff.spec import Spec, Wanted
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.photos import photo


def operands_of(spec, quality, dtype):
    tables = tuple(np.array(table, dtype) for table in (LUMINANCE, CHROMINANCE))
    color = (np.array(MATRIX, dtype), np.array(OFFSET, dtype))
    if spec.sampling is None:
        return prepare(xp, spec, Parameters(quality, tables[:1], None, None))
    return prepare(xp, spec, Parameters(quality, tables, *color))


def both(spec, operands, image, cotangent, wanted):
    for backend in (whole, strips):
        coded, residuals = backend.code(xp, spec, operands, image, wanted)
        assert backend.code(xp, spec, operands, image, Wanted(False, False, False))[1] == ()
        of_color = image if wanted.color else None
        pulled = backend.code_vjp(xp, spec, operands, of_color, residuals, cotangent, wanted)
        yield coded, residuals, pulled


SPECS = st.builds(
    Spec,
    hard=st.booleans(),
    rounding=st.just("cubic"),
    flooring=st.just("identity"),
    sampling=st.sampled_from([*SAMPLINGS.values(), None]),
)


@given(
    spec=SPECS,
    exact=st.booleans(),
    seed=st.integers(0, 999),
    leading=st.sampled_from([(), (1,), (5,), (2, 3), (0,)]),
    height=st.integers(1, 70),
    width=st.integers(1, 40),
    area=st.sampled_from([1, 700, 2000, 2**15]),
    by_sample=st.booleans(),
    wanted=st.builds(Wanted, st.booleans(), st.booleans(), st.booleans()).filter(any),
)
def test_strips_make_the_whole(spec, exact, seed, leading, height, width, area, by_sample, wanted):
    if spec.sampling is None or exact:
        wanted = wanted._replace(color=False)
    assume(any(wanted))
    if exact:
        spec = Spec(True, spec.rounding, spec.flooring, spec.sampling, True)
    rng = np.random.default_rng(seed)
    image = np.round(rng.uniform(0, 255, (*leading, 1 if spec.sampling is None else 3, height, width)))
    operands = operands_of(spec, rng.uniform(10, 90, leading if by_sample else ()), np.float64)
    cotangent = rng.standard_normal(image.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cuts, "AREA", area)
        (coded, residuals, pulled), (again, residuals_again, pulled_again) = both(
            spec, operands, image, cotangent, wanted
        )
    if not exact:
        u = residuals[: len(spec.samplings)]
        # Next to a tie or a bound the last bit decides, and either is right.
        assume(all(np.abs(a - np.floor(a) - 0.5).min(initial=1) > 1e-9 for a in u))
        assume(np.abs(np.concatenate([coded.ravel(), coded.ravel() - 255])).min(initial=1) > 1e-9 or spec.hard)
    tolerance = 0 if exact else 1e-9
    np.testing.assert_allclose(again, coded, rtol=0, atol=tolerance)
    for a, b in zip(residuals_again, residuals, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=0, atol=tolerance)
    assert (pulled_again.image is None) == (not wanted.image)
    if wanted.image:
        np.testing.assert_allclose(pulled_again.image, pulled.image, rtol=0, atol=1e-9)
    flat, flat_again = ((*pull.operands.steps, *pull.operands[1:]) for pull in (pulled, pulled_again))
    for a, b in zip(flat_again, flat, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-7)


def blocks_without_ties(image):
    """Of luma and chroma in 4:2:0, where no sample's rounding is next to a tie, as planes of truth values."""
    shift = np.array([0, 0, 0]) + codec.COLOR_BIAS
    planes = np.einsum("ij,jhw->ihw", np.array(MATRIX), image.astype(np.float64)) + shift[:, None, None]
    near = np.abs(planes - np.round(planes)) < 2.0**-14  # 256 in float32, eight times over
    luma = near[:1].reshape(1, image.shape[1] // 8, 8, -1, 8).any((2, 4))
    chroma = near[1:].reshape(2, image.shape[1] // 16, 16, -1, 16).any((2, 4))
    return [~np.kron(blocks, np.ones((8, 8), bool)) for blocks in (luma, chroma)]


@pytest.mark.parametrize("hard", [False, True])
def test_in_float32_only_what_is_next_to_a_tie_or_a_bound_differs(hard):
    spec = Spec(hard, "cubic", "identity")
    image = np.moveaxis(photo("astronaut"), -1, 0).astype(np.float32)
    operands = operands_of(spec, np.float32(50), np.float32)
    cotangent = np.random.default_rng(0).standard_normal(image.shape).astype(np.float32)
    (coded, residuals, pulled), (again, residuals_again, pulled_again) = both(
        spec, operands, image, cotangent, Wanted(True, True, False)
    )
    settled = blocks_without_ties(image) if hard else [np.array(True)] * 2
    for a, b, sure in zip(residuals[:2], residuals_again[:2], settled, strict=True):
        # Samples next to a tie may fall either way before the DCT, and move their block's coefficients.
        assert sure.mean() > 0.5
        assert np.all(np.isclose(a, b, rtol=0, atol=1e-3) | ~sure)
    # Few ties do fall the other way, and few samples are next to one themselves.
    assert (np.abs(coded - again) > 1e-2).mean() <= 1e-3
    assert (np.abs(pulled.image - pulled_again.image) > 1e-3).mean() <= 1e-2


def test_numpy_goes_by_strips_and_others_whole():
    strict = pytest.importorskip("array_api_strict")
    spec = Spec(True, "cubic", "identity")
    assert select(xp, spec, np.zeros(1)) is strips
    assert select(strict, spec, strict.zeros(1)) is whole
