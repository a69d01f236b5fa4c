"""Find what got slower, relative to Pillow's time: ``python -m benchmarks.compare OLD.json NEW.json``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.report import load


def main(given: Sequence[str] | None = None) -> int:
    """Exit status: 0 if nothing got worse, 1 if something did, 2 if the reports cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=float, default=1.25, help="allowed factor (default: %(default)s)")
    options = parser.parse_args(given)
    try:
        old, new = load(options.old), load(options.new)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    before = {(row.section, row.name): row.ratio for row in old["rows"]}
    pairs = [(row, before[row.section, row.name]) for row in new["rows"] if (row.section, row.name) in before]
    if not pairs:
        print("the two reports have no measurement in common", file=sys.stderr)
        return 2
    worse = [f"{name} FAILED" for name in new["failed"]]
    for row, ratio in pairs:
        change = row.ratio / ratio
        print(f"{row.section}: {row.name}: {ratio:.2f} -> {row.ratio:.2f}, {change:.2f} times")
        if change > options.tolerance:
            worse.append(f"{row.section}: {row.name}: {change:.2f} times")
    print(f"\nworse by more than a factor of {options.tolerance:g}:", *worse or ["none"], sep="\n  ")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
