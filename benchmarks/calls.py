"""What a contestant is made of, and the settings that all of them share."""

import math
import time
from collections.abc import Callable

import numpy as np

from benchmarks.photos import Batch
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

Call = Callable[[], object]
"""Codes the batch it was built for. What it returns is looked at by tests alone."""
Build = Callable[[Batch], Call]
Timer = Callable[[], float]
"""Makes a call and gives the seconds it took."""

SHORT = 0.02
"""Seconds; what takes less is repeated that long."""

QUALITY = 50
SUBSAMPLING = "4:2:0"


class ContestantError(Exception):
    """Something went wrong in another process; the message is the whole story."""


def describe(error: BaseException) -> str:
    """An exception in one line."""
    if isinstance(error, ContestantError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def timed(call: Call) -> Timer:
    """A timer of the call in this process.

    A short call is repeated, as a loop would: its first run finds the caches as another contestant left them.
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
    """Quality of each image and both tables, as the float32 arrays that gradients are taken of."""
    return (
        np.full(count, QUALITY, np.float32),
        np.asarray(LUMINANCE, np.float32),
        np.asarray(CHROMINANCE, np.float32),
    )
