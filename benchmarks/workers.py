"""A process for each contestant, which is stopped while others are measured.

In one process contestants would change each other's figures: glibc keeps more memory for reuse once large arrays have
been freed, whoever freed them, and array code that allocates much was seen to run 3.5 times as fast for it. Processes
that merely wait would do so, too: the threads of OpenBLAS and OpenMP go on spinning for a while after a call, and were
seen to slow down others to a third.
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
    """Times a contestant in a fresh process; calling it gives seconds."""

    def __init__(self, name: str, size: Size) -> None:
        # Not forked: a fork would inherit this process's memory and its allocator's habits.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(name, size, theirs), daemon=True)
        self._process.start()
        theirs.close()

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's closing of the pipe ends this
    _die_with_parent()
    try:
        timer = None
        while pipe.recv():  # asked first, so that the parent hears of whatever goes wrong
            timer = timer or timed(CONTESTANTS[name].build(batch(size)))
            pipe.send(timer())
    except (EOFError, BrokenPipeError):
        pass
    except Exception as error:  # to be told by the parent
        pipe.send(describe(error))


def _die_with_parent() -> None:
    # Stopped, it could not see a killed parent's pipe close, and would stay for ever.
    if sys.platform == "linux":
        set_parent_death_signal = 1  # of <linux/prctl.h>
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
