"""Whole operations by two backends, and what of them must be equal."""

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from pyjpegdiff import codec
from pyjpegdiff.operations import CODE, COLOR, OPERATIONS
from pyjpegdiff.spec import Spec
from pyjpegdiff.stages.color import MATRIX
from tests.photos import photo
from tests.samples import MODES, SAMPLINGS, batch_shapes_within, default_parameters, problem, spec_of

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


def as_they_are(case, residuals):
    """The residuals of a backend that keeps those of the array API."""
    return residuals


def assert_same(case, backend, needs, rng, unpack=as_they_are, tolerance=1e-9):
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
        np.testing.assert_allclose(a * of_image, b * of_image, rtol=0, atol=0 if exact else tolerance)
    for a, b in zip(unpack(case, kept), residuals, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=0, atol=0 if exact else tolerance)
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
            if name in COLOR:
                # A sum over pixels, whose terms may cancel: all of them do where coding changes nothing.
                largest = max(largest, 255 * sum([np.abs(x).sum() for x in g if x is not None]))
            if name == "jpeg_quality":
                largest = max(largest, terms_of_quality(case, case.vjp("array_api", residuals, g)))
            # What is exactly zero on one side may be the square of an eps on the other.
            atol = tolerance * max(largest, 1 if largest else tolerance)
            np.testing.assert_allclose(a, b, rtol=tolerance, atol=atol, err_msg=name)


DTYPE_CHOICES = {
    "axis": st.sampled_from([-3, -1, -4, None]),
    "seed": st.integers(0, 99),
    "height": st.integers(1, 40),
    "width": st.integers(1, 40),
    "white": st.sampled_from([255, 1, 65535]),
    "parameter_dtype": st.sampled_from(["float16", "float32", "float64", "int32"]),
}
"""What problems in libjpeg arithmetic are drawn from, beside operation and dtype."""


def assert_same_to_the_bit(
    backend, operation, dtype, axis, seed, height, width, white, parameter_dtype, unpack=as_they_are
):
    """In libjpeg arithmetic a backend equals the array API's in every dtype and layout, gradients to what sums lose."""
    rng = np.random.default_rng(seed)
    # What a dtype cannot hold: 65535 in 8 bits or 16 bits of floating point, 0..1 in integers.
    white = {"uint8": 255, "uint16": 65535, "float16": min(white, 255), "float32": white}[dtype]
    sampling = None if axis is None else (2, 2)
    case = problem(
        rng, operation, spec_of(MODES[2], sampling), (height, width), (2,), channel_axis=axis, white=white,
        dtype="int16" if operation.name == "decode" and dtype.startswith("uint") else dtype, whole=white == 255,
        parameter_dtype=parameter_dtype,
    )  # fmt: skip
    outputs, residuals = case.forward("array_api")
    again, kept = case.forward(backend)
    for a, b in zip((*again, *unpack(case, kept)), (*outputs, *residuals), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_array_equal(a, b)
    g = case.cotangents(rng, outputs, size=255 / white / 1000)  # so that sums fit into 16 bits
    pulled = case.vjp("array_api", residuals, g)
    for name, a, b in zip(case.operation.inputs, case.vjp(backend, kept, g), pulled, strict=False):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        # A cotangent meets products and sums of a few thousand terms in float32, and is rounded to its dtype.
        eps = max(2.0**-10 if a.dtype == np.float16 else 0, 1e-4)
        terms = np.abs(b).max(initial=0) if name != "jpeg_quality" else terms_of_quality(case, pulled)
        np.testing.assert_allclose(a.astype(float), b.astype(float), rtol=eps, atol=eps * terms)


def terms_of_quality(case, pulled):
    """How large the terms are whose sum is the cotangent of quality: those of all table entries, which may cancel."""
    tables = zip(case.inputs[2:4], pulled[2:4], strict=True) if len(case.inputs) > 3 else [(case.inputs[2], pulled[2])]
    # With quality q, the scale of the tables changes by 1 / min(q, 100 - q) of itself.
    quality = case.inputs[1].astype(float).clip(1, 99)
    change = (1 / np.minimum(quality, 100 - quality)).max(initial=0)
    return change * sum(np.abs(table.astype(float) * g.astype(float)).sum() for table, g in tables)


def assert_same_but_at_ties(backend, hard, unpack=as_they_are):
    """In float32, of a photo, only what is next to a tie or a bound differs."""
    image = np.moveaxis(photo("astronaut"), -1, 0).astype(np.float32)
    rng = np.random.default_rng(0)
    case = problem(rng, CODE, Spec(hard, "cubic", "identity"), image.shape[1:], dtype="float32", quality=50)
    case = case._replace(inputs=(image, np.array(50, np.float32), *default_parameters()))
    needs = (True, True, True, True, False, False)
    cotangent = (rng.standard_normal(image.shape).astype(np.float32),)
    (coded,), residuals = case.forward("array_api", needs)
    (again,), kept = case.forward(backend, needs)
    settled = blocks_without_ties(image) if hard else [np.array(True)] * 2
    for a, b, sure in zip(residuals[:2], unpack(case, kept)[:2], settled, strict=True):
        # Samples next to a tie may fall either way before the DCT, and move their block's coefficients.
        assert sure.mean() > 0.5
        assert np.all(np.isclose(a, b, rtol=0, atol=1e-3) | ~sure)
    # Few ties do fall the other way, and few samples are next to one themselves.
    assert (np.abs(coded - again) > 1e-2).mean() <= 1e-3
    pulled, pulled_again = (
        case.vjp(name, of_name, cotangent, needs)[0] for name, of_name in (("array_api", residuals), (backend, kept))
    )
    assert (np.abs(pulled - pulled_again) > 1e-3).mean() <= 1e-2


def blocks_without_ties(image):
    """Of luma and chroma in 4:2:0, where no sample's rounding is next to a tie, as planes of truth values."""
    shift = np.array([0, 0, 0]) + codec.COLOR_BIAS
    planes = np.einsum("ij,jhw->ihw", np.array(MATRIX), image.astype(np.float64)) + shift[:, None, None]
    near = np.abs(planes - np.round(planes)) < 2.0**-14  # 256 in float32, eight times over
    luma = near[:1].reshape(1, image.shape[1] // 8, 8, -1, 8).any((2, 4))
    chroma = near[1:].reshape(2, image.shape[1] // 16, 16, -1, 16).any((2, 4))
    return [~np.kron(blocks, np.ones((8, 8), bool)) for blocks in (luma, chroma)]
