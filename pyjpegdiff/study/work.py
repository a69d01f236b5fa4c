"""Tasks in several processes, which stop on request: between tasks, without lost results or remaining processes."""

import contextlib
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import TypeVar

from PIL import Image

from pyjpegdiff.study.store import StudyError

Task = TypeVar("Task")
Result = TypeVar("Result")

SIGNALS = signal.SIGINT, signal.SIGTERM
MOST_ON_WINDOWS = 61
"""Processes that one can wait for there."""
MOST = 10_000
"""More than any machine has cores; what counts processes is a C integer."""
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Stop:
    """Whether the user has requested a stop.

    Within ``listening()``, the first Ctrl-C or SIGTERM sets ``requested``; a second one raises KeyboardInterrupt.
    """

    def __init__(self, on_request: Callable[[], None] = lambda: None) -> None:
        self.requested = False
        self._on_request = on_request

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle both signals; without effect outside the main thread, where Python allows no signal handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        self._on_request()


class Processes:
    """Processes that do the tasks of one phase after another. They end with the ``with`` block.

    They start when a phase has more than one task: each needs a second to import what it works with.
    """

    def __init__(self, jobs: int, stop: Stop) -> None:
        self._jobs = possible(jobs)
        self._stop = stop
        self._started: set[BaseProcess] = set()
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._started:
            process.kill()  # they ignore other signals; and to wait for them could last forever, after one has died
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[tuple[Task, Result]]:
        """Yield each task with its result, in order of completion; what runs when the user stops is still finished.

        For more than one job, the function must be importable and the tasks picklable. If a process dies, this raises
        `concurrent.futures.process.BrokenProcessPool`.
        """
        if min(self._jobs, len(tasks)) <= 1:
            for task in tasks:
                if self._stop.requested:
                    return
                yield task, function(task)
            return
        if self._pool is None:
            context = multiprocessing.get_context("spawn")  # fork would copy locks that threads hold
            self._pool = ProcessPoolExecutor(self._jobs, context, _initialize, (Image.MAX_IMAGE_PIXELS,))
        submit = functools.partial(self._submit, self._pool, function)
        yield from window(submit, tasks, lambda: self._jobs + 1, self._stop)

    def _submit(self, pool: ProcessPoolExecutor, function: Callable[[Task], Result], task: Task) -> Future[Result]:
        before = set(multiprocessing.active_children())
        try:
            with _inherited_state():
                return pool.submit(function, task)
        except OSError as error:
            raise StudyError(f"no process can be started: {error.strerror or error}; try fewer jobs") from error
        finally:
            self._started |= set(multiprocessing.active_children()) - before


def possible(jobs: int) -> int:
    """How many processes may serve so many jobs."""
    return min(jobs, MOST_ON_WINDOWS if sys.platform == "win32" else MOST)


def window(
    submit: Callable[[Task], Future[Result]], tasks: Iterable[Task], size: Callable[[], int], stop: Stop
) -> Iterator[tuple[Task, Result]]:
    """Yield each task with its result, in order of completion; submit no more than ``size()`` at once.

    A submitted task cannot be canceled reliably, and is finished when the user stops.
    """
    waiting, submitted = deque(tasks), dict[Future[Result], Task]()
    while True:
        while waiting and not stop.requested and len(submitted) < size():
            submitted[submit(waiting[0])] = waiting[0]
            waiting.popleft()
        if not submitted:
            return
        for future in wait(submitted, return_when=FIRST_COMPLETED).done:
            yield submitted.pop(future), future.result()


@contextlib.contextmanager
def _inherited_state() -> Iterator[None]:
    """What a new process inherits: one thread for matrix products, and blocked signals, which the parent handles.

    One thread per core in each process would be more threads than cores.
    """
    added = {name: "1" for name in THREADS if name not in os.environ}
    os.environ.update(added)
    masks = hasattr(signal, "pthread_sigmask")
    if masks:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
        if masks:  # last: signals that were blocked arrive here, and may raise
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _initialize(max_pixels: int | None) -> None:
    """Prepare a new process."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    Image.MAX_IMAGE_PIXELS = max_pixels
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent ends: otherwise it would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
