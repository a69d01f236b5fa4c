"""From public arguments to a checked call: batch axes of parameters, libraries, and arrays of other libraries."""

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


# --- arrays of other libraries ----------------------------------------------------------------------------------------


def arrays_of_other_libraries():
    """JAX's tracers among them: what they stand for would be a constant in whatever is traced."""
    da = pytest.importorskip("dask.array")
    jax = pytest.importorskip("jax")
    yield lambda call, x: call(da.from_array(x))
    yield lambda call, x: call(jax.numpy.asarray(x))
    for transform in (jax.jit, jax.grad, jax.vmap):
        yield lambda call, x, transform=transform: transform(call)(jax.numpy.asarray(x))


def test_arrays_of_other_libraries_beside_numpys_are_refused_by_name():
    image = np.zeros((1, 3, 16, 24), np.float32)
    coefficients = jpeg_encode(image, 50)
    _, vjp = diff_jpeg_coding_vjp(image, 50)
    calls = {"cotangent": (vjp, image)}
    for number, function in enumerate((diff_jpeg_coding, jpeg_encode)):
        calls[f"jpeg_quality {number}"] = (lambda q, function=function: function(image, q), np.ones(1))
        calls[f"color_offset {number}"] = (lambda o, function=function: function(image, 50, color_offset=o), np.ones(3))
    for name in ("cb", "steps_y"):
        decode = lambda x, name=name: jpeg_decode(coefficients._replace(**{name: x}))
        calls[f"coefficients.{name}"] = (decode, getattr(coefficients, name))
    for apply in arrays_of_other_libraries():
        for label, (call, x) in calls.items():
            with pytest.raises(TypeError, match=f"^{label.split()[0]} must be .*ndarray, got "):
                apply(call, x)
