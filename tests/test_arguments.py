"""From public arguments to a checked call: batch axes of parameters, libraries, and arrays without values."""

import importlib.util
import subprocess
import sys

import numpy as np
import pytest

from pyjpegdiff import (
    arguments,
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.arguments import NUMPY, Origin, library_of
from pyjpegdiff.layout import Layout
from pyjpegdiff.results import CodingGradients
from tests.libraries import case  # noqa: F401
from tests.samples import HOST_BACKENDS, MODES, SAMPLINGS, photo_like, spec_of

RNG = np.random.default_rng(0)
PARAMETERS = {
    "jpeg_quality": np.array(60.0),
    "quantization_table_y": RNG.uniform(5, 90, (8, 8)),
    "quantization_table_c": RNG.uniform(5, 90, (8, 8)),
    "color_matrix": np.array([[0.3, 0.59, 0.11], [-0.17, -0.33, 0.5], [0.5, -0.42, -0.08]]),
    "color_offset": np.array([1.0, 127, 129]),
}
ALL = CodingGradients._fields


# --- batch axes of parameters -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("ones", [(1,), (1, 1)])
@pytest.mark.parametrize("shape", [(3, 16, 24), (1, 3, 16, 24)])
def test_more_batch_axes_of_length_1_than_the_image_has(shape, ones, mode):
    """As kornia takes quality (1,) beside a (3, H, W) image; gradients have the shape of their argument."""
    image = photo_like(RNG, shape)
    want, vjp = diff_jpeg_coding_vjp(image, **PARAMETERS, wrt=ALL, **mode)
    plain = vjp(image)
    more = {name: x.reshape(*ones, *x.shape) for name, x in PARAMETERS.items()}
    got, vjp_more = diff_jpeg_coding_vjp(image, **more, wrt=ALL, **mode)
    assert got.shape == image.shape
    np.testing.assert_array_equal(got, want)
    pulled = vjp_more(image)
    np.testing.assert_array_equal(pulled.image_rgb, plain.image_rgb)
    for name, x in more.items():
        assert getattr(pulled, name).shape == x.shape
        np.testing.assert_allclose(getattr(pulled, name).reshape(PARAMETERS[name].shape), getattr(plain, name))


def test_they_reach_every_entry_point():
    image = photo_like(RNG, (3, 16, 24))
    quality, table = np.array([50.0]), np.full((1, 8, 8), 16.0)
    want = jpeg_encode(image, 50, table[0])
    coefficients, vjp = jpeg_encode_vjp(image, quality, table, wrt=("jpeg_quality", "quantization_table_y"))
    assert jpeg_encode(image, quality, table).y.shape == want.y.shape
    np.testing.assert_array_equal(coefficients.y, want.y)
    pulled = vjp(want)
    assert (pulled.jpeg_quality.shape, pulled.quantization_table_y.shape) == ((1,), (1, 8, 8))
    offset = np.array([[0.0, 128, 128]])
    stepped = want._replace(steps_y=want.steps_y[None])
    np.testing.assert_array_equal(jpeg_decode(stepped, color_offset=offset), jpeg_decode(want))
    _, vjp = jpeg_decode_vjp(stepped, color_offset=offset, wrt=("coefficients", "color_offset"))
    pulled = vjp(image)
    assert pulled.color_offset.shape == (1, 3)
    assert pulled.coefficients.steps_y.shape == (1, 8, 8)
    assert pulled.coefficients.y.shape == want.y.shape


@pytest.mark.parametrize(
    ("name", "shape", "hint"),
    [
        ("jpeg_quality", (16,), r"got shape \(16,\); for one per image, reshape it to \(4, 4\)$"),
        ("quantization_table_y", (16, 8, 8), r"got shape \(16, 8, 8\); .* reshape it to \(4, 4, 8, 8\)$"),
        ("color_offset", (16, 3), r"got shape \(16, 3\); .* reshape it to \(4, 4, 3\)$"),
        ("jpeg_quality", (5,), r"batch shape \(4, 4\), got shape \(5,\)$"),
        ("jpeg_quality", (2, 4, 4), r"batch shape \(4, 4\), got shape \(2, 4, 4\)$"),
    ],
)
def test_what_is_ambiguous_is_refused_with_what_to_do(name, shape, hint):
    image = np.zeros((4, 4, 3, 8, 8))
    given = {"jpeg_quality": 50, name: np.full(shape, 50.0)}
    for function in (diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp):
        with pytest.raises(ValueError, match=rf"^{name} must .*{hint}"):
            function(image, **given)


@pytest.mark.parametrize(
    ("name", "shape", "reshaped"),
    [
        ("jpeg_quality", (4,), (4, 1)),
        ("quantization_table_c", (4, 8, 8), (4, 1, 8, 8)),
        ("color_matrix", (4, 3, 3), (4, 1, 3, 3)),
    ],
)
def test_one_per_entry_of_the_first_axis(name, shape, reshaped):
    image = photo_like(RNG, (4, 5, 3, 8, 8))
    value = np.broadcast_to(PARAMETERS[name], shape) + np.arange(4.0).reshape(4, *[1] * (len(shape) - 1)) / 100
    with pytest.raises(ValueError, match=rf"reshape it to \({', '.join(map(str, reshaped))}\)$"):
        diff_jpeg_coding(image, **{**PARAMETERS, name: value})
    coded = diff_jpeg_coding(image, **{**PARAMETERS, name: value.reshape(reshaped)})
    alone = diff_jpeg_coding(image[2], **{**PARAMETERS, name: value[2]})
    np.testing.assert_allclose(coded[2], alone, rtol=0, atol=1e-9)


# --- calls ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("subsampling", SAMPLINGS)
def test_the_plan_of_a_call(mode, subsampling):
    image = np.zeros((2, 16, 24, 3), np.uint8)
    call = arguments.coding(NUMPY, image, 50, subsampling=subsampling, channel_axis=3, data_range=51, **mode)
    assert call.plan.spec == spec_of(mode, SAMPLINGS[subsampling])
    assert call.plan.layout == Layout(-1, 5.0, "float32")
    assert call.plan.backend == HOST_BACKENDS[0]
    assert (call.size, call.subsampling) == ((16, 24), subsampling)
    assert list(call.inputs) == list(ALL)
    assert call.inputs["image_rgb"] is image
    assert call.origins == {}
    assert hash(call.plan) == hash(arguments.coding(NUMPY, image, 50, subsampling=subsampling, channel_axis=-1,
                                                    data_range=51, **mode).plan)  # fmt: skip


def test_grayscale_has_neither_chroma_nor_color():
    call = arguments.coding(NUMPY, np.zeros((16, 24), np.uint8), 50, channel_axis=None)
    assert list(call.inputs) == ["image_rgb", "jpeg_quality", "quantization_table_y"]
    assert (call.plan.spec.sampling, call.subsampling) == (None, None)


def test_arguments_that_were_reshaped_are_told_apart():
    quality = np.array([50.0])
    call = arguments.coding(NUMPY, np.zeros((3, 8, 8), np.uint8), quality, np.full((8, 8), 16.0))
    assert call.origins == {"jpeg_quality": Origin((1,), "cpu")}
    assert call.inputs["jpeg_quality"].shape == ()


def test_parameters_are_brought_to_the_images_device_and_their_gradients_back():
    strict = pytest.importorskip("array_api_strict")
    here, there = strict.Device("CPU_DEVICE"), strict.Device("device1")
    image = strict.asarray(photo_like(RNG, (3, 16, 24)).tolist(), device=there)
    quality = strict.asarray(50.0, device=here)
    table = strict.asarray([[16.0] * 8] * 8, device=here)
    coded, vjp = diff_jpeg_coding_vjp(image, quality, table, wrt=("jpeg_quality", "quantization_table_y"))
    assert coded.device == there
    pulled = vjp(image)
    assert pulled.jpeg_quality.device == pulled.quantization_table_y.device == here
    coefficients, vjp = jpeg_encode_vjp(image, quality, wrt="jpeg_quality")
    assert coefficients.y.device == there
    assert vjp(coefficients).jpeg_quality.device == here


def test_the_library_of_every_array(case):
    array = case.array([1.0])
    library = library_of("x", array)
    assert library.xp is case.xp
    assert library.owns(array)
    assert not library.owns([1.0])
    assert not library.owns(None)
    if library is not NUMPY:
        assert not library.owns(np.zeros(1))


# --- arrays without values --------------------------------------------------------------------------------------------

COMMON = """
import numpy as np
from pyjpegdiff import *
pixels = np.random.default_rng(0).uniform(0, 255, (3, 16, 24)).astype(np.float32)

def refused(function, name, *arguments):
    try:
        function(*arguments)
    except NotImplementedError as error:
        assert str(error).startswith(name + " is a "), str(error)
        assert "there is no adapter yet for JAX's tracers" in str(error)
        assert "_vjp" in str(error)
    else:
        raise AssertionError(f"{name}: not refused")
"""

JAX = """
import jax, jax.numpy as jnp
image = jnp.asarray(pixels)
coding = {
    "diff_jpeg_coding": lambda i, q, **more: diff_jpeg_coding(i, q, ste=True, **more).sum(),
    "diff_jpeg_coding_vjp": lambda i, q, **more: diff_jpeg_coding_vjp(i, q, ste=True, **more)[0].sum(),
    "jpeg_encode": lambda i, q, **more: jpeg_encode(i, q, ste=True, **more).y.sum(),
    "jpeg_encode_vjp": lambda i, q, **more: jpeg_encode_vjp(i, q, ste=True, **more)[0].y.sum(),
}
coefficients = jpeg_encode(image, 50)
decoding = {
    "jpeg_decode": lambda c: jpeg_decode(c).sum(),
    "jpeg_decode_vjp": lambda c: jpeg_decode_vjp(c)[0].sum(),
}
# With the image traced, or a parameter beside a concrete image.
for function in coding.values():
    for transform in (jax.jit, jax.grad, jax.value_and_grad, jax.jacrev, jax.linearize):
        if transform is jax.linearize:
            refused(lambda: jax.linearize(lambda i: function(i, 50), image), "image_rgb")
            continue
        refused(transform(lambda i: function(i, 50)), "image_rgb", image)
        refused(transform(lambda q: function(image, q)), "jpeg_quality", jnp.asarray(50.0))
        refused(transform(lambda q: function(pixels, q)), "jpeg_quality", jnp.asarray(50.0))
        refused(transform(lambda t: function(image, 50, color_offset=t)), "color_offset", jnp.asarray([0.0, 128, 128]))
    refused(jax.vmap(lambda i: function(i, 50)), "image_rgb", image[None])
    refused(jax.vmap(lambda q: function(image, q)), "jpeg_quality", jnp.asarray([50.0, 60.0]))
for function in decoding.values():
    for transform in (jax.jit, jax.grad):
        refused(transform(lambda y: function(coefficients._replace(y=y))), "coefficients.y", coefficients.y)
        by_steps = transform(lambda s: function(coefficients._replace(steps_c=s)))
        refused(by_steps, "coefficients.steps_c", coefficients.steps_c)
    refused(jax.vmap(lambda y: function(coefficients._replace(y=y))), "coefficients.y", coefficients.y[None])
result, vjp = diff_jpeg_coding_vjp(image, 50)
refused(jax.jit(lambda g: vjp(g).image_rgb), "cotangent", result)
_, vjp = jpeg_encode_vjp(image, 50)
refused(jax.jit(lambda g: vjp(coefficients._replace(y=g)).image_rgb), "cotangent.y", coefficients.y)

# Concrete arrays are computed with.
want, want_vjp = diff_jpeg_coding_vjp(pixels, 50, ste=True, wrt=("image_rgb", "jpeg_quality"))
got, vjp = diff_jpeg_coding_vjp(image, 50, ste=True, wrt=("image_rgb", "jpeg_quality"))
assert isinstance(got, jax.Array)
assert (np.abs(np.asarray(got) - want) > 1e-2).mean() < 1e-2
exact = diff_jpeg_coding(image, jnp.asarray(50.0), arithmetic="libjpeg")
np.testing.assert_array_equal(np.asarray(exact), diff_jpeg_coding(pixels, 50, arithmetic="libjpeg"))
np.testing.assert_array_equal(
    np.asarray(jpeg_decode(jpeg_encode(image, 50, arithmetic="libjpeg"), arithmetic="libjpeg")), np.asarray(exact)
)
_, want_vjp = diff_jpeg_coding_vjp(pixels, 50, arithmetic="libjpeg")
_, vjp = diff_jpeg_coding_vjp(image, 50, arithmetic="libjpeg")
np.testing.assert_allclose(np.asarray(vjp(image).image_rgb), want_vjp(pixels).image_rgb, rtol=1e-3, atol=1e-2)
print("done")
"""


def test_tracers_are_refused_by_name():
    """In a process of its own: whoever has loaded JAX is warned at every fork."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed")
    command = [sys.executable, "-c", COMMON + JAX]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip() == "done"
