"""The compiled kernels compute what the array API does, by every instruction set that this machine has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.kernels.library import instruction_sets, load, use_instruction_set
from pyjpegdiff.operations import OPERATIONS
from pyjpegdiff.stages.surrogates import ROUNDING_NAMES
from tests.backends.comparison import (
    CHOICES,
    DTYPE_CHOICES,
    assert_same,
    assert_same_but_at_ties,
    assert_same_to_the_bit,
    drawn_problem,
)
from tests.backends.cpu_residuals import unpack
from tests.samples import MODES, batch_shapes_within, problem, spec_of

pytestmark = pytest.mark.skipif(load() is None, reason="the compiled library is not there")
BACKEND = CpuKernels()
SETS = instruction_sets() or ("none",)


@pytest.mark.parametrize("instruction_set", SETS)
@given(
    **CHOICES,
    rounding=st.sampled_from([*ROUNDING_NAMES]),
    flooring=st.sampled_from([None, "cubic", "identity"]),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
def test_kernels_make_the_whole(
    instruction_set, operation, mode, sampling, batch_shape, seed, rounding, flooring, height, width
):
    rng = np.random.default_rng(seed)
    case, needs = drawn_problem(
        rng, operation, mode, sampling, batch_shape, (height, width), rounding=rounding, flooring=flooring
    )
    # The slope of Fourier's derivative is up to 4 pi (1 + ... + 10), and a coefficient of 100 steps is known to 3e-14.
    tolerance = 1e-10 if rounding == "fourier" else 1e-12
    with use_instruction_set(instruction_set):
        assert_same(case, BACKEND, needs, rng, unpack, tolerance=tolerance)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float16", "float32"])
@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@given(**DTYPE_CHOICES)
def test_every_dtype_and_layout_to_the_bit_in_libjpeg_arithmetic(instruction_set, operation, dtype, **choices):
    with use_instruction_set(instruction_set):
        assert_same_to_the_bit(BACKEND, operation, dtype, **choices, unpack=unpack)


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("hard", [False, True])
def test_in_float32_only_what_is_next_to_a_tie_or_a_bound_differs(instruction_set, hard):
    with use_instruction_set(instruction_set):
        assert_same_but_at_ties(BACKEND, hard, unpack)


@given(
    operation=st.sampled_from(list(OPERATIONS.values())[:2]),
    mode=st.sampled_from(MODES),
    flooring=st.sampled_from(["cubic", "identity"]),
    gray=st.booleans(),
    batch_shape=st.sampled_from([(), (1,), (3,), (2, 3), (0,)]),
    seed=st.integers(0, 999),
)
def test_step_sizes_and_their_cotangents(operation, mode, flooring, gray, batch_shape, seed):
    """Steps that are clipped and qualities beyond 1 and 100 among them, in batches that differ from one to the next."""
    rng = np.random.default_rng(seed)
    spec = spec_of(mode, None if gray else (2, 2), flooring=flooring)
    case = problem(rng, operation, spec, (9, 17), batch_shape, whole=True)

    def varied(low, high, *core):
        (shape,) = batch_shapes_within(rng, batch_shape, 1)
        return rng.uniform(low, high, (*shape, *core))

    tables = tuple(varied(0.5, 300, 8, 8) for _ in spec.samplings)
    quality = np.asarray(rng.integers(0, 4) * varied(-20, 60))
    case = case._replace(inputs=(case.inputs[0], quality, *tables, *case.inputs[2 + len(tables) :]))
    assert_same(case, BACKEND, case.all_needed, rng, unpack, tolerance=1e-9)


# --- numbers that are none --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("instruction_set", SETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(
    mode=st.sampled_from(MODES),
    sampling=st.sampled_from([(1, 1), (2, 2), None]),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
    seed=st.integers(0, 99),
    operation=st.sampled_from(list(OPERATIONS.values())),
)
def test_what_is_no_number_spreads_as_by_the_array_api(instruction_set, dtype, mode, sampling, value, seed, operation):
    rng = np.random.default_rng(seed)
    spec = spec_of(mode, sampling)
    case = problem(rng, operation, spec, (37, 45), dtype=dtype, whole=True)
    if operation.name == "decode" and not np.isnan(value) and (seed % 2 or not spec.libjpeg):
        value = np.copysign(1e9, value)  # more than integers of 32 bits hold
    first = case.inputs[0].copy()
    first[tuple(rng.integers(0, first.shape))] = value
    case = case._replace(inputs=(first, *case.inputs[1:]))
    with np.errstate(invalid="ignore", over="ignore"), use_instruction_set(instruction_set):
        outputs, residuals = case.forward("array_api")
        again, kept = case.forward(BACKEND)
        g = case.cotangents(rng, outputs)
        pulled, pulled_again = case.vjp("array_api", residuals, g), case.vjp(BACKEND, kept, g)
    for a, b in zip((*again, *pulled_again), (*outputs, *pulled), strict=True):
        np.testing.assert_array_equal(np.where(np.isfinite(a), 0, a), np.where(np.isfinite(b), 0, b))
        if dtype == "float64":  # in float32 some of so many numbers are next to a tie
            # The largest number of a result tells how much of the others its sums lose.
            largest = np.abs(b[np.isfinite(b)]).max(initial=255)
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-9 * largest)
    if spec.libjpeg:
        for a, b in zip(again, outputs, strict=True):
            np.testing.assert_array_equal(a, b)
