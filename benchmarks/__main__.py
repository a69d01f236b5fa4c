"""Measure, print a table, write a JSON file and a plot: ``python -m benchmarks``."""

import argparse
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from benchmarks import memory, suite
from benchmarks.contestants import CONTESTANTS, PILLOW, choose
from benchmarks.photos import SIZES
from benchmarks.results import save, write_whole
from benchmarks.rounds import FEWEST
from benchmarks.table import render

DEFAULT_JSON = Path("build/bench/latest.json")


def main(given: Sequence[str] | None = None) -> None:
    """Run the benchmark with the options of the command line."""
    parser = _parser()
    options = parser.parse_args(given)
    contestants = choose(options.only)
    if options.only and contestants == [PILLOW]:
        parser.error(f"--only {' '.join(options.only)} matches none of: {', '.join(CONTESTANTS)}")
    if options.repeat is not None and options.repeat < FEWEST:
        parser.error(f"--repeat must be at least {FEWEST}, got {options.repeat}")
    sizes = options.sizes or (["64", "512"] if options.quick else list(SIZES))
    repeat = options.repeat or (5 if options.quick else 50)
    edge = None if options.quick or options.no_memory else memory.EDGE

    report = suite.run(
        [SIZES[name] for name in sizes],
        contestants,
        repeat=repeat,
        budget=2.0 if options.quick else 10.0,
        one_process=options.one_process,
        memory_edge=edge,
    )
    save(report, options.json)
    print(render(report))
    print(f"\nwritten: {options.json}")
    if importlib.util.find_spec("matplotlib") is None:
        print("no plot: matplotlib is not installed")
        return
    from benchmarks.plot import draw

    picture = options.json.with_suffix(".png")
    write_whole(picture, lambda partial: draw(report, partial))
    print(f"written: {picture}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="two small sizes, few rounds, no measurement of memory")
    add("--sizes", nargs="+", choices=SIZES, help="sizes to measure (default: all)")
    add("--only", nargs="+", default=[], metavar="TEXT", help="contestants whose name contains one of these")
    add(
        "--repeat",
        type=int,
        metavar="N",
        help="most rounds per size; slow contestants take part in fewer rounds (default: 50)",
    )
    add(
        "--one-process",
        action="store_true",
        help="one process for all contestants: starts faster, but memory that one contestant frees speeds up others",
    )
    add("--no-memory", action="store_true", help="do not measure memory, which needs one process per contestant")
    add(
        "--json",
        type=Path,
        default=DEFAULT_JSON,
        metavar="FILE",
        help="default: %(default)s; the plot is written to the same folder",
    )
    return parser


if __name__ == "__main__":
    main()
