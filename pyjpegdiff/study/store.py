"""The folder of a study: it has one small file per row, so a study can be stopped at any time and continued."""

import contextlib
import functools
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import pyjpegdiff
from pyjpegdiff.study.files import real_path
from pyjpegdiff.study.lock import LockedError, locked
from pyjpegdiff.study.measurement import TABLES, Measurement
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.whole_file import PARTIAL, write_whole

PLAN = "study.json"
ROWS = "rows"
LOCK = ".lock"
SIGNED = len('["", ') + 64
"""Where a row begins in its file, after the check sum."""


class StudyError(Exception):
    """A study cannot continue; the message is for users."""


class OccupiedError(StudyError):
    """The folder holds files that this study would replace, and replacing them was not requested."""


@functools.cache
def versions() -> dict[str, str]:
    """The packages that the numbers of a row depend on."""
    return {"pyjpegdiff": pyjpegdiff.__version__, **{name: version(name) for name in ("pillow", "scikit-image")}}


class Store:
    """The rows, one file per row; image content, settings and quality identify a row."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._made_by = {"settings": asdict(settings), "versions": versions()}
        key = hashlib.sha256(json.dumps(self._made_by, sort_keys=True).encode()).hexdigest()[:16]
        self._folder = folder
        self._rows = folder / ROWS / key
        self._plan: dict[str, Any] = {}
        self._replaces: Sequence[str] = ()

    def plan(self, paths: Sequence[Path], qualities: Sequence[int], outputs: Sequence[str], overwrite: bool) -> None:
        """Set what the study is to measure.

        Raises
        ------
        OccupiedError
            If the folder holds another study, or files that a study would replace, and ``overwrite`` is false.
        """
        plan = {**self._made_by, "qualities": list(qualities), "paths": [str(real_path(path)) for path in paths]}
        self._plan = json.loads(json.dumps(plan))  # lists instead of tuples, to compare equal to what is read back
        self._replaces = () if overwrite else outputs
        self._require_free_folder()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """Start this study in the folder, or continue it; nobody else does until the end.

        Raises
        ------
        StudyError
            If a study is at work in the folder, or if the folder has become occupied since `plan`.
        """
        self._rows.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self._rows.parent / LOCK):
                self._require_free_folder()
                write_whole(self._folder / PLAN, json.dumps(self._plan, indent=1).encode())
                for partial in (*self._folder.glob(PARTIAL.format("*")), *self._rows.glob(PARTIAL.format("*"))):
                    with contextlib.suppress(OSError):
                        partial.unlink()  # of a process that was killed
                yield
        except LockedError:
            raise StudyError(f"another study is at work in {self._folder}") from None

    def _require_free_folder(self) -> None:
        if not self._replaces:
            return
        try:
            existing = json.loads((self._folder / PLAN).read_bytes())
        except FileNotFoundError:
            taken = [name for name in self._replaces if (self._folder / name).exists()]
            if taken:
                files = ", ".join(taken)
                raise OccupiedError(f"{self._folder} has files that a study would replace: {files}") from None
            return
        except (ValueError, RecursionError, IsADirectoryError):
            raise OccupiedError(f"{self._folder / PLAN} is not the file of a study") from None
        differs = [name for name, value in flat(self._plan).items() if flat(existing).get(name) != value]
        if differs:
            raise OccupiedError(f"{self._folder} holds a study that differs in {', '.join(differs)}")

    def load(self, digest: str, quality: int) -> Measurement | None:
        """A row, if it has been measured and is as it was saved; whatever else is there is measured again.

        So is a row of another version of this package that had other columns.
        """
        try:
            found = self._path(digest, quality).read_bytes()
        except OSError:
            return None
        content = found[SIGNED:-1]
        if found != self._signed(digest, quality, content):
            return None
        row = json.loads(content)
        if row.keys() != {field.name for field in fields(Measurement)}:
            return None
        return Measurement(**{**row, **{name: np.array(row[name]) for name in TABLES}})

    def save(self, digest: str, row: Measurement) -> None:
        """Save a row."""
        tables = {name: getattr(row, name).tolist() for name in TABLES}
        content = json.dumps({**vars(row), **tables}).encode()
        write_whole(self._path(digest, row.quality), self._signed(digest, row.quality, content))

    def _signed(self, digest: str, quality: int, content: bytes) -> bytes:
        """A row after its check sum, which holds for this image, quality and settings alone, in JSON."""
        checked = f"{self._rows.name} {digest} {quality} ".encode() + content
        return b'["%s", %s]' % (hashlib.sha256(checked).hexdigest().encode(), content)

    def _path(self, digest: str, quality: int) -> Path:
        return self._rows / f"{digest}-{quality:03}.json"


def flat(plan: Any) -> dict[str, Any]:
    """The single values of a plan; the keys are names for users."""
    found: dict[str, Any] = {}
    for name, value in plan.items() if isinstance(plan, dict) else ():
        found |= {f"{name.rstrip('s')} {n}": v for n, v in value.items()} if isinstance(value, dict) else {name: value}
    return found
