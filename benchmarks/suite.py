"""A whole run: every size, then memory."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from functools import partial

from benchmarks import memory
from benchmarks.calls import QUALITY, SUBSAMPLING, ContestantError, Timer, timed
from benchmarks.contestants import PILLOW, Contestant
from benchmarks.derived import derive
from benchmarks.environment import environment
from benchmarks.photos import Size, batch
from benchmarks.progress import progress
from benchmarks.results import FORMAT, Measured, MemoryReport, Report, SizeReport
from benchmarks.rounds import Timing, measure, warm_up
from benchmarks.workers import Worker


def run(
    sizes: Sequence[Size],
    contestants: Sequence[Contestant],
    *,
    repeat: int,
    budget: float,
    one_process: bool,
    memory_edge: int | None,
) -> Report:
    """Measure; ``repeat`` and ``budget`` as in `rounds.measure`. Memory is not measured if ``memory_edge`` is None."""
    described = environment()  # before the benchmark itself causes load
    missing = {c.name: "not installed: " + ", ".join(c.missing()) for c in contestants if c.missing()}
    present = [contestant for contestant in contestants if contestant.name not in missing]
    measured = {size.name: run_size(size, present, repeat, budget, one_process) for size in sizes}
    return {
        "format": FORMAT,
        "environment": described,
        "one_process": one_process,
        "quality": QUALITY,
        "subsampling": SUBSAMPLING,
        "groups": {contestant.name: contestant.group for contestant in contestants},
        "missing": missing,
        "sizes": measured,
        "memory": None if memory_edge is None else run_memory(memory_edge, present),
        "derived": derive(measured),
    }


def run_size(
    size: Size, contestants: Sequence[Contestant], repeat: int, budget: float, one_process: bool
) -> SizeReport:
    """Time all contestants that take part at this size."""
    progress(size.label)
    taking = [contestant for contestant in contestants if contestant.takes_huge or not size.huge]
    with ExitStack() as stack:
        start = _starter_here(size) if one_process else _starter_of_workers(size, stack)
        timers, failed = warm_up({contestant.name: partial(start, contestant) for contestant in taking})
        if PILLOW.name in failed:
            raise RuntimeError(f"Pillow, the baseline, failed: {failed[PILLOW.name]}")
        timings = measure(timers, PILLOW.name, repeat, budget)
    return {
        "label": size.label,
        "count": size.count,
        "edge": size.edge,
        "measured": {name: _report(timing, size) for name, timing in timings.items()},
        "failed": failed,
    }


def _starter_here(size: Size) -> Callable[[Contestant], Timer]:
    images = batch(size)
    return lambda contestant: timed(contestant.build(images))


def _starter_of_workers(size: Size, stack: ExitStack) -> Callable[[Contestant], Timer]:
    return lambda contestant: stack.enter_context(closing(Worker(contestant.name, size)))


def run_memory(edge: int, contestants: Sequence[Contestant]) -> MemoryReport:
    """Peak memory of all contestants, each in a new process."""
    factors: dict[str, float] = {}
    failed: dict[str, str] = {}
    for contestant in contestants:
        progress(f"memory at {edge}x{edge}: {contestant.name}")
        try:
            factors[contestant.name] = memory.in_fresh_process(contestant.name, edge)
        except ContestantError as error:
            failed[contestant.name] = str(error)
    return {"edge": edge, "factors": factors, "failed": failed}


def _report(timing: Timing, size: Size) -> Measured:
    return {
        "milliseconds": 1e3 * timing.seconds,
        "ratio": timing.ratio,
        "megapixels_per_second": 1e-6 * size.pixels / timing.seconds,
        "rounds": timing.rounds,
    }
