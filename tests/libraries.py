"""The array libraries that the core is tested with, and those that are importable but have nothing to run on."""

from typing import Any, NamedTuple

import array_api_strict
import numpy as np
import pytest

from pyjpegdiff.arguments import NUMPY, Library, library_of


class Case(NamedTuple):
    """A library with one of its devices."""

    library: Library
    device: Any

    @property
    def xp(self):
        return self.library.xp

    def array(self, value, dtype="float64"):
        return self.xp.asarray(np.asarray(value).tolist(), dtype=getattr(self.xp, dtype), device=self.device)

    def numpy(self, array):
        if self.xp is array_api_strict:
            array = self.xp.to_device(array, "cpu") if hasattr(self.xp, "to_device") else array.to_device(STRICT_CPU)
        elif hasattr(array, "get"):
            array = array.get()
        elif hasattr(array, "cpu"):
            array = array.cpu()
        return np.asarray(array)


STRICT_CPU = array_api_strict.Device("CPU_DEVICE")


def _numpy():
    return Case(NUMPY, "cpu")


def _strict(device):
    return Case(library_of("x", array_api_strict.asarray(0.0)), array_api_strict.Device(device))


def _torch(device):
    torch = pytest.importorskip("torch")
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch has no CUDA device here")
    from pyjpegdiff.adapters.torch import LIBRARY

    return Case(LIBRARY, torch.device(device, 0) if device == "cuda" else torch.device(device))


def _cupy():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed: not run on a GPU")
    try:
        cupy.zeros(1)
    except cupy.cuda.runtime.CUDARuntimeError:
        pytest.skip("CuPy has no device here: not run on a GPU")
    return Case(library_of("x", cupy.asarray(0.0)), cupy.cuda.Device())


CASES = {
    "numpy": _numpy,
    "strict": lambda: _strict("CPU_DEVICE"),
    "strict-device1": lambda: _strict("device1"),
    "torch": lambda: _torch("cpu"),
    "torch-cuda": lambda: _torch("cuda"),
    "cupy": _cupy,
}


@pytest.fixture(params=CASES)
def case(request):
    """Each library in turn."""
    return CASES[request.param]()
