"""The contestants on a GPU, and the gauges that measure them."""

import importlib
import importlib.util
from typing import Any

from benchmarks import ours, peers
from benchmarks.calls import QUALITY, SUBSAMPLING, Build, Call, parameters
from benchmarks.contestants import BACKWARD, DIFF_JPEG, FORWARD, KORNIA, TABLES, TORCH, Contestant
from benchmarks.photos import Batch
from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp
from pyjpegdiff.backends import use_backend

# --- contestants ------------------------------------------------------------------------------------------------------


def on_backend(build: Build, name: str) -> Build:
    """The same contestant, executed by the backend of that name."""

    def build_there(images: Batch) -> Call:
        with use_backend(name):
            call = build(images)

        def call_there() -> object:
            with use_backend(name):
                return call()

        return call_there

    return build_there


def kernels(build: Build) -> Build:
    """The same contestant, by the CUDA kernels."""
    return on_backend(build, "cuda_kernels")


def array_api(build: Build) -> Build:
    """The same contestant, by the array API."""
    return on_backend(build, "array_api")


def cupy_forward(**choices: Any) -> Build:
    """Only the function, on CuPy arrays."""

    def build(images: Batch) -> Call:
        array = importlib.import_module("cupy").asarray(images)
        return lambda: diff_jpeg_coding(array, QUALITY, subsampling=SUBSAMPLING, **choices)

    return build


def cupy_backward(**choices: Any) -> Build:
    """The function and its gradients with respect to image, quality and tables, on CuPy arrays."""

    def build(images: Batch) -> Call:
        cupy = importlib.import_module("cupy")
        array, cotangent = cupy.asarray(images), cupy.asarray(images)
        rest = [cupy.asarray(parameter) for parameter in parameters(len(images))]

        def call() -> object:
            result, vjp = diff_jpeg_coding_vjp(array, *rest, wrt=TABLES, subsampling=SUBSAMPLING, **choices)
            return result, vjp(cotangent)

        return call

    return build


CUPY = ("cupy",)
BOTH = (*TORCH, *CUPY)
CONTESTANTS = (
    Contestant("CuPy kernels STE", FORWARD, kernels(cupy_forward(ste=True)), CUPY),
    Contestant("CuPy kernels smooth", FORWARD, kernels(cupy_forward()), CUPY),
    Contestant("CuPy kernels libjpeg", FORWARD, kernels(cupy_forward(arithmetic="libjpeg")), CUPY),
    Contestant("CuPy array API STE", FORWARD, array_api(cupy_forward(ste=True)), CUPY),
    Contestant("torch kernels STE", FORWARD, kernels(ours.torch_forward(device="cuda")), BOTH),
    Contestant("torch array API STE", FORWARD, array_api(ours.torch_forward(device="cuda")), TORCH),
    Contestant("torch compiled STE", FORWARD, array_api(ours.torch_forward(True, "cuda")), TORCH),
    Contestant("kornia", FORWARD, peers.kornia_forward("cuda"), KORNIA, is_peer=True),
    Contestant("Diff-JPEG", FORWARD, peers.diff_jpeg_forward("cuda"), DIFF_JPEG, is_peer=True),
    Contestant("CuPy kernels STE + VJP", BACKWARD, kernels(cupy_backward(ste=True)), CUPY),
    Contestant("CuPy kernels smooth + VJP", BACKWARD, kernels(cupy_backward()), CUPY),
    Contestant("CuPy array API STE + VJP", BACKWARD, array_api(cupy_backward(ste=True)), CUPY),
    Contestant("torch kernels STE + backward", BACKWARD, kernels(ours.torch_backward(device="cuda")), BOTH),
    Contestant("torch array API STE + backward", BACKWARD, array_api(ours.torch_backward(device="cuda")), TORCH),
    Contestant("torch compiled STE + backward", BACKWARD, array_api(ours.torch_backward(True, "cuda")), TORCH),
    Contestant("kornia + backward", BACKWARD, peers.kornia_backward("cuda"), KORNIA, is_peer=True),
    Contestant("Diff-JPEG + backward", BACKWARD, peers.diff_jpeg_backward("cuda"), DIFF_JPEG, is_peer=True),
)


# --- gauges -----------------------------------------------------------------------------------------------------------
# By default both libraries use the same stream, so the events of one library also time the kernels of the other.


class CuPyGauge:
    """Measures time with CuPy's events, memory with CuPy's hook and, if torch is installed, torch's own count."""

    def __init__(self) -> None:
        self.cupy: Any = importlib.import_module("cupy")

    @staticmethod
    def missing() -> str | None:
        """Why this gauge cannot measure on this machine."""
        runtime: Any = importlib.import_module("cupy").cuda.runtime
        try:
            return None if runtime.getDeviceCount() else "CuPy finds no device"
        except runtime.CUDARuntimeError as error:
            return f"CuPy finds no device: {error}"

    def described(self) -> dict[str, Any]:
        """The description of the device in the report."""
        runtime = self.cupy.cuda.runtime
        properties = runtime.getDeviceProperties(self.cupy.cuda.Device().id)
        return {
            "name": properties["name"].decode(),
            "compute capability": f"{properties['major']}.{properties['minor']}",
            "CUDA": runtime.runtimeGetVersion(),
            "driver": runtime.driverGetVersion(),
            "CuPy": self.cupy.__version__,
        }

    def copying(self, images: Batch) -> Call:
        """A call that copies the batch on the device."""
        source = self.cupy.asarray(images)
        target = self.cupy.empty_like(source)
        return lambda: self.cupy.copyto(target, source)

    def seconds(self, call: Call) -> float:
        """The seconds that the device worked on a call."""
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1e-3 * float(self.cupy.cuda.get_elapsed_time(start, end))

    def peak(self, build: Build, images: Batch) -> int:
        """The most bytes in use at one time, with the input: the sum over both libraries."""
        with _hook(self.cupy) as hook:
            torch_bytes = _torch_peak(build, images)
            if torch_bytes is None:
                build(images)()
        return int(hook.most) + (torch_bytes or 0)


class TorchGauge:
    """Measures with torch's events, if CuPy is not installed."""

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch")

    @staticmethod
    def missing() -> str | None:
        """Why this gauge cannot measure on this machine."""
        return None if importlib.import_module("torch").cuda.is_available() else "torch finds no CUDA device"

    def described(self) -> dict[str, Any]:
        """The description of the device in the report."""
        major, minor = self.torch.cuda.get_device_capability()
        name = self.torch.cuda.get_device_name()
        return {"name": name, "compute capability": f"{major}.{minor}", "CUDA": self.torch.version.cuda}

    def copying(self, images: Batch) -> Call:
        """A call that copies the batch on the device."""
        source = self.torch.from_numpy(images).to("cuda")
        target = self.torch.empty_like(source)
        return lambda: target.copy_(source)

    def seconds(self, call: Call) -> float:
        """The seconds that the device worked on a call."""
        start, end = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        end.synchronize()
        return 1e-3 * float(start.elapsed_time(end))

    def peak(self, build: Build, images: Batch) -> int:
        """The most bytes in use at one time, with the input."""
        return _torch_peak(build, images) or 0


def _torch_peak(build: Build, images: Batch) -> int | None:
    """The peak according to torch; None if torch has no device, and then nothing was run."""
    if importlib.util.find_spec("torch") is None:
        return None
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return None
    before = torch.cuda.memory_allocated()
    call = build(images)
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    outcome = call()
    torch.cuda.synchronize()
    del outcome
    return int(torch.cuda.max_memory_allocated() - before)


def _hook(cupy: Any) -> Any:
    class Peak(cupy.cuda.MemoryHook):  # type: ignore[misc]
        name = "peak"

        def __init__(self) -> None:
            self.now = self.most = 0

        def malloc_postprocess(self, **kwargs: Any) -> None:
            self.now += kwargs["mem_size"]
            self.most = max(self.most, self.now)

        def free_postprocess(self, **kwargs: Any) -> None:
            self.now -= kwargs["mem_size"]

    return Peak()
