"""What a long run has measured so far, a line each, so that it goes on where it was stopped; and its result."""

import json
import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyjpegdiff
from pyjpegdiff.whole_file import write_whole


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, if there is one; a line that was cut short is removed from it."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.is_file() else []
    if lines and not lines[-1].endswith("\n"):
        write_whole(path, "".join(lines[:-1]).encode())
        lines = lines[:-1]
    return [json.loads(line) for line in lines]


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Add a row to a file, which need not be there yet."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def command(module: str) -> str:
    """What was typed to run a module."""
    return shlex.join(["python", "-m", module, *sys.argv[1:]])


def versions(package: str) -> dict[str, str]:
    """Of what computes: this package, one other, and Python."""
    return {"pyjpegdiff": pyjpegdiff.__version__, package: version(package), "python": platform.python_version()}


def write_result(path: Path, result: dict[str, Any]) -> None:
    """A result file, which has no number that JSON lacks."""
    write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())


def write_half(path: Path, half: str, result: dict[str, Any]) -> None:
    """Put the result of a half of the photos into a result file, in place of what that half had."""
    halves = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    write_result(path, halves | {half: result})
