"""The kernels' own source, compiled for this CPU: a launcher whose every thread really runs, over arrays in memory.

What it tells: whether formulas, indices, barriers, shapes and arguments are right. What it cannot tell: whether a GPU's
compiler and hardware agree, and how fast they are.
"""

import ctypes
import functools
import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pyjpegdiff.backends.cuda_kernels import CudaKernels
from pyjpegdiff.kernels.cuda import source

KERNELS = ("prepare", "prepare_vjp", "encode_reconstruct", "upsample_convert", "code_vjp")
MISTAKES = {1: "some threads never reached a barrier at which others wait", 2: "another number of threads"}


class Emulator:
    """Launches with threads in ascending or descending order, and counts launches."""

    def __init__(self, descending=False, flags=()):
        if shutil.which("g++") is None:
            pytest.skip("g++, which the emulator needs, is not installed")
        self.descending, self.flags, self.launched = descending, tuple(flags), []

    def __call__(self, options, kernel, blocks, arguments, like):
        values = [ctypes.c_int64(_argument(value)) for value in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        launch = getattr(_library(options, self.flags), f"launch_{kernel}")
        status = launch(blocks, options.threads, int(self.descending), pointers)
        assert status == 0, f"{kernel}: {MISTAKES[status]}"
        self.launched.append(kernel)


class EmulatedKernels(CudaKernels):
    """The CUDA kernels as a backend for arrays in the host's memory: `backends.register` it, and name "emulated"."""

    name = "emulated"

    def __init__(self, emulator=None):
        self.emulator = Emulator() if emulator is None else emulator
        super().__init__(launch=self.emulator)

    @property
    def launched(self):
        """The kernels that have been launched, in order."""
        return self.emulator.launched

    def is_available(self):
        return True

    def supports(self, spec, xp, device):
        return isinstance(spec.rounding, str)


def _argument(value):
    if isinstance(value, np.ndarray):
        assert value.flags.c_contiguous
        return value.ctypes.data
    if hasattr(value, "data_ptr"):
        assert value.is_contiguous()
        return value.data_ptr()
    return value or 0


@functools.cache
def _folder():
    return tempfile.TemporaryDirectory(prefix="pyjpegdiff-emulator-")


@functools.cache
def _library(options, flags):
    defines = [f"-D{name}={value}" for name, value in options.defines.items()]
    name = hashlib.sha256(" ".join([*defines, *flags]).encode()).hexdigest()[:16]
    path, text = Path(_folder().name, f"{name}.so"), Path(_folder().name, f"{name}.cpp")
    launchers = "".join(f"LAUNCHER({kernel})\n" for kernel in KERNELS)
    text.write_text(f'#include "{Path(__file__).with_name("emulator.hpp")}"\n{source()}\n{launchers}')
    command = ["g++", "-std=c++20", "-O1", "-shared", "-fPIC", "-Wno-unknown-pragmas", *flags, *defines]
    subprocess.run([*command, str(text), "-o", str(path)], check=True)
    return ctypes.CDLL(str(path))


def processor_flags():
    """What this processor can do, where Linux tells."""
    try:
        return Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return []
