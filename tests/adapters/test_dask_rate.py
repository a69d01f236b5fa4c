"""The bits of coefficients in chunks against those of the same NumPy arrays whole."""

import numpy as np
import pytest

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

import pyjpegdiff  # noqa: E402
from pyjpegdiff import Coefficients, jpeg_encode, jpeg_rate, jpeg_rate_vjp  # noqa: E402
from tests.chunks import BATCHES, assert_same, cut  # noqa: E402
from tests.samples import SAMPLINGS, photo_like  # noqa: E402

CUTS = [(batch, chunks) for batch, cuts in BATCHES.items() for chunks in cuts]


@pytest.fixture(autouse=True)
def _one_thread():
    with dask.config.set(scheduler="synchronous"):
        yield


def coefficients_of(batch, subsampling, dtype="float32", rounding="cubic", ste=True):
    channels = 1 if subsampling is None else 3
    image = photo_like(np.random.default_rng(0), (*batch, channels, 19, 37)).astype(dtype)
    return jpeg_encode(image, 60, ste=ste, rounding=rounding, subsampling=subsampling or "4:2:0")


def chunked(coefficients, chunks):
    return Coefficients(*[cut(x, chunks) if getattr(x, "ndim", 0) > 3 else x for x in coefficients])


@pytest.mark.parametrize("huffman", ["standard", "optimized"])
@pytest.mark.parametrize(("batch", "chunks"), CUTS, ids=str)
def test_chunks_equal_the_whole(batch, chunks, huffman):
    number = CUTS.index((batch, chunks))
    subsampling, dtype = [*SAMPLINGS, None][number % 5], ("float32", "float64", "float16")[number % 3]
    coefficients = coefficients_of(batch, subsampling, dtype, "identity", ste=False)
    want, vjp = jpeg_rate_vjp(coefficients, huffman=huffman)
    lazy = chunked(coefficients, chunks)
    found, lazy_vjp = jpeg_rate_vjp(lazy, huffman=huffman)
    assert_same(found, want)
    assert_same(jpeg_rate(lazy, huffman=huffman), want)
    assert found.chunks == tuple(tuple(lengths) for lengths in chunks)
    cotangent = np.random.default_rng(1).standard_normal(want.shape)
    assert_same(lazy_vjp(cotangent), vjp(cotangent))
    assert_same(lazy_vjp(da.from_array(cotangent, chunks=1 if cotangent.ndim else -1)), vjp(cotangent))


@pytest.mark.parametrize("subsampling", [*SAMPLINGS, None])
def test_subsamplings_through_encode(subsampling):
    """One graph from images to bits, and from a cotangent of the bits to the gradient of the quality of each."""
    channels = 1 if subsampling is None else 3
    images = photo_like(np.random.default_rng(0), (3, channels, 24, 40))
    quality = np.array([20.0, 50.0, 80.0])
    choices = {"ste": True, "wrt": ("jpeg_quality",), "subsampling": subsampling or "4:2:0"}

    def run(images, ones):
        coefficients, encode_vjp = pyjpegdiff.jpeg_encode_vjp(images, quality, **choices)
        bits, vjp = jpeg_rate_vjp(coefficients)
        return bits, encode_vjp(vjp(ones)).jpeg_quality

    want = run(images, np.ones(3))
    assert_same(run(da.from_array(images, chunks=(2, -1, -1, -1)), da.ones(3, chunks=1)), want, sums=1e-12)


def test_errors():
    coefficients = coefficients_of((2,), "4:2:0")
    rows_cut = coefficients._replace(y=da.from_array(coefficients.y, chunks=(1, 1, -1, -1, -1)))
    with pytest.raises(ValueError, match=r"coefficients\.y must be cut into chunks along batch axes only"):
        jpeg_rate(rows_cut)
    with pytest.raises(ValueError, match="huffman must be one of"):
        jpeg_rate(chunked(coefficients, ((1, 1),)), huffman="best")
    lazy = chunked(coefficients, ((1, 1),))
    _, vjp = jpeg_rate_vjp(lazy)
    with pytest.raises(ValueError, match=r"cotangent must have the output's shape \(2,\), got \(3,\)"):
        vjp(np.ones(3))
    beyond = jpeg_rate(lazy._replace(y=5000 * da.ones_like(lazy.y)))
    with pytest.raises(ValueError, match=r"coefficients\.y must hold"):
        beyond.compute()
