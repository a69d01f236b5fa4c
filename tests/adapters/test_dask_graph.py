"""The graphs of Dask arrays: nothing is computed early or twice, and threads are shared."""

import inspect
import math
import threading

import numpy as np
import pytest

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

import pyjpegdiff  # noqa: E402
from pyjpegdiff import backends, get_num_threads, set_num_threads  # noqa: E402
from pyjpegdiff.adapters import dask as adapter  # noqa: E402
from pyjpegdiff.backends.array_api import ArrayAPI  # noqa: E402
from pyjpegdiff.backends.threads import cpus  # noqa: E402
from tests.samples import photo_like  # noqa: E402

IMAGE = photo_like(np.random.default_rng(0), (4, 3, 24, 40))
WRT = ("image_rgb", "jpeg_quality", "quantization_table_y")


class Watching(ArrayAPI):
    """The array API's results, and which calls there were."""

    name = "watching"
    automatic = False

    def __init__(self):
        self.calls = []
        self.lock = threading.Lock()
        self.available = True

    def is_available(self):
        return self.available

    def forward(self, operation, plan, size, xp, inputs, needs):
        with self.lock:
            self.calls.append((operation.name, inputs[0].shape[0], get_num_threads()))
        return super().forward(operation, plan, size, xp, inputs, needs)

    def vjp(self, operation, *rest):
        with self.lock:
            self.calls.append((f"{operation.name}-vjp", None, get_num_threads()))
        return super().vjp(operation, *rest)


@pytest.fixture
def watching():
    """A backend that is named for the test."""
    backend = Watching()
    backends.register(backend)
    with backends.use_backend("watching"):
        yield backend


def lazy(chunk=1):
    return da.from_array(IMAGE, chunks=(chunk, -1, -1, -1))


def test_nothing_is_computed_early(watching):
    def computed(block):
        raise AssertionError("computed")

    image = lazy().map_blocks(computed, meta=np.empty((0,) * 4))
    quality = da.ones(4, chunks=1).map_blocks(computed, meta=np.empty(0))
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, quality, wrt=WRT)
    gradients = vjp(result - image)
    coefficients, vjp = pyjpegdiff.jpeg_encode_vjp(image, quality, wrt=WRT)
    of_encoding = vjp(coefficients)
    decoded, vjp = pyjpegdiff.jpeg_decode_vjp(coefficients)
    found = [result, *gradients[:3], *coefficients[:5], *of_encoding[:3], decoded, *vjp(decoded).coefficients[:5]]
    assert all(isinstance(x, da.Array) and x.dtype == np.float64 and not any(map(math.isnan, x.shape)) for x in found)
    assert all(type(x._meta) is np.ndarray and x._meta.dtype == x.dtype and x._meta.ndim == x.ndim for x in found)
    assert watching.calls == []
    for x in found:
        with pytest.raises(AssertionError, match="computed"):
            x.compute(scheduler="synchronous")


def test_image_and_gradients_share_a_forward_pass(watching):
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(2), 50, wrt=WRT)
    dask.compute(result, *vjp(result - lazy(2))[:3], scheduler="synchronous")
    assert sorted(name for name, *_ in watching.calls) == ["code"] * 2 + ["code-vjp"] * 2
    watching.calls.clear()
    dask.compute(pyjpegdiff.jpeg_encode(lazy(2), 50), scheduler="synchronous")
    assert [name for name, *_ in watching.calls] == ["encode"] * 2


def test_only_the_chunks_that_are_asked_for_are_computed(watching):
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(), 50)
    np.testing.assert_array_equal(result[2].compute(scheduler="synchronous"), pyjpegdiff.diff_jpeg_coding(IMAGE[2], 50))
    assert watching.calls[0][:2] == ("code", 1)
    assert len(watching.calls) == 2  # that, and NumPy's
    watching.calls.clear()
    vjp(result)[0][:2].compute(scheduler="synchronous")
    assert sorted(name for name, *_ in watching.calls) == ["code"] * 2 + ["code-vjp"] * 2


@pytest.mark.parametrize("chunk", [1, 2, 4])
@pytest.mark.parametrize("count", [1, 2, 16])
def test_chunks_share_the_cpus(watching, monkeypatch, chunk, count):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: set(range(count)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "16")
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(chunk), 50)
    vjp(result)[0].compute(scheduler="synchronous")
    chunks = 4 // chunk
    assert {threads for *_, threads in watching.calls} == {min(max(1, count // chunks), get_num_threads())}
    assert len(watching.calls) == 2 * chunks
    assert cpus() == count


def test_a_chosen_number_of_threads_is_kept(watching):
    set_num_threads(1)
    try:
        pyjpegdiff.diff_jpeg_coding(lazy(4), 50).compute(scheduler="synchronous")
    finally:
        set_num_threads(None)
    assert watching.calls == [("code", 4, 1)]


@pytest.mark.parametrize("scheduler", ["synchronous", "threads"])
def test_schedulers_agree(scheduler):
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(), 50, ste=True, wrt=WRT)
    found = dask.compute(result, *vjp(result)[:3], scheduler=scheduler)
    want = dask.compute(result, *vjp(result)[:3], scheduler="synchronous")
    for x, y in zip(found, want, strict=True):
        np.testing.assert_array_equal(x, y)
    np.testing.assert_array_equal(found[0], pyjpegdiff.diff_jpeg_coding(IMAGE, 50, ste=True))


def test_equal_calls_have_equal_names_and_others_do_not():
    """Dask takes arrays of one name for the same."""
    names = set()
    for options in ({}, {"ste": True}, {"subsampling": "4:4:4"}, {"data_range": 200}, {"rounding": "sine"}):
        one, two = (pyjpegdiff.diff_jpeg_coding(lazy(), 50, **options) for _ in range(2))
        assert one.name == two.name
        names.add(one.name)
    names.add(pyjpegdiff.diff_jpeg_coding(lazy(), 51).name)
    names.add(pyjpegdiff.diff_jpeg_coding(lazy(2), 50).name)
    with backends.use_backend("array_api"):
        names.add(pyjpegdiff.diff_jpeg_coding(lazy(), 50).name)
    assert len(names) == 8


def test_later_changes_of_the_callers_arrays_do_not_matter():
    quality, cotangent = np.linspace(20, 80, 4), np.ones_like(IMAGE)
    want, of_numpy = pyjpegdiff.diff_jpeg_coding_vjp(IMAGE, quality, flooring="identity", wrt=WRT)
    wanted = of_numpy(cotangent)
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(), quality, flooring="identity", wrt=WRT)
    quality[:] = 1
    gradients = vjp(cotangent)
    cotangent[:] = 0
    np.testing.assert_array_equal(result.compute(), want)
    np.testing.assert_array_equal(gradients.image_rgb.compute(), wanted.image_rgb)
    np.testing.assert_array_equal(gradients.jpeg_quality.compute(), wanted.jpeg_quality)
    assert abs(wanted.jpeg_quality).min() > 0


def test_the_callers_arrays_are_not_written_to():
    image = lazy()
    before = (image.name, IMAGE.copy())
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(image, 50, wrt=WRT)
    dask.compute(vjp(result)[:3])
    assert image.name == before[0]
    np.testing.assert_array_equal(IMAGE, before[1])


def test_a_vjp_keeps_the_backend_of_its_forward(watching):
    result, vjp = pyjpegdiff.diff_jpeg_coding_vjp(lazy(4), 50)
    with backends.use_backend("array_api"):
        vjp(result)[0].compute(scheduler="synchronous")
    assert [name for name, *_ in watching.calls] == ["code", "code-vjp"]


def test_a_worker_without_the_backend_says_so(watching):
    result = pyjpegdiff.diff_jpeg_coding(lazy(), 50)
    watching.available = False
    with pytest.raises(RuntimeError, match=r"backend 'watching'.*is not available on this worker.*install"):
        result.compute(scheduler="synchronous")


def test_values_are_not_looked_at():
    """Neither computed nor warned of: warnings are errors here."""
    assert (pyjpegdiff.diff_jpeg_coding(lazy() / 255, 50).compute() >= 0).any()


@pytest.mark.parametrize("name", adapter.__all__)
def test_signatures_are_those_of_the_package(name):
    assert inspect.signature(getattr(adapter, name)) == inspect.signature(getattr(pyjpegdiff, name))
    assert getattr(adapter, name).__module__ == "pyjpegdiff.adapters.dask"
