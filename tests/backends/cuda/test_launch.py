"""What CuPy is called for, by a stand-in for it; and by CuPy itself as far as it goes without a GPU."""

import contextlib
import importlib
import sys
import types

import numpy as np
import pytest

from pyjpegdiff.kernels.cuda import Options, source

OPTIONS = Options("float", True, False, "cubic", True, (2, 2))


class Array:
    """An array of the stand-in."""

    def __init__(self, pointer, device):
        self.data, self.device = types.SimpleNamespace(ptr=pointer), device


@pytest.fixture
def stand_in(monkeypatch):
    """A module by CuPy's name, whose log tells what happened in which order."""
    log = []

    @contextlib.contextmanager
    def entered(name):
        log.append(f"enter {name}")
        yield
        log.append(f"leave {name}")

    class RawKernel:
        def __init__(self, code, name, options):
            log.append(("compile", name, options))
            assert code == source()
            self.name = name

        def __call__(self, grid, block, arguments):
            log.append((self.name, grid, block, arguments))

    class Stream:
        @staticmethod
        def from_external(stream):
            return entered(f"stream {stream.__cuda_stream__()}")

    def device(index):
        return entered(f"device {index}")

    cupy = types.ModuleType("cupy")
    cupy.RawKernel, cupy.ndarray = RawKernel, Array
    cupy.cuda = types.SimpleNamespace(Stream=Stream, Device=device)
    cupy.log, cupy.entered = log, entered
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delitem(sys.modules, "pyjpegdiff.kernels.cuda.launch", raising=False)
    cupy.launch = importlib.import_module("pyjpegdiff.kernels.cuda.launch").launch
    yield cupy
    sys.modules.pop("pyjpegdiff.kernels.cuda.launch", None)


def test_cupys_arrays(stand_in):
    arguments = (Array(4096, None), None, 7, Array(8192, None))
    for _ in range(2):
        stand_in.launch(OPTIONS, "code_vjp", 11, arguments, Array(0, stand_in.entered("device of the array")))
    compiled, *launches = [entry for entry in stand_in.log if isinstance(entry, tuple)]
    assert compiled[:2] == ("compile", "code_vjp")
    assert {"-std=c++17", "-DREAL=float", "-DHARD=1", "-DROUNDING=CUBIC", "-DROWS=2"} <= set(compiled[2])
    assert launches == [("code_vjp", (11,), (192,), (4096, 0, 7, 8192))] * 2
    assert stand_in.log[0] == "enter device of the array"
    assert stand_in.log[-1] == "leave device of the array"


def test_torchs_tensors_on_torchs_stream(stand_in, monkeypatch):
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(4)
    like = types.SimpleNamespace(device=types.SimpleNamespace(index=3))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: types.SimpleNamespace(cuda_stream=77))
    stand_in.launch(OPTIONS, "prepare", 1, (tensor, None, 5), like)
    inner = [entry for entry in stand_in.log if entry[0] != "compile"]
    assert inner[:2] == ["enter device 3", "enter stream (0, 77)"]
    assert inner[2] == ("prepare", (1,), (192,), (tensor.data_ptr(), 0, 5))
    assert inner[3:] == ["leave stream (0, 77)", "leave device 3"]


def test_cupy_has_what_is_called_for():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed")
    launch = importlib.import_module("pyjpegdiff.kernels.cuda.launch")
    kernel = launch._kernel(OPTIONS, "code_vjp")
    assert (kernel.name, kernel.backend, kernel.code) == ("code_vjp", "nvrtc", source())
    # Without a driver it says so, once it is to be current.
    with contextlib.suppress(cupy.cuda.runtime.CUDARuntimeError), launch._Borrowed(0, 0).stream():
        pass
    assert launch._argument(None) == 0
    assert launch._argument(np.int64(5).item()) == 5
    assert issubclass(cupy.cuda.MemoryHook, object)
    for name in ("Device", "Event", "get_elapsed_time", "get_current_stream"):
        assert hasattr(cupy.cuda, name)
