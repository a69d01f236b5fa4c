"""Tasks on several processes, which stop when asked to: between tasks, with nothing lost and nobody left behind."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from types import FrameType
from typing import TypeVar

from PIL import Image

Task = TypeVar("Task")
Result = TypeVar("Result")

SIGNALS = signal.SIGINT, signal.SIGTERM
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class Stop:
    """Whether the user wants to stop.

    Within ``listening()``, the first Ctrl-C or SIGTERM sets ``asked``, a second one raises KeyboardInterrupt.
    """

    def __init__(self, tell: Callable[[], None] = lambda: None) -> None:
        self.asked = False
        self._tell = tell

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take over both signals, where that is possible: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._heard) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._tell()


def run(
    function: Callable[[Task], Result],
    tasks: Iterable[Task],
    jobs: int,
    stop: Stop,
) -> Iterator[tuple[Task, Result]]:
    """Each task with its result, as they are done; what is under way when the user stops is still finished.

    Function and tasks must be importable and picklable where there is more than one job. A process that dies raises
    `concurrent.futures.process.BrokenProcessPool`.
    """
    if jobs == 1:
        for task in tasks:
            if stop.asked:
                return
            yield task, function(task)
        return
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")  # fork would copy locks that threads hold
    pool = ProcessPoolExecutor(jobs, context, _begin, (Image.MAX_IMAGE_PIXELS,))
    try:
        yield from _window(pool, function, deque(tasks), jobs + 1, stop)
    except BaseException:
        for process in set(multiprocessing.active_children()) - others:
            process.kill()  # since they ignore a milder signal
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _window(
    pool: Executor, function: Callable[[Task], Result], waiting: deque[Task], size: int, stop: Stop
) -> Iterator[tuple[Task, Result]]:
    """Few tasks at once are handed over, since those cannot be taken back."""
    under_way: dict[Future[Result], Task] = {}
    while True:
        while waiting and len(under_way) < size and not stop.asked:
            with _start_of_a_process():
                under_way[pool.submit(function, waiting[0])] = waiting[0]
            waiting.popleft()
        if not under_way:
            return
        for future in wait(under_way, return_when=FIRST_COMPLETED).done:
            yield under_way.pop(future), future.result()


@contextlib.contextmanager
def _start_of_a_process() -> Iterator[None]:
    """What a new process inherits: one thread for products of matrices, and no ear for signals that are its parent's.

    A thread for each core in each process would be more threads than cores.
    """
    added = {name: "1" for name in THREADS if name not in os.environ}
    os.environ.update(added)
    masks = hasattr(signal, "pthread_sigmask")
    if masks:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for name in added:
            del os.environ[name]


def _begin(most_pixels: int | None) -> None:
    """Prepare a new process."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    Image.MAX_IMAGE_PIXELS = most_pixels
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A process whose parent was killed would wait for tasks forever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
