"""Tasks on a cluster of `dask.distributed`, which stop on request as those in processes do.

The scheduler gives the tasks of a worker that dies to others. One that was there when several workers died, three by
default, is taken for the cause, and ends the study.
"""

import functools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError
from typing import Any

from distributed import KilledWorker
from PIL import Image

from pyjpegdiff.backends.threads import at_most
from pyjpegdiff.study.store import StudyError, versions
from pyjpegdiff.study.work import Result, Stop, Task, window

AHEAD = 2
"""Tasks for each thread of the workers: one to work on, one to begin with at once after it."""


def run(
    function: Callable[[Task], Result], tasks: Iterable[Task], client: Any, stop: Stop
) -> Iterator[tuple[Task, Result]]:
    """As `pyjpegdiff.study.work.Processes.run`, on a cluster.

    Raises
    ------
    StudyError
        If the scheduler is gone, if a task was on several workers that died, or if a worker has other versions of what
        rows depend on.
    """
    executor = client.get_executor(pure=False)
    work = functools.partial(_work, function, versions(), Image.MAX_IMAGE_PIXELS)
    try:
        # Asked each time: workers come and go. One task at least, so that an adaptive cluster starts its first one.
        yield from window(
            functools.partial(executor.submit, work),
            tasks,
            lambda: max(1, AHEAD * sum(client.nthreads().values())),
            stop,
        )
    except KilledWorker as error:
        raise StudyError(
            f"several workers died with the same row, the last at {error.last_worker.address}: perhaps too little "
            "memory (then continue with fewer threads per worker)"
        ) from None
    except Exception as error:
        # What is raised where the connection is lost depends on what happened to be under way.
        if isinstance(error, CancelledError) or client.status != "running":
            raise StudyError(
                "the scheduler of the cluster is gone, or has canceled the study; the measured rows are saved, and the "
                "same study continues from there"
            ) from error
        raise
    finally:
        if client.status == "running":
            executor.shutdown(wait=False)  # nothing is left but after an error


def _work(function: Callable[[Any], Any], expected: dict[str, str], max_pixels: int | None, task: Any) -> Any:
    """Do a task on a worker, whose threads are the cluster's to count."""
    found = versions()
    if found != expected:
        differ = ", ".join(
            f"{name} {found[name]} instead of {expected[name]}" for name in found if found[name] != expected[name]
        )
        raise StudyError(f"a worker of the cluster has {differ}: rows would not be comparable")
    Image.MAX_IMAGE_PIXELS = max_pixels
    with at_most(1):
        return function(task)
