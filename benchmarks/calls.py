"""The types of a contestant, and the settings that all contestants share."""

import math
import time
from collections.abc import Callable

import numpy as np

from benchmarks.photos import Batch
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Call = Callable[[], object]
"""Compresses and decompresses the batch that it was built for. Only tests look at what it returns."""
Build = Callable[[Batch], Call]
Timer = Callable[[], float]
"""Makes a call and returns the seconds that it took."""

SHORT = 0.02
"""Seconds; a faster call is repeated for that long."""

QUALITY = 50
SUBSAMPLING = "4:2:0"


class ContestantError(Exception):
    """An error in another process; the message says everything that is known."""


def describe(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, ContestantError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def timed(call: Call) -> Timer:
    """A timer of the call in this process.

    A short call is repeated, as in a loop: in its first run, the caches hold the data of another contestant.
    """

    def seconds(repeats: int) -> float:
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return (time.perf_counter() - start) / repeats

    def timer() -> float:
        once = seconds(1)
        return once if once > SHORT else seconds(math.ceil(SHORT / once))

    return timer


def parameters(count: int) -> tuple[Batch, Batch, Batch]:
    """The quality of each image and both tables: the float32 arrays with respect to which gradients are computed."""
    return (
        np.full(count, QUALITY, np.float32),
        np.asarray(LUMINANCE, np.float32),
        np.asarray(CHROMINANCE, np.float32),
    )
