"""A whole run: the sizes in sections, each in interleaved rounds, then memory."""

import math
import os
import random
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from benchmarks.calls import Size
from benchmarks.contestants import LARGE, PILLOW, RELATIONS, SECTIONS, Contestant
from benchmarks.report import Report, Row, describe, new_report

Key = tuple[str, Size]
Seconds = Mapping[int, float]
"""By round."""
Timer = Callable[[], float]
Start = Callable[[Contestant, Size, ExitStack], Timer]
"""Starts the timer of a contestant, which ends with the stack."""
K = TypeVar("K")
T = TypeVar("T")

FEWEST = 3
"""Rounds that even the slowest contestant takes part in."""
OVER_PILLOW = "time over Pillow's, "
STDERR = Console(stderr=True)  # stdout is for the result


def run(
    contestants: Sequence[Contestant],
    sizes: Sequence[Size],
    start: Start,
    repeat: int,
    budget: float,
    memory: Callable[[Contestant], float] | None = None,
    **more: object,
) -> Report:
    """Measure; ``repeat`` and ``budget`` as in `interleave`. Without ``memory``, no memory is measured."""
    report = new_report(contestants, **more)  # before the benchmark itself causes load
    present = [contestant for contestant in contestants if not contestant.missing()]
    relations: list[Row] = []
    for section in SECTIONS:
        taking = {(c.name, size): c for size in section for c in present if size in sizes and size in c.at}
        if taking:
            taken = time(taking, start, repeat, budget, report["failed"])
            for key, seconds in taken.items():
                ratio, median = median_ratio(seconds, taken[PILLOW, key[1]])
                target = taking[key].at[key[1]]
                report["rows"].append(
                    Row(f"{OVER_PILLOW}{key[1].label}", key[0], ratio, target, 1e3 * median, len(seconds))
                )
            relations += between(taken)
    report["rows"] += relations
    for contestant in progress([c for c in present if memory and c.in_memory], "peak memory"):
        try:
            peak = memory(contestant) if memory else 0
        except Exception as error:
            report["failed"][f"{contestant.name}, memory"] = describe(error)
        else:
            section_name = f"peak memory over the float32 image, {LARGE.label}"
            report["rows"].append(Row(section_name, contestant.name, peak, contestant.memory))
    return report


def time(
    taking: Mapping[Key, Contestant], start: Start, repeat: int, budget: float, failed: dict[str, str]
) -> Mapping[Key, Seconds]:
    """The seconds of each contestant and size, without those that ``failed`` is told of."""
    labels = ", ".join(dict.fromkeys(size.label for _, size in taking))
    timers: dict[Key, Timer] = {}
    # The system ends a worker together with the thread that started it, so the threads outlive the stack.
    with ThreadPoolExecutor(os.cpu_count()) as threads, ExitStack() as stack:

        def warm_up(key: Key) -> Timer:
            timer = start(taking[key], key[1], stack)
            timer()
            return timer

        begun = {key: threads.submit(warm_up, key) for key in taking}
        try:
            for key in progress(list(begun), f"{labels}: warm-up"):
                error = begun[key].exception()
                if error is None:
                    timers[key] = begun[key].result()
                elif key[0] == PILLOW:
                    raise error
                else:  # the others continue
                    failed[f"{key[0]}, {key[1].label}"] = describe(error)
        except BaseException:  # an interrupt, too: nothing else is started
            threads.shutdown(wait=False, cancel_futures=True)
            raise
        always = {key for key in timers if key[0] == PILLOW}
        return interleave(timers, progress(range(repeat), f"{labels}: rounds"), repeat, budget, always)


def interleave(
    timers: Mapping[K, Timer], rounds: Iterable[int], repeat: int, budget: float = math.inf, always: Iterable[K] = ()
) -> dict[K, dict[int, float]]:
    """The seconds of each timer in each round, so that other work on the machine affects all of them equally.

    In a round each timer is called at most once, in random order. A timer that would take more than ``budget`` seconds
    over all ``repeat`` rounds takes part in fewer, spread evenly, unless it is one of ``always``.
    """
    shuffler = random.Random(0)
    taken: dict[K, dict[int, float]] = {key: {} for key in timers}
    every = dict.fromkeys(timers, 1)
    for at in rounds:
        keys = [key for key in timers if at % every[key] == 0]
        shuffler.shuffle(keys)
        for key in keys:
            taken[key][at] = timers[key]()
            if at == 0 and key not in always:
                wanted = math.ceil(taken[key][0] * repeat / budget)
                every[key] = max(1, min(wanted, (repeat - 1) // (FEWEST - 1)))
    return taken


def between(taken: Mapping[Key, Seconds]) -> Iterator[Row]:
    """Rows of the relations for which both were timed."""
    for title, above, below, at, per in RELATIONS:
        for size, target in at.items():
            one, other = (above, size), (below, per or size)
            if one in taken and other in taken:
                ratio, _ = median_ratio(taken[one], taken[other])
                ratio *= other[1].pixels / size.pixels
                yield Row("time per pixel over another's in the same rounds", f"{title}, {size.label}", ratio, target)


def median_ratio(above: Seconds, below: Seconds) -> tuple[float, float]:
    """The median of the ratios within a round, and that of the seconds above."""
    ratios = [above[at] / below[at] for at in above.keys() & below.keys()]
    return statistics.median(ratios), statistics.median(above.values())


def progress(items: Sequence[T], description: str) -> Iterable[T]:
    """The items; a bar on a terminal."""
    return track(items, description, console=STDERR, transient=True, disable=not STDERR.is_terminal)
