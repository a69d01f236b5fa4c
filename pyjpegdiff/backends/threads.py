"""How many threads the NumPy backend takes, and running jobs on them.

Threads live as long as the call that starts them: nothing persists that a fork could break, and calls from several
threads at once know nothing of each other. NumPy gives up Python's lock while it works on an array.
"""

import contextvars
import functools
import itertools
import operator
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

S = TypeVar("S")
T = TypeVar("T")

MOST = 4
"""Threads by default: more would wait for Python's lock."""

_chosen: int | None = None
_at_most: contextvars.ContextVar[int | None] = contextvars.ContextVar("at_most", default=None)


def set_num_threads(count: int | None) -> None:
    """Set how many threads may work on NumPy arrays and host tensors.

    Small calls take one thread in any case. For tensors, `torch.get_num_threads` is a maximum, too: it is 1 in the
    worker processes of a `torch.utils.data.DataLoader`.

    Parameters
    ----------
    count : int or None
        1 or more. None, as at the start: as many as there are CPUs that this process may use, but 4 at most, since
        more would wait for Python's lock; or ``OMP_NUM_THREADS`` where that is set and less.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Examples
    --------
    >>> from pyjpegdiff import get_num_threads, set_num_threads
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(None)
    """
    global _chosen
    _chosen = None if count is None else _count(count)


def get_num_threads() -> int:
    """How many threads a large call may take.

    Returns
    -------
    int
        What `set_num_threads` was given, or its default.

    Examples
    --------
    >>> from pyjpegdiff import get_num_threads
    >>> get_num_threads() >= 1
    True
    """
    count = _default() if _chosen is None else _chosen
    most = _at_most.get()
    return count if most is None else min(count, most)


@contextmanager
def at_most(count: int) -> Iterator[None]:
    """Set a maximum for the calls within, in this thread alone."""
    token = _at_most.set(count)
    try:
        yield
    finally:
        _at_most.reset(token)


def spread(work: Callable[[Sequence[S]], T], items: Sequence[S], workers: int) -> list[T]:
    """Results of ``work`` on runs of consecutive items, a thread each, the first run on the caller's."""
    workers = max(1, min(workers, len(items)))
    bounds = [len(items) * worker // workers for worker in range(workers + 1)]
    runs = [items[start:stop] for start, stop in itertools.pairwise(bounds)]
    if workers == 1:
        return [work(items)]
    with ThreadPoolExecutor(workers - 1) as pool:

        def begin(run: Sequence[S]) -> Callable[[], T]:
            try:
                # A copied context: it holds, for one, the caller's `numpy.errstate`.
                return pool.submit(contextvars.copy_context().run, work, run).result
            except RuntimeError:  # no thread can be started: at the interpreter's end, or at a limit of the system
                return functools.partial(work, run)

        others = [begin(run) for run in runs[1:]]
        return [work(runs[0]), *(finish() for finish in others)]


def _count(value: object) -> int:
    allowed = "count must be an int of 1 or more, or None"
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{allowed}, got {value!r}") from None
    if isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{allowed}, got {value!r}")
    if count < 1:
        raise ValueError(f"{allowed}, got {count}")
    return count


def cpus() -> int:
    """The number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _default() -> int:
    text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    try:
        most = int(text)
    except ValueError:  # no number, or one of thousands of digits
        most = MOST
    return min(cpus(), most if most > 0 else MOST, MOST)
