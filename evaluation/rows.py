"""What a long run has measured so far, a line each, so that it goes on where it was stopped; and its result."""

import json
from pathlib import Path
from typing import Any

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


def write_result(path: Path, result: dict[str, Any]) -> None:
    """A result file, which has no number that JSON lacks."""
    write_whole(path, (json.dumps(result, indent=1, allow_nan=False) + "\n").encode())
