"""Whole operations by two backends, and what of them must be equal."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from pyjpegdiff import codec
from pyjpegdiff.operations import OPERATIONS
from pyjpegdiff.stages.color import MATRIX
from tests.samples import MODES, SAMPLINGS, batch_shapes_within, problem, spec_of

CHOICES = {
    "operation": st.sampled_from(list(OPERATIONS.values())),
    "mode": st.sampled_from(MODES),
    "sampling": st.sampled_from([*SAMPLINGS.values(), None]),
    "batch_shape": st.sampled_from([(), (1,), (5,), (2, 3), (0,)]),
    "seed": st.integers(0, 999),
}
"""What problems in float64 are drawn from, beside their size."""


def drawn_problem(rng, operation, mode, sampling, batch_shape, size, **choices):
    """In float64, with a channel axis, parameters and their batch axes drawn by the generator."""
    axis = -int(rng.integers(1, len(batch_shape) + 4))
    if sampling is None and rng.random() < 0.5:
        axis = None
    libjpeg = "arithmetic" in mode
    batch_shapes = batch_shapes_within(rng, batch_shape)
    case = problem(
        rng, operation, spec_of(mode, sampling, **choices), size, batch_shape, channel_axis=axis, whole=libjpeg,
        white=255 if libjpeg else float(rng.choice([255, 1, 65535])), quality=rng.uniform(10, 90),
        batch_shapes=batch_shapes,
    )  # fmt: skip
    needs = tuple(bool(need) for need in rng.integers(0, 2, len(case.inputs)))
    return case, needs if any(needs) else case.all_needed


def without_ties(case, outputs, residuals):
    """Assume that nothing lies next to a tie or a bound, where the last bit decides and either is right."""
    spec, layout = case.plan.spec, case.plan.layout
    if spec.libjpeg:
        return
    u = [x for x in residuals if x.dtype != bool]
    assume(all(np.abs(a - np.floor(a) - 0.5).min(initial=1) > 1e-9 for a in u))
    if case.operation.outputs == ("image",) and not spec.hard:
        image = outputs[0] * layout.scale
        assume(np.abs(np.concatenate([image.ravel(), image.ravel() - 255])).min(initial=1) > 1e-9)


def assert_same(case, backend, needs, rng, unpack=lambda spec, residuals: residuals):
    """In float64 a backend equals the array API's: to the bit in libjpeg arithmetic, else to 1e-9 of pixel values."""
    spec, scale = case.plan.spec, case.plan.layout.scale
    outputs, residuals = case.forward("array_api", needs)
    again, kept = case.forward(backend, needs)
    without_ties(case, outputs, residuals)
    assert case.forward(backend, (False,) * len(needs))[1] == ()
    of_image = scale if case.operation.outputs == ("image",) else 1
    exact = spec.libjpeg
    for a, b in zip(again, outputs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a * of_image, b * of_image, rtol=0, atol=0 if exact else 1e-9)
    for a, b in zip(unpack(spec, kept), residuals, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=0, atol=0 if exact else 1e-9)
    g = case.cotangents(rng, outputs)
    if case.operation.name == "encode" and rng.random() < 0.5:
        # Outputs of which nothing depends have no cotangent.
        g = tuple(x if rng.random() < 0.5 else None for x in g)
    want, got = case.vjp("array_api", residuals, g, needs), case.vjp(backend, kept, g, needs)
    for name, need, a, b in zip(case.operation.inputs, needs, got, want, strict=False):
        assert (a is None) == (b is None) == (not need), name
        if need:
            assert (a.shape, a.dtype) == (b.shape, b.dtype), name
            largest = np.abs(b).max(initial=0)
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9 * max(largest, 1 if largest else 0), err_msg=name)


def blocks_without_ties(image):
    """Of luma and chroma in 4:2:0, where no sample's rounding is next to a tie, as planes of truth values."""
    shift = np.array([0, 0, 0]) + codec.COLOR_BIAS
    planes = np.einsum("ij,jhw->ihw", np.array(MATRIX), image.astype(np.float64)) + shift[:, None, None]
    near = np.abs(planes - np.round(planes)) < 2.0**-14  # 256 in float32, eight times over
    luma = near[:1].reshape(1, image.shape[1] // 8, 8, -1, 8).any((2, 4))
    chroma = near[1:].reshape(2, image.shape[1] // 16, 16, -1, 16).any((2, 4))
    return [~np.kron(blocks, np.ones((8, 8), bool)) for blocks in (luma, chroma)]
