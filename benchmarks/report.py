"""The report of a run: its rows, its file, and its table."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from PIL import features
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.calls import QUALITY, SUBSAMPLING
from benchmarks.contestants import Contestant

FORMAT = "pyjpegdiff-benchmarks 2"
PACKAGES = ("pyjpegdiff", "numpy", "pillow", "simplejpeg", "torch", "kornia", "cupy")
Report = dict[str, Any]
"""Its format and environment, the list of its `Row`s, and why contestants have ``failed`` or are ``missing``."""


class Row(NamedTuple):
    """One figure."""

    section: str
    name: str
    ratio: float
    target: float | None = None
    """What the ratio should be at most; None where that is left open."""
    milliseconds: float | None = None
    rounds: int | None = None


def new_report(contestants: Sequence[Contestant], **more: object) -> Report:
    """A report without rows: what the figures depend on besides the code, and who cannot take part."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else "unknown"
    versions = {name: version for name in PACKAGES if (version := _version(name))}
    versions |= {"Python": platform.python_version(), "libjpeg-turbo": features.version("libjpeg_turbo") or "none"}
    described = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "system": platform.platform(),
        "processor": f"{_processor()}, {cpus} CPUs, load {load}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "image": f"a photo at quality {QUALITY}, {SUBSAMPLING}",
        **more,
    }
    missing = {c.name: f"not installed: {', '.join(c.missing())}" for c in contestants if c.missing()}
    return {"format": FORMAT, "environment": described, "rows": [], "failed": {}, "missing": missing}


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def describe(error: BaseException) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {error}".strip().splitlines()[0]


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
    content = report | {"rows": [row._asdict() for row in report["rows"]]}
    text = json.dumps(content, indent=2, allow_nan=False) + "\n"
    write_whole(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def load(path: Path) -> Report:
    """Read a file of `save`; for another file, a `ValueError` says what is wrong."""
    try:
        report: Any = json.loads(path.read_text(encoding="utf-8"))
        if report["format"] != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        return {**report, "rows": [Row(**row) for row in report["rows"]]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: is not a report of this benchmark: {describe(error)}") from error


def show(report: Report, title: str) -> None:
    """Print everything; a ratio above its target is red."""
    console = Console(width=max(100, Console().width), highlight=False)  # in a file, the table is not narrower
    console.print(title, style="bold")
    for name, value in report["environment"].items():
        console.print(f"{name}: {value}", soft_wrap=True)
    table = Table(box=box.SIMPLE)
    for head in ("", "ms", "ratio", "target", "rounds"):
        table.add_column(head, justify="right" if head else "left", no_wrap=True)
    section = None
    for row in report["rows"]:
        if row.section != section:
            section = row.section
            table.add_section()
            table.add_row(section, style="bold")
        style = "none" if row.target is None else "red" if row.ratio > row.target else "green"
        table.add_row(
            f"  {row.name}",
            "" if row.milliseconds is None else f"{row.milliseconds:.4g}",
            f"[{style}]{row.ratio:.2f}[/]",
            "" if row.target is None else f"{row.target:g}",
            str(row.rounds or ""),
        )
    console.print(table)
    for name, reason in (report["failed"] | report["missing"]).items():
        console.print(f"{name}: {reason}", soft_wrap=True)
