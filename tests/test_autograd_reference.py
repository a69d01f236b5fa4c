"""Values and gradients against torch's autograd through an independent forward with detached surrogates."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from pyjpegdiff import diff_jpeg_coding_vjp  # noqa: E402
from pyjpegdiff.results import CodingGradients  # noqa: E402
from tests import reference  # noqa: E402
from tests.samples import SAMPLINGS, parameters, photo_like  # noqa: E402


@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 36),
    width=st.integers(1, 36),
    quality=st.floats(1, 100),
    hard=st.booleans(),
    subsampling=st.sampled_from([*SAMPLINGS, None]),
    rounding=st.sampled_from(["rational", "cubic"]),
    flooring=st.sampled_from([None, "cubic", "identity"]),
    steps_gradient=st.sampled_from([None, "surrogate"]),
)
def test_value_and_gradients(seed, height, width, quality, hard, subsampling, rounding, flooring, steps_gradient):
    rng = np.random.default_rng(seed)
    channels = 1 if subsampling is None else 3
    arrays = (photo_like(rng, (channels, height, width), clipped=False), *parameters(rng, quality))
    if channels == 1:
        arrays = arrays[:3]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    expected, unrounded = reference.jpeg(
        *tensors, sampling=SAMPLINGS.get(subsampling), hard=hard, rounding=rounding, flooring=flooring,
        is_elastic=hard and steps_gradient is None,
    )  # fmt: skip
    # Next to a tie the last bit decides, and either side is right.
    assume(all(float(((u - u.floor()) - 0.5).abs().min()) > 1e-5 for u in unrounded))
    choices = {} if subsampling is None else {"subsampling": subsampling}
    named = dict(zip(CodingGradients._fields, arrays, strict=False))
    names = tuple(named)
    coded, vjp = diff_jpeg_coding_vjp(
        **named, ste=hard, rounding=rounding, flooring=flooring, steps_gradient=steps_gradient, wrt=names, **choices
    )
    np.testing.assert_allclose(coded, expected.detach(), rtol=0, atol=1e-10)
    cotangent = rng.standard_normal(coded.shape)
    # Where a surrogate's derivative vanishes, both are zero but for the square of a last bit; where the only error of
    # rounding is the last bit of a coefficient, the elastic sum is that, times how a step depends on its parameter.
    q = np.clip(quality, 1, 100)
    of_parameter = 50 / q + 0.9 * 5000 / q**2
    last_bit = 1e-15 * max(float(u.abs().max()) for u in unrounded) * of_parameter
    floor = (1e-20 + hard * last_bit) * np.linalg.norm(cotangent)
    gradients = torch.autograd.grad(expected, tensors, torch.from_numpy(cotangent))
    pulled = vjp(cotangent)
    for name, want in zip(names, gradients, strict=True):
        got = getattr(pulled, name)
        assert np.linalg.norm(got - want.numpy()) <= 1e-10 * np.linalg.norm(want.numpy()) + floor, name
