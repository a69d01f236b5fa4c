"""The report of a run, and its file."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict, cast

FORMAT = "pyjpegdiff-benchmarks 1"


class Measured(TypedDict):
    """The measurement of one contestant at one size."""

    milliseconds: float
    ratio: float
    """The time, divided by Pillow's."""
    megapixels_per_second: float
    rounds: int


class SizeReport(TypedDict):
    """The measurements at one size."""

    label: str
    count: int
    edge: int
    measured: dict[str, Measured]
    failed: dict[str, str]


class MemoryReport(TypedDict):
    """Peak memory, divided by the size of the float32 image."""

    edge: int
    factors: dict[str, float]
    failed: dict[str, str]


class Report(TypedDict):
    """A whole run; the names of sizes and contestants are keys."""

    format: str
    environment: dict[str, Any]
    one_process: bool
    """Whether the contestants shared one process, where the freed memory of one speeds up another."""
    quality: int
    subsampling: str
    groups: dict[str, str]
    missing: dict[str, str]
    """Contestants that could not take part, and why."""
    sizes: dict[str, SizeReport]
    memory: MemoryReport | None
    derived: dict[str, dict[str, float]]


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` write a file completely, or not at all: it gets its name only after it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        write(partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def save(report: Report, path: Path) -> None:
    """Write the JSON file."""
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def load(path: Path) -> Report:
    """Read a file of `save`; for another file, a `ValueError` says what is wrong."""
    try:
        report: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ValueError(f"{path}: is not a report of this benchmark (format {FORMAT!r})")
    try:
        ratios = [measured["ratio"] for size in report["sizes"].values() for measured in size["measured"].values()]
        _ = report["one_process"], [size["failed"].items() for size in report["sizes"].values()]
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: is damaged: {type(error).__name__}: {error}") from error
    for ratio in ratios:
        if not (isinstance(ratio, (int, float)) and math.isfinite(ratio) and ratio > 0):
            raise ValueError(f"{path}: is damaged: a ratio must be a positive number, got {ratio!r}")
    return cast(Report, report)
