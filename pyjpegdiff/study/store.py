"""The folder of a study: one small file a row while it is under way, so that it may stop at any moment and go on."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import pyjpegdiff
from pyjpegdiff.study.files import real_path
from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.settings import Settings

PLAN = "study.json"
ROWS = "rows"
TABLES = ("error_energy", "sensitivity_y", "sensitivity_c")
ABANDONED = 3600
"""Seconds after which a file that is half written is nobody's."""


class StudyError(Exception):
    """Why a study cannot go on, in words for people."""


class OccupiedError(StudyError):
    """The folder holds what this study would replace, and was not told to."""


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Store:
    """Rows by what is in the image, settings and quality, one file each."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._made_by = {
            "settings": asdict(settings),
            "versions": {"pyjpegdiff": pyjpegdiff.__version__, **{n: version(n) for n in ("pillow", "scikit-image")}},
        }
        key = hashlib.sha256(json.dumps(self._made_by, sort_keys=True).encode()).hexdigest()[:16]
        self._folder = folder
        self._rows = folder / ROWS / key
        self._plan: dict[str, Any] = {}

    def plan(self, paths: Sequence[Path], qualities: Sequence[int], outputs: Sequence[str], overwrite: bool) -> None:
        """Say what the study is to be.

        Raises
        ------
        OccupiedError
            If the folder holds another study, or files that a study would replace, unless ``overwrite``.
        """
        plan = {**self._made_by, "qualities": list(qualities), "paths": [str(real_path(path)) for path in paths]}
        self._plan = json.loads(json.dumps(plan))  # with lists for tuples, as it will be read back
        if not overwrite:
            self._refuse_what_is_there(self._plan, outputs)

    def open(self) -> None:
        """Make the folder this study's, or go on with it."""
        self._rows.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / PLAN, json.dumps(self._plan, indent=1).encode())
        for half in self._rows.glob(".*.partial"):
            with contextlib.suppress(OSError):
                if time.time() - half.stat().st_mtime > ABANDONED:
                    half.unlink()

    def _refuse_what_is_there(self, plan: dict[str, Any], outputs: Sequence[str]) -> None:
        try:
            there = json.loads((self._folder / PLAN).read_bytes())
        except FileNotFoundError:
            taken = [name for name in outputs if (self._folder / name).exists()]
            if taken:
                files = ", ".join(taken)
                raise OccupiedError(f"{self._folder} has files that a study would replace: {files}") from None
            return
        except ValueError:
            raise OccupiedError(f"{self._folder / PLAN} is not readable as a study's") from None
        differs = [name for name, value in flat(plan).items() if flat(there).get(name) != value]
        if differs:
            raise OccupiedError(f"{self._folder} holds a study that differs in {', '.join(differs)}")

    def load(self, digest: str, quality: int) -> Measurement | None:
        """A row, if it has been measured."""
        try:
            row = json.loads(self._path(digest, quality).read_bytes())
            return Measurement(**{**row, **{name: np.array(row[name]).reshape(8, 8) for name in TABLES}})
        except (FileNotFoundError, ValueError, TypeError, KeyError):  # what a crash left of a row is measured anew
            return None

    def save(self, digest: str, row: Measurement) -> None:
        """Keep a row."""
        tables = {name: getattr(row, name).tolist() for name in TABLES}
        write_whole(self._path(digest, row.quality), json.dumps({**vars(row), **tables}).encode())

    def _path(self, digest: str, quality: int) -> Path:
        return self._rows / f"{digest}-{quality:03}.json"


def flat(plan: Any) -> dict[str, Any]:
    """The leaves that a study may differ in, by a name for people."""
    found: dict[str, Any] = {}
    for name, value in plan.items() if isinstance(plan, dict) else ():
        found |= {f"{name.rstrip('s')} {n}": v for n, v in value.items()} if isinstance(value, dict) else {name: value}
    return found
