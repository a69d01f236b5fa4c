"""The JAX adapter: values, gradients and arguments, beside NumPy's."""

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import pyjpegdiff  # noqa: E402
from pyjpegdiff import arguments as core_arguments  # noqa: E402
from pyjpegdiff import arrays  # noqa: E402
from pyjpegdiff.adapters import jax as adapter  # noqa: E402
from pyjpegdiff.backends import use_backend  # noqa: E402
from pyjpegdiff.stages.dct import ISLOW, ISLOW_HIGH, ISLOW_LOW, islow_dct, islow_idct  # noqa: E402
from tests.adapters.jax_arrays import arguments, expected, images, parameters  # noqa: E402
from tests.samples import MODES, noisy_ramp  # noqa: E402

SUBSAMPLINGS = tuple(core_arguments.SAMPLINGS)
ONE_GROUP = 3 * 16 * 16
"""Samples that one coefficient next to a tie can change."""

# --- values and gradients are NumPy's ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_value_and_gradients_in_float64(mode, of_jax):
    given = arguments(mode)
    cotangent = np.random.default_rng(2).standard_normal(given["image_rgb"].shape)
    want, gradients = expected(given, mode, cotangent)

    def pulled(arrays, cotangent):
        coded, vjp = jax.vjp(lambda arrays: adapter.diff_jpeg_coding(**arrays, **mode), arrays)
        return coded, vjp(cotangent)[0]

    with jax.enable_x64(True):
        coded, got = jax.jit(pulled)(jax.tree.map(jnp.asarray, given), jnp.asarray(cotangent))
        assert coded.dtype == jnp.float64
        np.testing.assert_allclose(coded, want, rtol=1e-12, atol=1e-12 * 255)
        assert set(got) == set(gradients)
        for name, g in gradients.items():
            assert np.abs(g).max() > 0
            np.testing.assert_allclose(got[name], g, rtol=0, atol=1e-12 * np.abs(g).max(), err_msg=name)


@pytest.mark.parametrize("mode", MODES, ids=str)
def test_value_and_gradients_in_float32(mode):
    given = arguments(mode, np.float32)
    with jax.enable_x64(False):
        arrays = jax.tree.map(jnp.asarray, given)
        coded, vjp = jax.vjp(lambda arrays: adapter.diff_jpeg_coding(**arrays, **mode), arrays)
        assert coded.dtype == jnp.float32
        got = vjp(jnp.ones_like(coded))[0]
    want, gradients = expected(given, mode, np.ones(coded.shape, np.float32))
    assert (np.abs(np.asarray(coded) - want) > 1e-2).sum() <= ONE_GROUP
    for name, g in gradients.items():
        assert got[name].dtype == jnp.float32
        # Sums of some 10^3 products of float32, each relatively good to some 10^-7 times the size of a coefficient.
        np.testing.assert_allclose(got[name], g, rtol=0, atol=2e-3 * np.abs(g).max(), err_msg=name)


@pytest.mark.parametrize(
    "rounding",
    ["identity", "sine", "fourier", "tanh", pytest.param((jnp.round, jnp.ones_like), id="functions")],
)
def test_surrogates(rounding):
    own = (np.round, np.ones_like) if isinstance(rounding, tuple) else rounding
    want, vjp = pyjpegdiff.diff_jpeg_coding_vjp(images(), 50, rounding=own)
    with jax.enable_x64(True):
        coded, got = jax.vjp(lambda x: adapter.diff_jpeg_coding(x, 50, rounding=rounding), jnp.asarray(images()))
        np.testing.assert_allclose(coded, want, rtol=0, atol=1e-10)
        g = vjp(want).image_rgb
        np.testing.assert_allclose(got(coded)[0], g, rtol=0, atol=1e-11 * np.abs(g).max())


def test_differentiated_surrogate_raises():
    """Its parameters have no gradient, and none of zero."""

    def of_slope(a):
        return adapter.diff_jpeg_coding(images(np.float32), 50, rounding=(lambda u: a * u, jnp.ones_like)).sum()

    for function in (jax.grad(of_slope), jax.jit(jax.grad(of_slope))):
        with pytest.raises(Exception, match=r"closed-over|unexpected tracer"):
            function(2.0)


@pytest.mark.parametrize(("mode", "subsampling"), list(zip([*MODES, MODES[1]], SUBSAMPLINGS, strict=True)), ids=str)
def test_encode_and_decode(mode, subsampling, of_jax):
    image = images()
    want, want_vjp = pyjpegdiff.jpeg_encode_vjp(
        image, 60, subsampling=subsampling, wrt=("image_rgb", "jpeg_quality"), **mode
    )
    with jax.enable_x64(True):
        encode = jax.jit(lambda x, q: adapter.jpeg_encode(x, q, subsampling=subsampling, **mode))
        coefficients, vjp = jax.vjp(encode, jnp.asarray(image), jnp.asarray(60.0))
        assert (coefficients.size, coefficients.subsampling) == (want.size, want.subsampling)
        for got, x in zip(coefficients[:5], want[:5], strict=True):
            np.testing.assert_allclose(got, x, rtol=0, atol=1e-11)
        gradients = want_vjp(want)
        for got, g in zip(vjp(coefficients), gradients[:2], strict=True):
            np.testing.assert_allclose(got, g, rtol=0, atol=1e-11 * np.abs(g).max())
        decoded, decode_vjp = pyjpegdiff.jpeg_decode_vjp(want, **mode)
        got, vjp = jax.vjp(jax.jit(lambda c: adapter.jpeg_decode(c, **mode)), coefficients)
        np.testing.assert_allclose(got, decoded, rtol=0, atol=1e-10)
        for mine, g in zip(vjp(got)[0][:5], decode_vjp(decoded).coefficients[:5], strict=True):
            np.testing.assert_allclose(mine, g, rtol=0, atol=1e-11 * np.abs(g).max())


# --- libjpeg, to the bit ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("subsampling", "x64"), [("4:2:0", True), *((name, False) for name in SUBSAMPLINGS)], ids=str)
def test_libjpeg_arithmetic_at_every_quality(subsampling, x64, of_jax):
    """Qualities as numbers, which XLA folds into constants, and as an array, which it cannot."""
    pixels = np.stack([noisy_ramp(seed, 35, 29) for seed in range(100)])
    qualities = np.arange(1, 101, dtype=np.float32)
    choices = {"arithmetic": "libjpeg", "subsampling": subsampling, "channel_axis": -1}
    want = pyjpegdiff.diff_jpeg_coding(pixels, qualities, **choices)
    with jax.enable_x64(x64):
        got = adapter.diff_jpeg_coding(pixels, qualities, **choices)
        np.testing.assert_array_equal(got, want)
        if subsampling == "4:2:0":  # the others convert parameters as this does
            folded = jax.jit(lambda x: adapter.diff_jpeg_coding(x, qualities, **choices))(pixels)
            np.testing.assert_array_equal(folded, want)
        coefficients = jax.jit(lambda x, q: adapter.jpeg_encode(x, q, **choices))(pixels, qualities)
        for mine, theirs in zip(
            coefficients[:5], pyjpegdiff.jpeg_encode(pixels, qualities, **choices)[:5], strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
        decoded = jax.jit(lambda c: adapter.jpeg_decode(c, arithmetic="libjpeg", channel_axis=-1))(coefficients)
        np.testing.assert_array_equal(decoded, want)


def test_islow_dct_without_float64():
    """Against integers, at the bounds of what the two parts hold."""
    rng = np.random.default_rng(0)
    samples = rng.choice([-128, -127, 127], (1, 64, 64))
    coefficients = rng.integers(-1100, 1101, (1, 64, 64)) * (rng.random((1, 64, 64)) < 0.2)
    islow = np.array(ISLOW)

    def descaled(x, shift):
        return (x + (1 << shift - 1)) >> shift

    def blocks(x):
        return x.reshape(8, 8, 8, 8).swapaxes(1, 2)

    rows = descaled(blocks(samples) @ islow.T, 11)
    eighths = descaled(islow @ rows, 15)
    with jax.enable_x64(False):
        got = jax.jit(lambda x: islow_dct(jnp, x))(jnp.asarray(samples, jnp.float32))
        np.testing.assert_array_equal(blocks(np.asarray(got) * 8), eighths)
        columns = descaled(islow.T @ blocks(coefficients), 11)
        want = descaled(columns @ islow, 18)
        got = jax.jit(lambda x: islow_idct(jnp, x))(jnp.asarray(coefficients, jnp.float32))
        np.testing.assert_array_equal(blocks(np.asarray(got)), want)
    high, low = np.array(ISLOW_HIGH), np.array(ISLOW_LOW)
    assert (high + low == islow).all()
    assert (high % 128 == 0).all()
    # 2^15 times these is below 2^24, where float32 holds every integer.
    for part in (high // 128, low):
        assert max(np.abs(part).sum(axis).max() for axis in (0, 1)) <= 2**9


def test_float64_is_where_jax_is_told_so():
    assert arrays.has_float64(np)
    for x64 in (False, True):
        with jax.enable_x64(x64):
            assert arrays.has_float64(jnp) is x64
            planes = jnp.ones((1, 8, 8), jnp.float32)
            assert arrays.for_exact_products(jnp, planes).dtype == (jnp.float64 if x64 else jnp.float32)
    assert not arrays.is_numpys(jnp.zeros(1, jnp.bfloat16).dtype)
    assert arrays.is_numpys(np.dtype(">f8"))


# --- arguments --------------------------------------------------------------------------------------------------------


def test_plain_functions_take_jax_arrays():
    image = jnp.asarray(images(np.float32))
    coded = pyjpegdiff.diff_jpeg_coding(image, 50, ste=True)
    assert isinstance(coded, jax.Array)
    assert jnp.array_equal(coded, adapter.diff_jpeg_coding(image, 50, ste=True))
    assert jnp.array_equal(jax.jit(lambda x: pyjpegdiff.diff_jpeg_coding(x, 50, ste=True))(image), coded)

    def halves(x):
        return pyjpegdiff.jpeg_decode(pyjpegdiff.jpeg_encode(x, 50, ste=True), ste=True).sum()

    whole = jax.grad(lambda x: pyjpegdiff.diff_jpeg_coding(x, 50, ste=True).sum())(image)
    np.testing.assert_allclose(jax.jit(jax.grad(halves))(image), whole, atol=1e-4)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_explicit_vjps(compiled):
    names = ("image_rgb", "jpeg_quality", "quantization_table_y")

    def pulled(x):
        coefficients, encode_vjp = pyjpegdiff.jpeg_encode_vjp(x, 50, ste=True, wrt=names)
        decoded, decode_vjp = pyjpegdiff.jpeg_decode_vjp(coefficients, ste=True)
        coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(x, 50, ste=True, wrt=names)
        return encode_vjp(decode_vjp(decoded).coefficients)[:3], vjp(coded)[:3]

    of_numpy = pulled(images())
    with jax.enable_x64(True):
        of_jax = (jax.jit(pulled) if compiled else pulled)(jnp.asarray(images()))
        for g, want in zip(jax.tree.leaves(of_jax), jax.tree.leaves(of_numpy), strict=True):
            np.testing.assert_allclose(g, want, rtol=0, atol=1e-11 * np.abs(want).max())


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16, jnp.uint8, jnp.int32], ids=lambda dtype: dtype.__name__)
def test_dtypes(dtype):
    check_dtype(dtype)


def test_bfloat16_by_xla_alone():
    with use_backend("array_api"):
        check_dtype(jnp.bfloat16)


def check_dtype(dtype):
    image = jnp.asarray(images(np.float32)).astype(dtype)
    coded = adapter.diff_jpeg_coding(image, 50, ste=True, data_range=255)
    is_floating = jnp.issubdtype(dtype, jnp.floating)
    assert coded.dtype == (dtype if is_floating else jnp.float32)
    exact = pyjpegdiff.diff_jpeg_coding(np.asarray(image.astype(jnp.float32)), 50, ste=True)
    differs = np.asarray(coded.astype(jnp.float32)) != np.asarray(jnp.asarray(exact).astype(coded.dtype), np.float32)
    assert differs.sum() <= ONE_GROUP
    if is_floating:
        g = jax.grad(lambda x: adapter.diff_jpeg_coding(x, 50, ste=True).astype(jnp.float32).sum())(image)
        assert g.dtype == dtype
        assert float(jnp.abs(g).max()) > 0
    quality = jax.grad(lambda q: (adapter.diff_jpeg_coding(image, q, data_range=255).astype(jnp.float32) ** 2).sum())
    assert float(quality(jnp.asarray(33.3))) != 0


def test_numpy_arrays_among_the_arguments():
    given = {"image_rgb": images(np.float32), **parameters(np.float32)}
    all_jax = adapter.diff_jpeg_coding(**jax.tree.map(jnp.asarray, given), ste=True)
    assert jnp.array_equal(adapter.diff_jpeg_coding(**given, ste=True), all_jax)
    tables = {name: x for name, x in given.items() if name != "image_rgb"}
    mixed = pyjpegdiff.diff_jpeg_coding(jnp.asarray(given["image_rgb"]), **tables, ste=True)
    assert jnp.array_equal(mixed, all_jax)
    coefficients = pyjpegdiff.jpeg_encode(given["image_rgb"], 50)
    assert isinstance(adapter.jpeg_decode(coefficients), jax.Array)


@pytest.mark.parametrize("channel_axis", [-1, 0, None])
def test_channel_axis_and_gray(channel_axis):
    image = images()[0, :1] if channel_axis is None else np.moveaxis(images(), 1, channel_axis)
    want = pyjpegdiff.diff_jpeg_coding(image, 50, channel_axis=channel_axis)
    with jax.enable_x64(True):
        got = adapter.diff_jpeg_coding(jnp.asarray(image), 50, channel_axis=channel_axis)
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("jpeg_quality", 0, ValueError, "jpeg_quality must be in 1..100, got 0"),
        ("jpeg_quality", "50", TypeError, "jpeg_quality must be"),
        ("quantization_table_y", jnp.ones((8, 7)), ValueError, "quantization_table_y must have shape"),
        (
            "image_rgb",
            jnp.ones((3, 8, 8), jnp.complex64),
            TypeError,
            "image_rgb must have an integer or a floating dtype",
        ),
        ("image_rgb", jnp.ones((3, 8, 8), jnp.float8_e5m2), TypeError, "image_rgb must have an integer or a floating"),
        ("image_rgb", np.ma.ones((3, 8, 8)), TypeError, "image_rgb must be a plain array"),
        ("image_rgb", [1.0], TypeError, "image_rgb must be a jax.Array, got list"),
    ],
)
def test_errors_name_the_argument(name, value, error, message):
    with pytest.raises(error, match=message):
        adapter.diff_jpeg_coding(**{"image_rgb": jnp.ones((3, 8, 8)), "jpeg_quality": 50, name: value})


def test_choices_are_static():
    image = images(np.float32)
    for name, value in (("ste", True), ("data_range", 1.0), ("channel_axis", -3)):
        with pytest.raises(TypeError, match=f"{name} must be"):
            jax.jit(lambda x, choice: adapter.diff_jpeg_coding(x, 50, **{name: choice}))(image, value)
    static = jax.jit(adapter.diff_jpeg_coding, static_argnames=("ste", "arithmetic", "data_range"))
    exact = static(image / 255, 50, ste=True, arithmetic="libjpeg", data_range=1.0)
    assert exact.shape == image.shape


def test_backends_for_numpy_are_refused():
    with (
        use_backend("numpy_strips"),
        pytest.raises(ValueError, match=r"'numpy_strips' cannot serve arrays of jax\.numpy"),
    ):
        adapter.diff_jpeg_coding(images(np.float32), 50)


def test_a_number_and_an_array_of_quality_are_compiled_once():
    count = 0

    def value(u):
        nonlocal count
        count += 1
        return u

    rounding = (value, jnp.ones_like)
    for quality in (20.0, 30.0, 40):
        adapter.diff_jpeg_coding(images(np.float32), quality, rounding=rounding)
    assert count == 2  # luma and chroma, at one tracing
