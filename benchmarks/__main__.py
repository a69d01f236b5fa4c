"""Measure, print a table, write a JSON file and a plot: ``python -m benchmarks``."""

import argparse
import importlib.util
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks import processes, suite
from benchmarks.contestants import CONTESTANTS, LARGE, ONE, PILLOW, SIZES, choose
from benchmarks.report import save, show, write_whole
from pyjpegdiff import backends

LABELS = {"one": ONE, **{str(size.edge): size for size in SIZES if size != ONE}}
TITLE = "JPEG, time over Pillow's encode + decode of the same images: medians of interleaved rounds"


def main(given: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="without the large size, compilers and memory; few rounds")
    add("--sizes", nargs="+", choices=LABELS, help="one: an image of 64x64; 64: 64 such images (default: all)")
    add("--only", nargs="+", default=[], metavar="TEXT", help="contestants whose name contains one of these")
    add("--backend", choices=backends.available(), help="who executes our NumPy and torch calls")
    add("--repeat", type=int, metavar="N", help="rounds; slow contestants take part in fewer (default: 30)")
    add("--no-memory", action="store_true", help="do not measure memory")
    add("--json", type=Path, default=Path("build/bench/latest.json"), help="default: %(default)s; the plot lies beside")
    options = parser.parse_args(given)
    contestants = [c for c in choose(options.only) if not (options.quick and "compiled" in c.name)]
    if [contestant.name for contestant in contestants] == [PILLOW]:
        parser.error(f"--only {' '.join(options.only)} matches none of: {', '.join(CONTESTANTS)}")
    if options.repeat is not None and options.repeat < suite.FEWEST:
        parser.error(f"--repeat must be at least {suite.FEWEST}, got {options.repeat}")

    labels = options.sizes or [label for label in LABELS if not options.quick or label != str(LARGE.edge)]
    with_memory = not (options.quick or options.no_memory)
    report = suite.run(
        contestants,
        [LABELS[label] for label in labels],
        start=partial(processes.timer, options.backend),
        repeat=options.repeat or (5 if options.quick else 30),
        budget=1.0 if options.quick else 4.0,
        memory=partial(processes.memory, options.backend, LARGE) if with_memory else None,
        backend=options.backend or f"{default_backend()}, by default",
        threads="1 unless said",
    )
    save(report, options.json)
    show(report, TITLE)
    print(f"written: {options.json}")
    if importlib.util.find_spec("matplotlib"):
        from benchmarks.plot import draw

        picture = options.json.with_suffix(".png")
        write_whole(picture, lambda partial: draw(report, partial))
        print(f"written: {picture}")


def default_backend() -> str:
    """The one that NumPy arrays get if nobody names one."""
    found = map(backends.get, backends.available())
    return next(backend.name for backend in found if backend.automatic and backend.takes_numpy)


if __name__ == "__main__":
    main()
