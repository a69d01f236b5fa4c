"""One process per contestant, which is stopped while others are measured.

In one process, contestants would change each other's figures: after large arrays have been freed by anyone, glibc keeps
more memory for reuse, which made array code with many allocations 3.5 times as fast in one measurement. Processes that
only wait would also change the figures: the threads of OpenBLAS and OpenMP spin for a while after a call, which slowed
others down to a third of their speed.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from multiprocessing.connection import Connection

from benchmarks.calls import ContestantError, describe, timed
from benchmarks.contestants import CONTESTANTS
from benchmarks.photos import Size, batch


class Worker:
    """Times a contestant in a new process; calling it returns seconds."""

    def __init__(self, name: str, size: Size) -> None:
        # Not forked: a fork would inherit the memory of this process and the state of its allocator.
        context = multiprocessing.get_context("spawn")
        self._pipe, child_pipe = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, size, child_pipe), daemon=True)
        self._process.start()
        child_pipe.close()

    def __call__(self) -> float:
        """Time one call."""
        try:
            self._signal("SIGCONT")
            self._pipe.send(True)
            answer = self._pipe.recv()
            self._signal("SIGSTOP")
        except (EOFError, OSError):
            self._process.join()
            raise ContestantError(f"its process ended with status {self._process.exitcode}") from None
        if isinstance(answer, str):
            raise ContestantError(answer)
        return float(answer)

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._signal("SIGCONT")
        self._process.join()

    def _signal(self, name: str) -> None:
        if self._process.pid is not None and self._process.is_alive() and hasattr(signal, name):
            os.kill(self._process.pid, getattr(signal, name))


def _serve(name: str, size: Size, pipe: "Connection[float | str, bool]") -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # this process ends when its parent closes the pipe
    _die_with_parent()
    try:
        timer = None
        while pipe.recv():  # receive first, so that the parent gets an error of building as an answer
            timer = timer or timed(CONTESTANTS[name].build(batch(size)))
            pipe.send(timer())
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:  # the parent raises it
        pipe.send(describe(error))


def _die_with_parent() -> None:
    # A stopped process does not notice that a killed parent's pipe is closed, and would remain forever.
    if sys.platform == "linux":
        set_parent_death_signal = 1  # of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
