"""One process per contestant and size, which is stopped while others are measured.

In one process, contestants would change each other's figures: after large arrays have been freed by anyone, glibc keeps
more memory for reuse, which made array code with many allocations 3.5 times as fast in one measurement. Processes that
only wait would also change the figures: the threads of OpenBLAS and OpenMP spin for a while after a call.
"""

import contextlib
import ctypes
import functools
import gc
import math
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TypeVar

import pyjpegdiff
from benchmarks.calls import Call, Size, batch
from benchmarks.contestants import CONTESTANTS, Contestant
from pyjpegdiff.backends import use_backend

SHORT = 0.02
"""Seconds; a faster call is repeated for that long."""
# Two sizes, because torch.compile supports arbitrary sizes from the second on; kornia needs multiples of 16.
WARM_UP = (Size(1, 64), Size(1, 128))
# Libraries read these when they are loaded, and never start their threads. What takes two threads starts them itself.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

XLA_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

T = TypeVar("T")


# --- in the parent ----------------------------------------------------------------------------------------------------


class Worker:
    """A new process that runs functions one by one, and is stopped in between."""

    def __init__(self, threads: int = 1, backend: str | None = None) -> None:
        os.environ.update(ONE_THREAD)
        # Not forked: a fork would inherit the memory of this process and the state of its allocator.
        self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin, (threads, backend))
        self._process = self._pool.submit(os.getpid).result()

    def __call__(self, function: Callable[..., T], *arguments: object) -> T:
        """Run a function there; its errors are raised here."""
        self._signal("SIGCONT")
        try:
            return self._pool.submit(function, *arguments).result()
        finally:
            self._signal("SIGSTOP")

    def close(self) -> None:
        """End the process, whatever it does."""
        self._signal("SIGKILL")
        self._pool.shutdown()

    def _signal(self, name: str) -> None:
        if hasattr(signal, name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, getattr(signal, name))


def timer(backend: str | None, contestant: Contestant, size: Size, stack: contextlib.ExitStack) -> Callable[[], float]:
    """A timer of the contestant in a process of its own."""
    worker = stack.enter_context(contextlib.closing(Worker(contestant.threads, backend)))
    return functools.partial(worker, seconds, contestant.name, size)


def memory(backend: str | None, size: Size, contestant: Contestant) -> float:
    """The peak memory of the contestant in a process of its own."""
    with contextlib.closing(Worker(contestant.threads, backend)) as worker:
        return worker(peak_memory, contestant.name, size)


# --- in a worker ------------------------------------------------------------------------------------------------------

_held = contextlib.ExitStack()  # the choice of a backend ends when this is collected


def _begin(threads: int, backend: str | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    if sys.platform == "linux":
        # A stopped process would not notice that its parent was killed, and would remain forever.
        set_parent_death_signal = 1  # of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    os.environ["XLA_FLAGS"] = XLA_ONE_THREAD  # here alone: the parent may have flags of its own
    pyjpegdiff.set_num_threads(threads)
    if backend is not None:
        _held.enter_context(use_backend(backend))


def seconds(name: str, size: Size) -> float:
    """Time one contestant.

    A short call is repeated, as in a loop: in its first run, the caches hold the data of another contestant.
    """
    call = _built(name, size)
    once = _clock(call, 1)
    return once if once > SHORT else _clock(call, math.ceil(SHORT / once))


@functools.cache
def _built(name: str, size: Size) -> Call:
    contestant = CONTESTANTS[name]
    if "torch" in contestant.needs:
        import torch

        torch.set_num_threads(contestant.threads)
    return contestant.build(batch(size))


def _clock(call: Call, repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def peak_memory(name: str, size: Size) -> float:
    """Peak memory over the float32 image, with input, cotangent, output and gradients. Linux only.

    For a new process: memory that the allocator keeps from an earlier call would be missing from the peak.
    """
    for small in WARM_UP:
        _built(name, small)()
    gc.collect()
    before = _resident("VmRSS")
    call = _built(name, size)
    with contextlib.suppress(AttributeError):  # of glibc: what building the call has freed is given back
        ctypes.CDLL(None).malloc_trim(0)
    # Building the call may have needed more memory than the call. If resetting is not permitted, that is counted too.
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    outcome = call()
    peak = _resident("VmHWM")
    del outcome
    return (peak - before) / (12 * size.pixels)


def _resident(field: str) -> int:
    """Bytes of this process in memory: now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))
