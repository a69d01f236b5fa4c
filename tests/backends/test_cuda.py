"""On a GPU: each library that brings arrays there, by the CUDA kernels and by the array API. Skipped without one."""

import time

import numpy as np
import pytest

from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_decode_vjp, jpeg_encode_vjp
from pyjpegdiff.backends import use_backend
from tests.photos import photo, pillow
from tests.samples import MODES, SAMPLINGS

WRT = ("image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c")


class CuPy:
    """Arrays of CuPy."""

    def __init__(self):
        self.cupy = pytest.importorskip("cupy", reason="CuPy is not installed: not run on a GPU")
        try:
            self.cupy.zeros(1)
        except self.cupy.cuda.runtime.CUDARuntimeError:
            pytest.skip("CuPy has no device here: not run on a GPU")

    def array(self, values):
        return self.cupy.asarray(values)

    def numpy(self, array):
        return array.get()

    def new_stream(self):
        return self.cupy.cuda.Stream(non_blocking=True)

    def on(self, stream):
        return stream

    def is_done(self, stream):
        return stream.done

    def wait(self):
        self.cupy.cuda.runtime.deviceSynchronize()

    def stall(self):
        """Occupy the current stream for about a third of a second."""
        code = (
            'extern "C" __global__ void stall() { long long start = clock64(); while (clock64() - start < 500000000); }'
        )
        self.cupy.RawKernel(code, "stall")((1,), (1,), ())

    def captured(self, function):
        stream = self.new_stream()
        with stream:
            stream.begin_capture()
            results = function()
            graph = stream.end_capture()
            graph.launch()
            stream.synchronize()
        return results


class Torch:
    """Tensors of torch."""

    def __init__(self):
        self.torch = pytest.importorskip("torch")
        if not self.torch.cuda.is_available():
            pytest.skip("torch has no CUDA device here: not run on a GPU")

    def array(self, values):
        return self.torch.asarray(values, device="cuda")

    def numpy(self, array):
        return array.cpu().numpy()

    def new_stream(self):
        return self.torch.cuda.Stream()

    def on(self, stream):
        return self.torch.cuda.stream(stream)

    def is_done(self, stream):
        return stream.query()

    def wait(self):
        self.torch.cuda.synchronize()

    def stall(self):
        self.torch.cuda._sleep(500_000_000)

    def captured(self, function):
        graph = self.torch.cuda.CUDAGraph()
        with self.torch.cuda.graph(graph):
            results = function()
        graph.replay()
        self.wait()
        return results


@pytest.fixture(params=["cupy", "torch"])
def library(request):
    return CuPy() if request.param == "cupy" else Torch()


@pytest.fixture(params=["cuda_kernels", "array_api"], autouse=True)
def backend(request, library):
    if request.param == "cuda_kernels":
        pytest.importorskip("cupy", reason="CuPy, which launches the CUDA kernels, is not installed")
    with use_backend(request.param):
        yield request.param


def batch(dtype=np.float32, height=131, width=203):
    image = np.moveaxis(photo("astronaut"), -1, 0)[:, :height, :width]
    return np.stack([image, image[:, ::-1]]).astype(dtype)


def parameters(dtype):
    rng = np.random.default_rng(0)
    return [rng.uniform(20, 80, 2).astype(dtype), *rng.uniform(5, 60, (2, 8, 8)).astype(dtype)]


def pulled(function, image, rest, **choices):
    coded, vjp = function(image, *rest, wrt=WRT, **choices)
    gradients = vjp(coded - image)
    return [coded, *(getattr(gradients, name) for name in WRT)]


@pytest.mark.parametrize("subsampling", [*SAMPLINGS, "gray"])
@pytest.mark.parametrize("mode", MODES)
def test_results_are_numpys(library, mode, subsampling):
    image, rest = batch(np.float64), parameters(np.float64)
    # Off the integers, whose luma is a multiple of 1/1000 and may be a tie.
    image = image if "arithmetic" in mode else image + 0.1234567
    choices, wrt = {**mode, "subsampling": subsampling}, WRT
    if subsampling == "gray":
        image, choices, wrt = image[:, 0], {**mode, "channel_axis": None}, WRT[:3]
    with use_backend("numpy_strips"):
        want, vjp = diff_jpeg_coding_vjp(image, *rest, wrt=wrt, **choices)
    given = library.array(image)
    got, their_vjp = diff_jpeg_coding_vjp(given, *map(library.array, rest), wrt=wrt, **choices)
    if "arithmetic" in mode:
        np.testing.assert_array_equal(library.numpy(got), want)
    else:
        assert (np.abs(library.numpy(got) - want) > 1e-6).mean() <= 1e-3
    for name in wrt:
        g = getattr(vjp(want - image), name)
        theirs = library.numpy(getattr(their_vjp(library.array(want) - given), name))
        assert theirs.shape == g.shape
        difference = np.abs(theirs - g) / np.abs(g).max()
        assert (difference > 1e-6).mean() <= (0 if "arithmetic" in mode else 1e-2)


@pytest.mark.parametrize("mode", MODES)
def test_encode_and_decode_are_numpys(library, mode):
    image, rest = batch(np.float64), parameters(np.float64)
    image = image if "arithmetic" in mode else image + 0.1234567
    with use_backend("numpy_strips"):
        want, encode_vjp = jpeg_encode_vjp(image, *rest, wrt=WRT, **mode)
        decoded, decode_vjp = jpeg_decode_vjp(want, **mode)
        halves = decode_vjp(image)
        gradients = encode_vjp(halves.coefficients)
    got, their_encode_vjp = jpeg_encode_vjp(library.array(image), *map(library.array, rest), wrt=WRT, **mode)
    on_device = want._replace(**{name: library.array(getattr(want, name)) for name in want._fields[:5]})
    their_decoded, their_decode_vjp = jpeg_decode_vjp(on_device, **mode)
    their_halves = their_decode_vjp(library.array(image))
    theirs = their_encode_vjp(their_halves.coefficients)
    pairs = [*zip(got[:5], want[:5], strict=True), (their_decoded, decoded)]
    pairs += zip(their_halves.coefficients[:5], halves.coefficients[:5], strict=True)
    pairs += [(getattr(theirs, name), getattr(gradients, name)) for name in WRT]
    for a, b in pairs:
        assert a.shape == b.shape
        difference = np.abs(library.numpy(a) - b) / np.abs(b).max()
        assert (difference > 1e-6).mean() <= (0 if "arithmetic" in mode else 1e-2)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_libjpeg_arithmetic_is_pillows_whatever_the_precision(library, subsampling, monkeypatch):
    monkeypatch.setenv("CUPY_TF32", "1")
    image = photo("chelsea")[:101, :77]
    choices = {"arithmetic": "libjpeg", "subsampling": subsampling, "channel_axis": -1}
    torch = library.torch if isinstance(library, Torch) else None
    before = torch and torch.get_float32_matmul_precision()
    try:
        if torch:
            torch.set_float32_matmul_precision("medium")
        for dtype in (np.uint8, np.float32, np.float64):
            coded = diff_jpeg_coding(library.array(image.astype(dtype)), 60, **choices)
            np.testing.assert_array_equal(library.numpy(coded), pillow(image, 60, subsampling))
    finally:
        if torch:
            torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("mode", MODES)
def test_on_the_callers_stream_without_waiting_for_it(library, mode):
    image, rest = library.array(batch()), [library.array(x) for x in parameters(np.float32)]
    function = diff_jpeg_coding_vjp
    want = [library.numpy(x) for x in pulled(function, image, rest, **mode)]
    diff_jpeg_coding(image, 50, **mode)  # sends what a number and default tables need
    library.wait()
    stream = library.new_stream()
    with library.on(stream):
        library.stall()
        late = image + 0  # not there before the stall is over
        start = time.perf_counter()
        got = pulled(function, late, rest, **mode)
        by_number = diff_jpeg_coding(late, 50, **mode)
        assert not library.is_done(stream), f"waited, or took {time.perf_counter() - start:.2f} s to launch"
    library.wait()
    assert np.isfinite(library.numpy(by_number)).all()
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(library.numpy(a), b)


@pytest.mark.parametrize("mode", MODES)
def test_torch_sees_no_synchronization(library, mode):
    if not isinstance(library, Torch):
        pytest.skip("CuPy has no such watch")
    image = library.array(batch()).requires_grad_()
    for attempt in range(2):
        library.torch.cuda.set_sync_debug_mode("error" if attempt else "default")
        try:
            diff_jpeg_coding(image, 50, **mode).square().mean().backward()
        finally:
            library.torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("mode", MODES)
def test_captured_in_a_graph(library, mode):
    image, rest = library.array(batch()), [library.array(x) for x in parameters(np.float32)]

    def work():
        return pulled(diff_jpeg_coding_vjp, image, rest, **mode)

    want = [library.numpy(x) for x in work()]
    for a, b in zip(library.captured(work), want, strict=True):
        np.testing.assert_array_equal(library.numpy(a), b)


def test_results_are_the_same_every_time(library):
    image, rest = library.array(batch()), [library.array(x) for x in parameters(np.float32)]
    first, second = (pulled(diff_jpeg_coding_vjp, image, rest, ste=True) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(library.numpy(a), library.numpy(b))


def test_on_the_device_of_the_array(library):
    """Torch's need not be the current device, CuPy's has to be."""
    here = library.numpy(diff_jpeg_coding(library.array(batch()), 50))
    if isinstance(library, Torch):
        if library.torch.cuda.device_count() < 2:
            pytest.skip("there is one device")
        coded = diff_jpeg_coding(library.array(batch()).to("cuda:1"), 50)
        assert coded.device.index == 1
        np.testing.assert_array_equal(library.numpy(coded), here)
    else:
        if library.cupy.cuda.runtime.getDeviceCount() < 2:
            pytest.skip("there is one device")
        with library.cupy.cuda.Device(1):
            coded = diff_jpeg_coding(library.array(batch()), 50)
            assert coded.device.id == 1
            np.testing.assert_array_equal(library.numpy(coded), here)


@pytest.mark.parametrize("mode", MODES)
def test_compiled(library, mode):
    if not isinstance(library, Torch):
        pytest.skip("nothing compiles CuPy")
    image = library.array(batch()).requires_grad_()

    def loss(image):
        return diff_jpeg_coding(image, 50, **mode).square().mean()

    (want,) = library.torch.autograd.grad(loss(image), image)
    (got,) = library.torch.autograd.grad(library.torch.compile(loss, fullgraph=True)(image), image)
    library.torch.testing.assert_close(got, want)


def test_memory_of_the_cuda_kernels(library, backend):
    """Image, result, cotangent, gradient and residuals: at most six times the batch."""
    if backend != "cuda_kernels":
        pytest.skip("only the CUDA kernels promise it")
    image = library.array(np.repeat(batch(height=512, width=512), 8, 0))
    cotangent = image + 0

    def work():
        coded, vjp = diff_jpeg_coding_vjp(image, 50, ste=True, wrt=WRT)
        return coded, vjp(cotangent)

    size = int(np.prod(image.shape)) * 4
    if isinstance(library, Torch):
        work()
        library.torch.cuda.reset_peak_memory_stats()
        work()
        peak = library.torch.cuda.max_memory_allocated()
    else:
        pool = library.cupy.cuda.MemoryPool()
        with library.cupy.cuda.using_allocator(pool.malloc):
            work()
            # What the pool holds after a first call is what that needed at most, image and cotangent apart.
            peak = pool.total_bytes() + 2 * size
    assert peak <= 6 * size
