"""Find what got slower, relative to Pillow's time: ``python -m benchmarks.compare OLD.json NEW.json``."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.contestants import PILLOW
from benchmarks.results import Report, load
from benchmarks.table import columns


class Change(NamedTuple):
    """The change of one contestant at one size; a ratio is None if it was not measured."""

    size: str
    name: str
    old: float | None
    new: float | None
    failed: str | None = None

    def verdict(self, tolerance: float) -> str:
        """A short description of the change."""
        if self.failed:
            return "FAILED"
        if self.old is None or self.new is None:
            return "new" if self.old is None else "not measured"
        if self.new > tolerance * self.old:
            return "WORSE"
        return "better" if tolerance * self.new < self.old else ""


def changes(old: Report, new: Report) -> Iterator[Change]:
    """The changes of everything that either run measured, with sizes in the order of the new run."""
    for size in dict.fromkeys([*new["sizes"], *old["sizes"]]):
        before = old["sizes"][size]["measured"] if size in old["sizes"] else {}
        after = new["sizes"][size]["measured"] if size in new["sizes"] else {}
        failed = new["sizes"][size]["failed"] if size in new["sizes"] else {}
        for name in dict.fromkeys([*after, *before]):
            if name != PILLOW.name:
                old_ratio, new_ratio = (found[name]["ratio"] if name in found else None for found in (before, after))
                yield Change(size, name, old_ratio, new_ratio, failed.get(name))


def compare(old: Report, new: Report, tolerance: float) -> tuple[str, bool]:
    """A table of the changes, and whether all are within the tolerance."""
    found = list(changes(old, new))
    if not any(change.old and change.new for change in found):
        raise ValueError("the two reports have no measurement in common")
    verdicts = [change.verdict(tolerance) for change in found]
    rows = [
        [change.name, change.size, _number(change.old), _number(change.new), _factor(change), verdict]
        for change, verdict in zip(found, verdicts, strict=True)
    ]
    lines = columns([["time over Pillow's", "size", "old", "new", "change", ""]], rows)
    lines += [f"{change.name} at {change.size}: {change.failed}" for change in found if change.failed]
    if old["one_process"] != new["one_process"]:
        lines.append("beware: in one report all contestants shared one process, in the other each had a separate one")
    worse = sum(verdict in ("WORSE", "FAILED") for verdict in verdicts)
    return "\n".join([*lines, "", f"{worse or 'none'} worse by more than a factor of {tolerance:g}"]), not worse


def _number(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}"


def _factor(change: Change) -> str:
    return f"{change.new / change.old:.2f}" if change.old and change.new else "-"


def main(given: Sequence[str] | None = None) -> int:
    """Exit status: 0 if nothing got worse, 1 if something did, 2 if the reports cannot be compared."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description=__doc__)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--tolerance", type=_tolerance, default=1.25, help="allowed factor (default: %(default)s)")
    options = parser.parse_args(given)
    try:
        text, fine = compare(load(options.old), load(options.new), options.tolerance)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0 if fine else 1


def _tolerance(text: str) -> float:
    tolerance = float(text)
    if not 1 <= tolerance < float("inf"):
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {text}")
    return tolerance


if __name__ == "__main__":
    sys.exit(main())
