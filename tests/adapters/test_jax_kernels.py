"""The compiled kernels as XLA calls them: where they are used, and that they give what NumPy's call of them gives."""

import threading

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import jax.numpy as jnp  # noqa: E402

import pyjpegdiff  # noqa: E402
from pyjpegdiff.adapters import jax as adapter  # noqa: E402
from pyjpegdiff.adapters._jax_call import FORWARD, SCRATCH  # noqa: E402
from pyjpegdiff.backends import available, use_backend  # noqa: E402
from pyjpegdiff.kernels.library import Call  # noqa: E402
from tests.adapters.jax_arrays import arguments, expected, images  # noqa: E402

pytestmark = pytest.mark.skipif("cpu_kernels" not in available(), reason="the compiled library is not there")


def loss(image, quality):
    return (adapter.diff_jpeg_coding(image, quality, ste=True) ** 2).sum()


def gradients(image, quality):
    return jax.grad(loss, (0, 1))(image, quality)


# --- where they are used ----------------------------------------------------------------------------------------------


def lowered(platform):
    """The text of forward and VJP for a platform."""
    traced = jax.jit(lambda image, quality: gradients(image, quality)).trace(images(np.float32), 50.0)
    return traced.lower(lowering_platforms=(platform,)).as_text()


def test_the_cpu_alone_is_given_the_kernels():
    text = lowered("cpu")
    assert "@pyjpegdiff_forward" in text
    assert "@pyjpegdiff_vjp" in text
    for platform in ("cuda", "tpu"):
        assert "pyjpegdiff_" not in lowered(platform)


def test_another_backend_may_be_named():
    with use_backend("array_api"):
        assert "pyjpegdiff_" not in lowered("cpu")
    with use_backend("cpu_kernels"):
        assert "@pyjpegdiff_forward" in lowered("cpu")
    with use_backend("cpu_kernels"), pytest.raises(ValueError, match="'cpu_kernels' cannot serve arrays of jax"):
        adapter.diff_jpeg_coding(images(np.float32), 50, rounding=(jnp.round, jnp.ones_like))


def test_another_default_device_has_no_kernels(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "tpu")
    assert "pyjpegdiff_" not in lowered("cpu")
    with jax.default_device(jax.devices("cpu")[0]):
        assert "@pyjpegdiff_forward" in lowered("cpu")


@pytest.mark.parametrize("mode", [{}, {"ste": True}], ids=str)
def test_other_platforms_compute_the_forward_once_more(mode):
    """As do exported functions with a batch size that is a symbol, which run here."""
    given = arguments(mode)

    def pulled(image, *others):
        arrays = dict(zip(given, (image, *others), strict=True))
        coded, vjp = jax.vjp(lambda arrays: adapter.diff_jpeg_coding(**arrays, **mode), arrays)
        return coded, vjp(coded)[0]

    given["jpeg_quality"], given["quantization_table_c"] = np.array(33.3), given["quantization_table_c"][0]
    want, pull = pyjpegdiff.diff_jpeg_coding_vjp(**given, wrt=tuple(given), **mode)
    with jax.enable_x64(True):
        (batch,) = jax.export.symbolic_shape("batch")
        image, *others = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in given.values()]
        image = jax.ShapeDtypeStruct((batch, *image.shape[1:]), image.dtype)
        coded, got = jax.export.export(jax.jit(pulled))(image, *others).call(*given.values())
    np.testing.assert_allclose(coded, want, rtol=0, atol=1e-12 * 255)
    for name, g in got.items():
        exact = getattr(pull(want), name)
        np.testing.assert_allclose(g, exact, rtol=0, atol=1e-11 * np.abs(exact).max(), err_msg=name)


def test_exported_functions_may_hold_none():
    def export():
        return jax.export.export(jax.jit(lambda image: adapter.diff_jpeg_coding(image, 50)))(images(np.float32))

    with pytest.raises(ValueError, match="pyjpegdiff_forward"):
        export()
    with use_backend("array_api"):
        exported = export()
    assert exported.call(images(np.float32)).shape == images().shape


# --- what they give ---------------------------------------------------------------------------------------------------

CASES = {
    "smooth": {},
    "4:4:4, channels last": {"subsampling": "4:4:4", "channel_axis": -1, "ste": True},
    "4:2:2, channels first": {"subsampling": "4:2:2", "channel_axis": 0, "data_range": 1.0},
    "4:4:0, libjpeg": {"subsampling": "4:4:0", "arithmetic": "libjpeg"},
    "gray": {"channel_axis": None, "ste": True, "rounding": "sine"},
    "uint8": {"ste": True},
    "int64": {"data_range": 255, "rounding": "tanh", "flooring": "identity"},
    "float16": {"rounding": "fourier"},
}


@pytest.mark.parametrize("case", CASES)
def test_results_are_those_of_numpys_call(case):
    """To the bit: the same code, called in another way. Batch axes (2, 2), a quality for each of the first."""
    choices = CASES[case]
    image = np.stack([images(), images()[::-1]])[..., :17, :29] * ((choices.get("data_range") == 1.0 and 1 / 255) or 1)
    image = image[..., 0, :, :] if "gray" in case else np.moveaxis(image, -3, choices.get("channel_axis", -3))
    image = image.astype(case if case[0] in "uif" else np.float32)
    quality = np.array([[30], [80]], np.float32)
    wrt = ("image_rgb", "jpeg_quality")
    want, want_vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, quality, wrt=wrt, **choices)
    wanted = want_vjp(want)
    with jax.enable_x64(image.dtype == np.int64):
        got, vjp = jax.jit(lambda *x: (lambda y, v: (y, v(y)))(*adapter.diff_jpeg_coding_vjp(*x, wrt=wrt, **choices)))(
            image, quality
        )
    np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(vjp.image_rgb, wanted.image_rgb)
    # Sums over samples are NumPy's in float64, XLA's in float32.
    np.testing.assert_allclose(vjp.jpeg_quality, wanted.jpeg_quality, rtol=1e-6)


@pytest.mark.parametrize("mode", [{}, {"ste": True}], ids=str)
def test_color_of_decode(mode):
    """Whose gradients take a second pass."""
    coefficients = pyjpegdiff.jpeg_encode(images(), np.array([40.0, 70]))
    matrix = np.stack([arguments({})["color_matrix"]] * 2) * np.array([1.0, 1.01])[:, None, None]
    with use_backend("array_api"):
        want, want_vjp = pyjpegdiff.jpeg_decode_vjp(
            coefficients, color_matrix=matrix, wrt=("coefficients", "color_matrix", "color_offset"), **mode
        )
        wanted = want_vjp(want)
    with jax.enable_x64(True):
        function = jax.jit(lambda c, m: adapter.jpeg_decode(c, color_matrix=m, **mode))
        got, vjp = jax.vjp(function, jax.tree.map(jnp.asarray, coefficients), jnp.asarray(matrix))
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)
        of_coefficients, of_matrix = vjp(got)
    for g, exact in [(of_matrix, wanted.color_matrix), *zip(of_coefficients[:5], wanted.coefficients[:5], strict=True)]:
        np.testing.assert_allclose(g, exact, rtol=0, atol=1e-11 * np.abs(exact).max())


def test_mapped_encode_with_cotangents_of_its_steps():
    """Steps that two samples share, and that each image has of its own."""
    rng = np.random.default_rng(1)
    image, tables = rng.uniform(0, 255, (3, 2, 3, 8, 16)), rng.uniform(5, 60, (2, 8, 8))
    weights = rng.standard_normal((2, 8, 8))

    def mapped(image, quality, tables):
        coefficients = jax.vmap(adapter.jpeg_encode, (0, 0, None))(image, quality, tables)
        return (coefficients.steps_y * weights).sum() + (coefficients.steps_c**2).sum() + coefficients.y.sum()

    with jax.enable_x64(True):
        given = [jnp.asarray(x) for x in (image, [20.0, 50, 80], tables)]
        got = jax.grad(mapped, (0, 1, 2))(*given)
        with use_backend("array_api"):
            want = jax.grad(mapped, (0, 1, 2))(*given)
    for g, exact in zip(got, want, strict=True):
        np.testing.assert_allclose(g, exact, rtol=0, atol=1e-12 * np.abs(exact).max())


def test_no_samples_but_parameters():
    """The steps of an empty batch depend on quality."""

    def steps(image, quality):
        return jnp.sum(adapter.jpeg_encode(image, quality).steps_y)

    with jax.enable_x64(True):
        empty, whole = (jax.grad(steps, 1)(jnp.ones((n, 3, 8, 8)), jnp.asarray(30.0)) for n in (0, 2))
        assert empty != 0
        np.testing.assert_allclose(empty, whole, rtol=1e-12)


def test_residuals_are_not_taken_for_nan():
    with jax.debug_nans(True):
        for g in gradients(jnp.asarray(images(np.float32)), jnp.asarray(50.0)):
            assert np.isfinite(g).all()


# --- threads ----------------------------------------------------------------------------------------------------------


def test_large_calls_from_several_threads():
    """Which share the threads of XLA, and each other's processors."""
    image = np.tile(images(np.float32), (1, 1, 10, 15))[:, :, :230, :590]
    assert image[0, 0].size * 2 > 2**18
    coded = pyjpegdiff.diff_jpeg_coding(image, 50, ste=True)
    several = jax.jit(lambda x: [adapter.diff_jpeg_coding(x, 50, ste=True) for _ in range(3)])
    equal = []

    def call():
        for _ in range(5):
            equal.extend(np.array_equal(x, coded) for x in several(image))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert equal == [True] * 45


# --- what the handler refuses -----------------------------------------------------------------------------------------

IMAGE = Call.image.offset
EMPTY = np.zeros(1, np.int64)
NO_CALL = np.zeros(Call.samples.size + 8, np.int8)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "attributes are of another version"),
        ({"call": EMPTY, "buffers": EMPTY}, "attributes are of another version"),
        ({"call": NO_CALL, "buffers": EMPTY}, "attributes are of another version"),
        ({"buffers": np.array([IMAGE, 32, SCRATCH, 16])}, "buffers differ in samples"),
        ({"buffers": np.array([IMAGE, 0, SCRATCH, 16])}, "buffers differ in samples"),
        ({"buffers": np.array([-8, 32, SCRATCH, 8])}, "a buffer has no place"),
        ({"buffers": np.array([2**40, 32, SCRATCH, 8])}, "a buffer has no place"),
        ({"buffers": np.array([IMAGE, 32, SCRATCH, 8])}, "too little scratch memory"),
        ({"buffers": np.array([IMAGE, 32, IMAGE, 8])}, "too little scratch memory"),
    ],
)
def test_what_does_not_fit_is_an_error(attributes, message):
    assert adapter.diff_jpeg_coding(jnp.zeros((3, 8, 8)), 50).shape == (3, 8, 8)  # registers the handler
    empty = np.frombuffer(bytes(Call(height=8, width=8, channels=1, rows=1, columns=1)), np.int64)
    attributes = {"call": empty} | attributes if attributes else {}
    call = jax.ffi.ffi_call(FORWARD, jax.ShapeDtypeStruct((2,), jnp.float32))
    with pytest.raises(jax.errors.JaxRuntimeError, match=message):
        jax.block_until_ready(call(jnp.zeros((8,)), **attributes))


def test_expected_is_not_by_the_kernels():
    """The tests of the adapter compare kernels with the array API."""
    given = arguments({}, np.float32)
    by_kernels = pyjpegdiff.diff_jpeg_coding(**given)
    assert not np.array_equal(expected(given, {}, by_kernels)[0], by_kernels)
