"""Interleaved timing: other work on the machine affects all contestants equally."""

import random
import statistics
from collections.abc import Callable, Mapping
from typing import NamedTuple

from benchmarks.calls import Timer, describe
from benchmarks.progress import progress

FEWEST = 3


class Timing(NamedTuple):
    """The timing of one contestant at one size."""

    seconds: float
    """Median over its rounds."""
    ratio: float
    """Median over its rounds of its time, divided by the baseline's time in the same round."""
    rounds: int


def warm_up(starts: Mapping[str, Callable[[], Timer]]) -> tuple[dict[str, Timer], dict[str, str]]:
    """Start the timers, and call each once to warm up caches, compilers and memory; also returns why others failed."""
    timers: dict[str, Timer] = {}
    failed: dict[str, str] = {}
    for name, start in starts.items():
        progress(f"  warm-up: {name}")
        try:
            timer = start()
            timer()
        except Exception as error:  # the others continue, whatever error one contestant raises
            failed[name] = describe(error)
        else:
            timers[name] = timer
    return timers, failed


def measure(timers: Mapping[str, Timer], baseline: str, repeat: int, budget: float) -> dict[str, Timing]:
    """Call all timers in rounds.

    In a round each timer is called at most once, in random order; the baseline takes part in every round. A call that
    would take longer than ``budget`` seconds over ``repeat`` rounds takes part in fewer rounds, spread evenly, but at
    least in `FEWEST`.
    """
    shuffler = random.Random(0)
    taken: dict[str, dict[int, float]] = {name: {} for name in timers}
    planned = dict.fromkeys(timers, repeat)
    rounds = repeat
    at = 0
    while at < rounds:
        progress(f"  round {at + 1} of {rounds}", fleeting=True)
        names = [name for name in timers if name == baseline or _takes_part(at, planned[name], rounds)]
        shuffler.shuffle(names)
        for name in names:
            taken[name][at] = timers[name]()
        if at == 0:
            planned = {name: _plan(seconds[0], repeat, budget) for name, seconds in taken.items()}
            rounds = max(count for name, count in planned.items() if name != baseline or len(timers) == 1)
        at += 1
    return {name: _summarize(seconds, taken[baseline]) for name, seconds in taken.items()}


def _plan(seconds: float, repeat: int, budget: float) -> int:
    affordable = repeat if seconds * repeat <= budget else int(budget / seconds)
    return max(FEWEST, min(repeat, affordable))


def _takes_part(at: int, planned: int, rounds: int) -> bool:
    """True for ``planned`` of the rounds, including the first."""
    return at == 0 or at * planned // rounds > (at - 1) * planned // rounds


def _summarize(taken: Mapping[int, float], baseline: Mapping[int, float]) -> Timing:
    ratio = statistics.median(seconds / baseline[at] for at, seconds in taken.items())
    return Timing(statistics.median(taken.values()), ratio, len(taken))
