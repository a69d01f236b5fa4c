"""Dask arrays in chunks against the same NumPy arrays whole: values, and gradients, which sum over chunks."""

import itertools

import numpy as np
import pytest

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

import pyjpegdiff  # noqa: E402
from pyjpegdiff import Coefficients, backends  # noqa: E402
from pyjpegdiff.adapters import dask as adapter  # noqa: E402
from tests.chunks import BATCHES, assert_same, cut, leaves  # noqa: E402
from tests.samples import HOST_BACKENDS, MODES, batch_shapes_within, parameters, photo_like  # noqa: E402

CODING = ("image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c", "color_matrix", "color_offset")
DECODING = ("coefficients", "color_matrix", "color_offset")
LAYOUTS = [(-3, 3), (-1, 3), (-2, 3), ("first", 3), (-3, 1), (None, 1)]
"""Channel axis and number of channels."""
CASES = [
    pytest.param(batch, chunks, *layout, number, id=f"{batch}-{chunks}-{layout[0]}-{layout[1]}")
    for number, ((batch, chunks), layout) in enumerate(
        itertools.product([(b, c) for b, cuts in BATCHES.items() for c in cuts], LAYOUTS)
    )
]


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def moved(image, channel_axis):
    """(..., C, H, W) in another layout."""
    return image[..., 0, :, :] if channel_axis is None else np.ascontiguousarray(np.moveaxis(image, -3, channel_axis))


@pytest.mark.parametrize(("batch", "chunks", "channel_axis", "channels", "number"), CASES)
def test_chunks_equal_the_whole(batch, chunks, channel_axis, channels, number):
    """Each operation, its VJP, and parameters of any batch axes: NumPy's, Dask's in other chunks, or numbers."""
    rng = np.random.default_rng(number)
    mode, dtype = MODES[number % 3], ("float64", "float32", "uint8", "float16")[number // 3 % 4]
    channel_axis = -3 - len(batch) if channel_axis == "first" else channel_axis
    before = 1 if channel_axis == -3 - len(batch) else 0
    options = {"channel_axis": channel_axis, **mode}
    image = moved(photo_like(rng, (*batch, channels, 19, 27)), channel_axis).astype(dtype)
    lazy = cut(image, chunks, before)
    values = dict(zip(CODING[1:], map(np.asarray, parameters(rng, 60, batch_shapes_within(rng, batch))), strict=True))
    gray, exact = channels == 1, mode.get("arithmetic") == "libjpeg"
    left = [name for name in values if not (gray and name not in CODING[1:3]) and not (exact and "color" in name)]
    values = {name: values[name] for name in left}
    lazy_values = {}
    for name, value in values.items():
        kind = rng.integers(3)
        lazy_values[name] = value if kind == 0 else da.from_array(value, chunks=-1 if kind == 1 else 1)
    wrt = ("image_rgb", *values)
    # Sums over samples and pixels, in another order: an eps per term at most, of terms as large as the result.
    sums = image.size * np.finfo("float64" if dtype == "float64" else "float32").eps

    want, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, wrt=wrt, **options, **values)
    found, lazy_vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy, wrt=wrt, **options, **lazy_values)
    assert_same(found, want)
    assert_same(pyjpegdiff.diff_jpeg_coding(lazy, **options, **lazy_values), want)
    batch_axes = tuple(range(before, before + len(batch)))
    assert [found.chunks[axis] for axis in batch_axes] == [tuple(lengths) for lengths in chunks]
    cotangent = rng.standard_normal(image.shape).astype(want.dtype)
    of_image, *others = vjp(cotangent)
    lazy_image, *lazy_others = lazy_vjp(cut(cotangent, chunks, before) if number % 2 else cotangent)
    assert_same(lazy_image, of_image)
    assert_same(tuple(lazy_others), tuple(others), sums)

    want, vjp = pyjpegdiff.jpeg_encode_vjp(image, wrt=wrt, **options, **values)
    found, lazy_vjp = pyjpegdiff.jpeg_encode_vjp(lazy, wrt=wrt, **options, **lazy_values)
    assert_same(found, want)
    assert_same(pyjpegdiff.jpeg_encode(lazy, **options, **lazy_values), want)
    assert (found.size, found.subsampling) == (want.size, want.subsampling)
    cotangents = Coefficients(*[rng.standard_normal(x.shape) if hasattr(x, "shape") else x for x in want])
    of_image, *others = vjp(cotangents)
    lazy_image, *lazy_others = lazy_vjp(
        cotangents._replace(y=cut(cotangents.y, chunks), steps_y=da.from_array(cotangents.steps_y, chunks=1))
        if number % 2 else cotangents
    )  # fmt: skip
    assert_same(lazy_image, of_image)
    assert_same(tuple(lazy_others), tuple(others), sums)

    options |= {name: value for name, value in values.items() if "color" in name}
    wrt = tuple(name for name in DECODING if name in ("coefficients", *options))
    blocks = want._replace(y=cut(want.y, chunks), cb=want.cb if gray or number % 2 else cut(want.cb, chunks))
    want_image, vjp = pyjpegdiff.jpeg_decode_vjp(want, wrt=wrt, **options)
    for coefficients in (blocks, found):
        decoded, lazy_vjp = pyjpegdiff.jpeg_decode_vjp(coefficients, wrt=wrt, **options)
        assert_same(decoded, want_image)
    assert_same(pyjpegdiff.jpeg_decode(blocks, **options), want_image)
    cotangent = rng.standard_normal(want_image.shape)
    gradients, lazy_gradients = vjp(cotangent), lazy_vjp(da.from_array(cotangent))
    for name in ("y", "cb", "cr"):
        if not (gray and name != "y"):
            assert_same(getattr(lazy_gradients.coefficients, name), getattr(gradients.coefficients, name))
    assert_same(tuple(lazy_gradients), tuple(gradients), sums)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_shared_cotangents_are_the_sum_over_chunks(backend, dtype):
    """Of what each chunk has alone, exactly summed; rounding errors of n - 1 additions are allowed."""
    rng = np.random.default_rng(0)
    image = photo_like(rng, (7, 3, 24, 40), dtype)
    values = {name: x.astype(dtype) for name, x in zip(CODING[1:], parameters(rng, 60), strict=True)}
    cotangent = rng.standard_normal(image.shape).astype(dtype)
    chunks = (3, 1, 2, 1)
    with backends.use_backend(backend):
        _, vjp = pyjpegdiff.diff_jpeg_coding_vjp(cut(image, [chunks]), wrt=CODING, **values)
        found = vjp(cut(cotangent, [chunks]))
        parts = []
        for stop, length in zip(np.cumsum(chunks), chunks, strict=True):
            rows = slice(stop - length, stop)
            parts.append(pyjpegdiff.diff_jpeg_coding_vjp(image[rows], wrt=CODING, **values)[1](cotangent[rows]))
    np.testing.assert_array_equal(found.image_rgb.compute(), np.concatenate([part.image_rgb for part in parts]))
    for name in CODING[1:]:
        terms = np.stack([getattr(part, name) for part in parts]).astype(np.longdouble)
        atol = (len(chunks) - 1) * np.finfo(dtype).eps * abs(terms).sum(0)
        got = getattr(found, name).compute()
        assert got.dtype == dtype
        assert (abs(got - terms.sum(0)) <= atol).all(), name
        assert abs(terms.sum(0)).max() > 0


@pytest.mark.parametrize("chunks", [(4,), (1, 1, 2), (0, 3, 1), (2, 0, 2)])
@pytest.mark.parametrize("backend", HOST_BACKENDS)
def test_cotangents_of_shared_steps_count_once(backend, chunks):
    """However many chunks there are, and wherever empty ones."""
    image = photo_like(np.random.default_rng(0), (4, 3, 16, 16))
    choices = {"flooring": "identity", "wrt": ("jpeg_quality", "quantization_table_y")}
    for quality in (60.0, np.full(1, 60.0)):
        with backends.use_backend(backend):
            want, of_numpy = pyjpegdiff.jpeg_encode_vjp(image, quality, **choices)
            found, vjp = pyjpegdiff.jpeg_encode_vjp(cut(image, [chunks]), quality, **choices)
        assert_same(found, want)
        nothing = want._replace(y=None, cb=None, cr=None, steps_c=None)
        cotangent = np.arange(1.0, 65).reshape(want.steps_y.shape)
        gradients = of_numpy(nothing._replace(steps_y=cotangent))
        assert_same(vjp(nothing._replace(steps_y=da.from_array(cotangent))), gradients)
        assert gradients.jpeg_quality != 0


def test_sums_of_float16_parameters_are_those_of_float32():
    rng = np.random.default_rng(0)
    image, table = photo_like(rng, (64, 3, 16, 16), np.float32), rng.uniform(5, 60, (8, 8)).astype(np.float16)
    _, vjp = pyjpegdiff.diff_jpeg_coding_vjp(cut(image, [(1,) * 64]), 60, table, wrt=("quantization_table_y",))
    _, of_numpy = pyjpegdiff.diff_jpeg_coding_vjp(image, 60, table, wrt=("quantization_table_y",))
    want = of_numpy(image).quantization_table_y
    found = vjp(cut(image, [(1,) * 64])).quantization_table_y
    assert found.dtype == want.dtype == np.float16
    np.testing.assert_array_max_ulp(found.compute(), want, 1)


def test_own_surrogates_data_range_and_subsamplings():
    rng = np.random.default_rng(0)
    image = photo_like(rng, (4, 3, 20, 28)) / 255
    lazy = cut(image, [(1, 3)])
    for subsampling in ("4:2:0", "4:2:2", "4:4:0", "4:4:4"):
        for rounding in ("sine", (np.round, np.ones_like)):
            options = {"subsampling": subsampling, "rounding": rounding, "data_range": 1}
            want, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, 50, **options)
            found, lazy_vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy, 50, **options)
            assert_same(found, want)
            assert_same(lazy_vjp(lazy).image_rgb, vjp(image).image_rgb)


def test_arrays_in_a_file_are_taken_as_numpys_are(tmp_path):
    """Also alone, by the adapter's own function: as one chunk."""
    image = np.memmap(tmp_path / "image", np.uint8, "w+", shape=(2, 3, 16, 16))
    image[:] = np.random.default_rng(0).integers(0, 256, image.shape)
    quality = np.memmap(tmp_path / "quality", np.float64, "w+", shape=(1, 2))
    quality[:] = 30, 70
    want = pyjpegdiff.diff_jpeg_coding(image, quality)
    assert_same(pyjpegdiff.diff_jpeg_coding(cut(np.array(image), [(1, 1)]), quality), want)
    assert_same(adapter.diff_jpeg_coding(image, quality), want)


def test_without_any_cotangent_gradients_are_zero():
    coefficients, vjp = pyjpegdiff.jpeg_encode_vjp(WHOLE, 50, wrt=CODING[:3])
    nothing = coefficients._replace(y=None, cb=None, cr=None, steps_y=None, steps_c=None)
    for found in dask.compute(*vjp(nothing)[:3]):
        assert not found.any()


# --- refused ----------------------------------------------------------------------------------------------------------

WHOLE = da.zeros((2, 3, 16, 16), chunks=(1, -1, -1, -1))


@pytest.mark.parametrize(
    ("chunks", "channel_axis", "says"),
    [
        ((1, 1, 16, 16), -3, r"image_rgb must.*got chunks \{-3: \(1, 1, 1\)\}.*rechunk\(\{-3: -1\}\) puts each image"),
        ((1, 3, 8, 16), -3, r"got chunks \{-2: \(8, 8\)\}.*rechunk\(\{-2: -1\}\)"),
        ((1, 3, 8, 8), -3, r"got chunks \{-2: \(8, 8\), -1: \(8, 8\)\}.*rechunk\(\{-2: -1, -1: -1\}\)"),
        ((1, 16, 8, 3), -1, r"got chunks \{-2: \(8, 8\)\}"),
        ((2, 3, 8, 16), -3, r"got chunks \{-2: \(8, 8\)\}"),
    ],
)
@pytest.mark.parametrize("function", ["diff_jpeg_coding", "diff_jpeg_coding_vjp", "jpeg_encode", "jpeg_encode_vjp"])
def test_images_that_are_cut_are_refused(function, chunks, channel_axis, says):
    shape = (2, 3, 16, 16) if channel_axis == -3 else (2, 16, 16, 3)
    image = da.zeros(shape, chunks=chunks)
    with pytest.raises(ValueError, match=says):
        getattr(pyjpegdiff, function)(image, 50, channel_axis=channel_axis)
    whole = image.rechunk({-3: -1, -2: -1, -1: -1})
    assert leaves(getattr(pyjpegdiff, function)(whole, 50, channel_axis=channel_axis))


def test_cut_blocks_and_cotangents_are_refused():
    coefficients, vjp = pyjpegdiff.jpeg_encode_vjp(WHOLE, 50)
    for name in ("y", "cb", "cr"):
        blocks = getattr(coefficients, name).rechunk({-1: 4})
        with pytest.raises(ValueError, match=rf"^coefficients\.{name} must be cut into chunks along batch axes only"):
            pyjpegdiff.jpeg_decode(coefficients._replace(**{name: blocks}))
        with pytest.raises(ValueError, match=rf"^cotangent\.{name} must be cut into chunks along batch axes only"):
            vjp(coefficients._replace(**{name: blocks}))
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(WHOLE, 50)
    with pytest.raises(ValueError, match=r"^cotangent must be cut .* \{-1: \(8, 8\)\}"):
        vjp(result.rechunk({-1: 8}))
    assert vjp(result.rechunk({0: 2})).image_rgb.chunks == WHOLE.chunks


def test_unknown_lengths_are_refused():
    unknown = WHOLE[da.from_array(np.array([True, False]))]
    with pytest.raises(ValueError, match=r"image_rgb must have axes of known lengths.*nan.*compute_chunk_sizes\(\)"):
        pyjpegdiff.diff_jpeg_coding(unknown, 50)
    with pytest.raises(ValueError, match=r"^jpeg_quality must have axes of known lengths"):
        pyjpegdiff.diff_jpeg_coding(WHOLE, unknown[:, 0, 0, 0])
    coefficients = pyjpegdiff.jpeg_encode(WHOLE, 50)
    for name in ("y", "cb", "steps_y"):
        strange = da.zeros((2, 8, 8))[da.from_array(np.array([True, False]))]
        with pytest.raises(ValueError, match=rf"^coefficients\.{name} must have axes of known lengths"):
            pyjpegdiff.jpeg_decode(coefficients._replace(**{name: strange}))
    assert pyjpegdiff.diff_jpeg_coding(unknown.compute_chunk_sizes(), 50).compute().shape == (1, 3, 16, 16)


def test_chunks_of_other_arrays_are_refused():
    masked = WHOLE.map_blocks(np.ma.masked_array, meta=np.ma.masked_array(np.empty((0, 0, 0, 0))))
    with pytest.raises(TypeError, match=r"image_rgb must be a dask\.array\.Array of numpy\.ndarray chunks, got dask"):
        pyjpegdiff.diff_jpeg_coding(masked, 50)
    with pytest.raises(TypeError, match="jpeg_quality must be an int, a float or a dask"):
        pyjpegdiff.diff_jpeg_coding(WHOLE, masked[:, 0, 0, 0])
    with pytest.raises(TypeError, match=r"image_rgb must be a plain array, got numpy\.ma.*MaskedArray"):
        adapter.diff_jpeg_coding(np.ma.masked_array(np.zeros((3, 8, 8))), 50)
    with pytest.raises(TypeError, match=r"image_rgb must have an integer or a floating dtype.*complex"):
        pyjpegdiff.diff_jpeg_coding(WHOLE.astype(complex), 50)


@pytest.mark.parametrize("function", ["diff_jpeg_coding", "diff_jpeg_coding_vjp", "jpeg_encode", "jpeg_encode_vjp"])
def test_a_dask_parameter_of_a_numpy_image_is_refused(function):
    with pytest.raises(TypeError, match=r"jpeg_quality must be an int, a float or a numpy\.ndarray, got dask"):
        getattr(pyjpegdiff, function)(np.zeros((3, 8, 8)), da.from_array(np.array(50.0)))


def test_a_dask_cotangent_of_a_numpy_result_is_refused():
    _, vjp = pyjpegdiff.diff_jpeg_coding_vjp(np.zeros((3, 16, 16)), 50)
    with pytest.raises(TypeError, match=r"cotangent must be a numpy\.ndarray, got dask"):
        vjp(WHOLE[0])


def test_wrong_arguments_are_named_as_numpys_are():
    with pytest.raises(ValueError, match=r"jpeg_quality must be a number.*batch shape \(2,\), got shape \(3,\)"):
        pyjpegdiff.diff_jpeg_coding(WHOLE, da.ones(3))
    with pytest.raises(ValueError, match=r"jpeg_quality must be in 1..100, got 0"):
        pyjpegdiff.diff_jpeg_coding(WHOLE, 0)
    with pytest.raises(ValueError, match="wrt must name arguments"):
        pyjpegdiff.diff_jpeg_coding_vjp(WHOLE, 50, wrt=("quality",))
    with pytest.raises(TypeError, match="coefficients must be Coefficients"):
        adapter.jpeg_decode(WHOLE)
    with pytest.raises(TypeError, match="jpeg_quality"):
        adapter.diff_jpeg_coding(WHOLE)
