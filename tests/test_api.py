"""The public functions as users meet them: shapes, dtypes, layouts, batches, aliasing."""

import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pyjpegdiff
from pyjpegdiff import (
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)
from pyjpegdiff.backends import use_backend
from pyjpegdiff.execution import run_with_vjp
from pyjpegdiff.operations import CODE, DECODE, ENCODE
from pyjpegdiff.results import CodingGradients
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.libraries import case  # noqa: F401
from tests.samples import MODES, SAMPLINGS, photo_like

ALL = CodingGradients._fields
ANY_MODE = st.sampled_from(MODES)
BATCH_SHAPES = st.sampled_from([(), (1,), (2,), (2, 3), (0,), (2, 0)])
SIDE = st.integers(1, 37)


@given(
    seed=st.integers(0, 999),
    batch_shape=BATCH_SHAPES,
    height=SIDE,
    width=SIDE,
    quality=st.floats(1, 100),
    mode=ANY_MODE,
)
def test_output_shape_range_and_dtype(seed, batch_shape, height, width, quality, mode):
    for dtype in (np.float32, np.float64, np.float16, np.uint8):
        image = photo_like(np.random.default_rng(seed), (*batch_shape, 3, height, width), dtype)
        coded = diff_jpeg_coding(image, quality, **mode)
        assert coded.shape == image.shape
        assert coded.dtype == (np.float32 if dtype == np.uint8 else dtype)
        assert np.isfinite(coded).all()
        excess = 0 if mode != MODES[0] else 1e-3 * 2**11  # the soft clip's slope, on what a DCT can reach
        assert coded.min(initial=0) >= -excess
        assert coded.max(initial=0) <= 255 + excess
        if mode != MODES[0]:
            np.testing.assert_array_equal(coded, np.round(coded))


@given(seed=st.integers(0, 999), batch_shape=BATCH_SHAPES, height=SIDE, width=SIDE, mode=ANY_MODE, data=st.data())
def test_batch_equals_loop(seed, batch_shape, height, width, mode, data):
    rng = np.random.default_rng(seed)
    image = photo_like(rng, (*batch_shape, 3, height, width))
    quality = rng.uniform(
        1, 100, data.draw(st.sampled_from([(), batch_shape, batch_shape[-1:], tuple(1 for _ in batch_shape)]))
    )
    table = rng.uniform(1, 200, (*data.draw(st.sampled_from([(), batch_shape])), 8, 8))
    wrt = ("image_rgb", "jpeg_quality", "quantization_table_y")
    coded, vjp = diff_jpeg_coding_vjp(image, quality, table, wrt=wrt, **mode)
    cotangent = rng.standard_normal(image.shape)
    pulled = vjp(cotangent)
    g_quality = np.zeros(batch_shape)
    for index in np.ndindex(batch_shape):
        of_sample = np.broadcast_to(quality, batch_shape)[index], np.broadcast_to(table, (*batch_shape, 8, 8))[index]
        one, vjp_one = diff_jpeg_coding_vjp(image[index], np.asarray(of_sample[0]), of_sample[1], wrt=wrt, **mode)
        np.testing.assert_allclose(coded[index], one, rtol=0, atol=1e-9)
        g = vjp_one(cotangent[index])
        np.testing.assert_allclose(pulled.image_rgb[index], g.image_rgb, rtol=0, atol=1e-9)
        g_quality[index] = g.jpeg_quality
    assert pulled.jpeg_quality.shape == quality.shape
    assert pulled.quantization_table_y.shape == table.shape
    assert np.isclose(pulled.jpeg_quality.sum(), g_quality.sum(), rtol=1e-9, atol=1e-9)


def in_other_memory(array):
    """The same values, held in other ways."""
    yield np.asfortranarray(array)
    yield array[..., ::-1].copy()[..., ::-1]
    yield np.repeat(array, 2, -1)[..., ::2]
    yield array.astype(array.dtype.newbyteorder(">"))
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen


@given(
    seed=st.integers(0, 999),
    height=SIDE,
    width=SIDE,
    mode=ANY_MODE,
    dtype=st.sampled_from(["f2", "f4", "f8", "u1", "u2"]),
)
def test_memory_layout_does_not_matter_and_nothing_is_mutated(seed, height, width, mode, dtype):
    rng = np.random.default_rng(seed)
    image = photo_like(rng, (2, 3, height, width), dtype)
    arguments = {"data_range": 255} if dtype == "u2" else {}
    coded, vjp = diff_jpeg_coding_vjp(image, 60, wrt=ALL, **mode, **arguments)
    cotangent = rng.standard_normal(image.shape).astype(coded.dtype)
    pulled = vjp(cotangent)
    for other, other_cotangent in zip(in_other_memory(image), in_other_memory(cotangent), strict=True):
        before = other.copy(), other_cotangent.copy()
        again, vjp_again = diff_jpeg_coding_vjp(other, 60, wrt=ALL, **mode, **arguments)
        assert again.dtype == coded.dtype
        assert again.dtype.isnative
        np.testing.assert_array_equal(again, coded)
        for a, b in zip(vjp_again(other_cotangent), pulled, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(other, before[0])
        np.testing.assert_array_equal(other_cotangent, before[1])


@pytest.mark.parametrize("mode", MODES)
def test_vjp_outlives_what_the_caller_does_to_arguments(mode):
    rng = np.random.default_rng(0)
    arrays = {
        "image_rgb": photo_like(rng, (3, 20, 30)),
        "jpeg_quality": np.array(40.0),
        "quantization_table_y": np.array(LUMINANCE, float),
        "quantization_table_c": np.array(CHROMINANCE, float),
    }
    coded, vjp = diff_jpeg_coding_vjp(**arrays, wrt=ALL, **mode)
    cotangent = rng.standard_normal(coded.shape)
    first = vjp(cotangent)
    for array in (coded, *arrays.values()):
        array[...] = 7
    for a, b in zip(vjp(cotangent), first, strict=True):
        np.testing.assert_array_equal(a, b)
    first.image_rgb[...] = 0
    assert np.count_nonzero(vjp(cotangent).image_rgb)


def test_decode_vjp_outlives_its_coefficients():
    rng = np.random.default_rng(0)
    coefficients = jpeg_encode(photo_like(rng, (3, 8, 8)), 50, subsampling="4:4:4")
    wrt = ("coefficients", "color_matrix", "color_offset")
    decoded, vjp = jpeg_decode_vjp(coefficients, wrt=wrt)
    cotangent = rng.standard_normal(decoded.shape)
    first = vjp(cotangent)
    for array in (decoded, *coefficients[:5]):
        array[...] = 3
    second = vjp(cotangent)
    np.testing.assert_array_equal(second.color_matrix, first.color_matrix)
    for a, b in zip(second.coefficients[:5], first.coefficients[:5], strict=True):
        np.testing.assert_array_equal(a, b)


def test_only_what_is_needed():
    image = photo_like(np.random.default_rng(0), (3, 20, 30))
    for name in ALL:
        _, vjp = diff_jpeg_coding_vjp(image, 50, wrt=name)
        pulled = vjp(np.ones_like(image))
        assert [field for field in ALL if getattr(pulled, field) is not None] == [name]
    assert diff_jpeg_coding_vjp(image, 50, wrt=())[1](image) == CodingGradients()


def test_cotangents_have_their_arguments_dtype_and_shape():
    image = photo_like(np.random.default_rng(0), (2, 3, 16, 16), np.float16)
    arguments = {
        "jpeg_quality": np.array([50, 60]),
        "quantization_table_y": np.array(LUMINANCE, np.float64),
        "quantization_table_c": np.broadcast_to(np.array(CHROMINANCE, np.int16), (2, 8, 8)),
        "color_offset": np.zeros((1, 3), np.float16),
    }
    _, vjp = diff_jpeg_coding_vjp(image, **arguments, wrt=ALL)
    pulled = vjp(np.ones(image.shape))
    assert {name: (g.shape, g.dtype.name) for name, g in pulled._asdict().items()} == {
        "image_rgb": ((2, 3, 16, 16), "float16"),
        "jpeg_quality": ((2,), "float32"),
        "quantization_table_y": ((8, 8), "float64"),
        "quantization_table_c": ((2, 8, 8), "float32"),
        "color_matrix": ((3, 3), "float32"),
        "color_offset": ((1, 3), "float16"),
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("axis", [-1, 0, 1, 2, 3, -2, -4])
def test_channel_axis(axis, mode):
    image = photo_like(np.random.default_rng(0), (2, 3, 20, 30))
    coded, vjp = diff_jpeg_coding_vjp(image, 50, **mode)
    g = np.random.default_rng(1).standard_normal(image.shape)
    moved, vjp_moved = diff_jpeg_coding_vjp(np.moveaxis(image, 1, axis), 50, channel_axis=axis, **mode)
    np.testing.assert_array_equal(moved, np.moveaxis(coded, 1, axis))
    np.testing.assert_array_equal(vjp_moved(np.moveaxis(g, 1, axis)).image_rgb, np.moveaxis(vjp(g).image_rgb, 1, axis))


@pytest.mark.parametrize("mode", MODES)
def test_grayscale(mode):
    image = photo_like(np.random.default_rng(0), (2, 21, 30))
    coded, vjp = diff_jpeg_coding_vjp(image, 50, channel_axis=None, **mode)
    g = np.random.default_rng(1).standard_normal(image.shape)
    for axis in (1, -1):
        other, vjp_other = diff_jpeg_coding_vjp(np.expand_dims(image, axis), 50, channel_axis=axis, **mode)
        np.testing.assert_array_equal(other, np.expand_dims(coded, axis))
        np.testing.assert_array_equal(vjp_other(np.expand_dims(g, axis)).image_rgb.reshape(g.shape), vjp(g).image_rgb)
    coefficients = jpeg_encode(image, 50, channel_axis=None, **mode)
    assert (coefficients.cb, coefficients.cr, coefficients.steps_c, coefficients.subsampling) == (None,) * 4
    decode = {name: value for name, value in mode.items() if name in ("ste", "arithmetic")}
    np.testing.assert_allclose(jpeg_decode(coefficients, channel_axis=None, **decode), coded, atol=1e-9)


@pytest.mark.parametrize("white", [1.0, 65535])
@pytest.mark.parametrize("mode", MODES)
def test_data_range_scales_everything(white, mode):
    image = np.round(photo_like(np.random.default_rng(0), (3, 20, 30)))
    coded, vjp = diff_jpeg_coding_vjp(image, 50, wrt=("image_rgb", "jpeg_quality"), **mode)
    scaled, vjp_scaled = diff_jpeg_coding_vjp(
        image * white / 255, 50, wrt=("image_rgb", "jpeg_quality"), data_range=white, **mode
    )
    np.testing.assert_allclose(scaled, coded * white / 255, rtol=1e-9, atol=1e-9 * white)
    g = np.random.default_rng(1).standard_normal(image.shape)
    np.testing.assert_allclose(vjp_scaled(g).image_rgb, vjp(g).image_rgb, atol=1e-6)
    np.testing.assert_allclose(vjp_scaled(g).jpeg_quality, vjp(g).jpeg_quality * white / 255, rtol=1e-6)


def test_uint16_with_its_range():
    image = np.random.default_rng(0).integers(0, 65536, (3, 16, 16), dtype=np.uint16)
    got = diff_jpeg_coding(image, 50, data_range=65535)
    np.testing.assert_allclose(got, diff_jpeg_coding(image / 257, 50) * 257, rtol=2e-5, atol=0.1)


@given(seed=st.integers(0, 999), height=SIDE, width=SIDE, subsampling=st.sampled_from(list(SAMPLINGS)), mode=ANY_MODE)
def test_encode_then_decode_is_code(seed, height, width, subsampling, mode):
    image = photo_like(np.random.default_rng(seed), (2, 3, height, width))
    coefficients, encode_vjp = jpeg_encode_vjp(image, 70, wrt=ALL, subsampling=subsampling, **mode)
    sampling = SAMPLINGS[subsampling]
    assert coefficients.y.shape == (2, -(-height // 8), -(-width // 8), 8, 8)
    assert coefficients.cb.shape == (2, -(-height // (8 * sampling[0])), -(-width // (8 * sampling[1])), 8, 8)
    decoded, decode_vjp = jpeg_decode_vjp(coefficients, wrt=("coefficients", "color_matrix", "color_offset"), **mode)
    coded, vjp = diff_jpeg_coding_vjp(image, 70, wrt=ALL, subsampling=subsampling, **mode)
    np.testing.assert_allclose(decoded, coded, rtol=0, atol=1e-9)
    g = np.random.default_rng(seed).standard_normal(coded.shape)
    halves = decode_vjp(g)
    chained, whole = encode_vjp(halves.coefficients), vjp(g)
    for name in ALL:
        total = getattr(chained, name)
        if name.startswith("color"):
            total = total + getattr(halves, name)
        np.testing.assert_allclose(total, getattr(whole, name), rtol=1e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("quality", [1, 2, 5, 10, 25, 50, 100])
@pytest.mark.parametrize("mode", MODES[1:])
def test_hard_variant_has_gradients_of_quality_and_tables(quality, mode):
    image = photo_like(np.random.default_rng(0), (3, 32, 48))
    wrt = ("jpeg_quality", "quantization_table_y", "quantization_table_c")
    coded, vjp = diff_jpeg_coding_vjp(image, quality, wrt=wrt, **mode)
    pulled = vjp(2 * (coded - image))
    for name in wrt:
        # Quality 100 multiplies tables by 0: what they hold makes no difference there.
        reaches = quality < 100 or name == "jpeg_quality"
        assert (np.abs(getattr(pulled, name)).max() > 0) == reaches, name


def test_numbers_are_checked_and_arrays_are_clipped():
    image = photo_like(np.random.default_rng(0), (2, 3, 16, 16))
    np.testing.assert_array_equal(
        diff_jpeg_coding(image, np.array([-5.0, 400.0])), diff_jpeg_coding(image, np.array([1.0, 100.0]))
    )
    np.testing.assert_array_equal(diff_jpeg_coding(image, [10, 20.5]), diff_jpeg_coding(image, np.array([10, 20.5])))


def test_rounding_surrogate_of_the_caller():
    image = photo_like(np.random.default_rng(0), (3, 16, 16))
    cubic = (lambda x: np.round(x) + (x - np.round(x)) ** 3, lambda x: 3 * (x - np.round(x)) ** 2)
    for mode in MODES[:2]:
        ours, vjp = diff_jpeg_coding_vjp(image, 50, rounding="cubic", **mode)
        theirs, their_vjp = diff_jpeg_coding_vjp(image, 50, rounding=cubic, **mode)
        np.testing.assert_allclose(theirs, ours, atol=1e-12)
        np.testing.assert_allclose(their_vjp(image).image_rgb, vjp(image).image_rgb, atol=1e-9)


def test_libjpeg_arithmetic_rounds_and_clips_its_input():
    rng = np.random.default_rng(0)
    image = rng.uniform(-20, 275, (3, 24, 24))
    coded, vjp = diff_jpeg_coding_vjp(image, 50, arithmetic="libjpeg")
    rounded, vjp_rounded = diff_jpeg_coding_vjp(np.round(image).clip(0, 255), 50, arithmetic="libjpeg")
    np.testing.assert_array_equal(coded, rounded)
    np.testing.assert_array_equal(vjp(image).image_rgb, vjp_rounded(image).image_rgb)


def test_same_again():
    image = photo_like(np.random.default_rng(0), (3, 40, 40), np.float32)
    for mode in MODES:
        a, vjp_a = diff_jpeg_coding_vjp(image, 33.3, wrt=ALL, **mode)
        b, vjp_b = diff_jpeg_coding_vjp(image, 33.3, wrt=ALL, **mode)
        np.testing.assert_array_equal(a, b)
        for x, y in zip(vjp_a(a), vjp_b(b), strict=True):
            np.testing.assert_array_equal(x, y)


# --- every library ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_core_in_every_library(case, mode, dtype):
    """The core itself on each library's arrays; torch's without its adapter."""
    rng = np.random.default_rng(0)
    image = np.round(photo_like(rng, (2, 3, 21, 35)))
    quality = np.array([30.5, 80.0])
    expected, vjp = diff_jpeg_coding_vjp(image.astype(dtype), quality, wrt=ALL, **mode)
    g = rng.standard_normal(image.shape)
    arguments = (case.array(image, dtype), case.array(quality, dtype))
    with use_backend("array_api"):
        call = pyjpegdiff.arguments.coding(case.library, *arguments, **mode)
    coded, vjp_case = run_with_vjp(CODE, call, ALL)
    tolerance = {"float32": 1e-3, "float64": 1e-10}[dtype]
    assert coded.dtype == getattr(case.xp, dtype)
    assert coded.device == case.device
    np.testing.assert_allclose(case.numpy(coded), expected, rtol=0, atol=0 if "arithmetic" in mode else tolerance)
    pulled = vjp_case(case.array(g, dtype))
    for name, want in vjp(g.astype(dtype))._asdict().items():
        got = getattr(pulled, name)
        assert got.dtype == getattr(case.xp, dtype)
        assert got.device == case.device
        assert got.shape == want.shape
        np.testing.assert_allclose(case.numpy(got), want, rtol=0, atol=tolerance * np.abs(want).max(), err_msg=name)


def test_encode_and_decode_in_every_library(case):
    image = np.round(photo_like(np.random.default_rng(0), (2, 3, 21, 35)))
    expected = jpeg_encode(image, 50, arithmetic="libjpeg")
    with use_backend("array_api"):
        call = pyjpegdiff.arguments.coding(case.library, case.array(image), 50, arithmetic="libjpeg")
    coefficients, vjp = run_with_vjp(ENCODE, call, ("image_rgb", "jpeg_quality"))
    for got, want in zip(coefficients[:5], expected[:5], strict=True):
        assert got.device == case.device
        np.testing.assert_array_equal(case.numpy(got), want)
    with use_backend("array_api"):
        call = pyjpegdiff.arguments.decoding(case.library, coefficients, arithmetic="libjpeg")
    decoded, decode_vjp = run_with_vjp(DECODE, call, ("coefficients",))
    np.testing.assert_array_equal(case.numpy(decoded), jpeg_decode(expected, arithmetic="libjpeg"))
    pulled = vjp(decode_vjp(decoded).coefficients)
    assert pulled.image_rgb.device == case.device
    assert np.isfinite(case.numpy(pulled.jpeg_quality))


@pytest.mark.parametrize("name", pyjpegdiff.__all__)
def test_every_public_name_is_documented_with_an_example(name):
    documentation = getattr(pyjpegdiff, name).__doc__
    assert documentation
    if name == "backends":
        documentation = pyjpegdiff.backends.use_backend.__doc__
    if name != "Coefficients":
        assert ">>>" in documentation


@pytest.mark.parametrize("function", [jpeg_encode, jpeg_encode_vjp, diff_jpeg_coding, diff_jpeg_coding_vjp])
def test_published_argument_order(function):
    positional = [
        name for name, p in inspect.signature(function).parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    assert positional == ["image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c", "ste"]
