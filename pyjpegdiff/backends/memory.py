"""Memory for arrays that the kernels write: what was freed is used again.

A new array of many megabytes costs more than to compute it: the system fills every page with zeros when it is first
written to. glibc keeps freed memory of up to 32 MiB once it has seen such an array come and go; large arrays are kept
here.
"""

import contextlib
import ctypes
import functools
import math
import mmap
import sys
from typing import Any

import numpy as np

from pyjpegdiff.types import Shape

LARGE = 16 * 2**20
"""Bytes from which on arrays are kept here: those of glibc do not begin where the kernels can write past the caches."""
MOST_KEPT = 4
"""Pieces: a result, its residuals and a gradient, and one more."""


@functools.cache
def have_freed_memory_kept() -> None:
    """Let glibc see a large array come and go, untouched, once in a process.

    Until it has, it hands every freed array of a few megabytes back to the system, and each next one costs its page
    faults again: more than half the time of a call. Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, np.uint8)


def empty(shape: Shape, dtype: "np.dtype[Any]") -> np.ndarray[Any, Any]:
    """As `numpy.empty`; a large array lies where one lay that nobody holds any longer."""
    size = math.prod(shape) * dtype.itemsize
    if size < LARGE or sys.platform != "linux":
        return np.empty(shape, dtype)
    memory = _freed_of(size) or _new(size)
    return np.empty(shape, dtype) if memory is None else np.asarray(_Lent(memory)).view(dtype).reshape(shape)


def copied(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A copy in C order."""
    if x.nbytes < LARGE:
        return x.copy()
    made = empty(x.shape, x.dtype)
    made[...] = x
    return made


_freed: list[mmap.mmap] = []


class _Lent:
    """Memory that an array uses; it comes back when neither the array nor a view of it is left."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self.__array_interface__ = {"version": 3, "shape": (len(memory),), "typestr": "|u1", "data": (start, False)}

    def __del__(self) -> None:
        # Until it is written to again, the system may take its pages for others.
        _advise(self.memory, "MADV_FREE")
        _freed.append(self.memory)
        del _freed[:-MOST_KEPT]


def _freed_of(size: int) -> mmap.mmap | None:
    for memory in _freed:
        if len(memory) == size:
            try:
                _freed.remove(memory)
            except ValueError:  # another thread was faster
                continue
            return memory
    return None


def _new(size: int) -> mmap.mmap | None:
    try:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError:  # NumPy says it better
        return None
    _advise(memory, "MADV_HUGEPAGE")
    return memory


def _advise(memory: mmap.mmap, name: str) -> None:
    with contextlib.suppress(AttributeError, OSError):  # of a system that does not know it
        memory.madvise(getattr(mmap, name))
