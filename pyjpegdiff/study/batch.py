"""A study of many files: found, read, measured on several processes, kept row by row, and shown."""

import csv
import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pyjpegdiff.study.files import Input, find
from pyjpegdiff.study.measurement import Measurement, checked_qualities, frequency_rows, rows
from pyjpegdiff.study.pictures import Pictures
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.study.store import ROWS, Store, StudyError, write_whole
from pyjpegdiff.study.tasks import Failure, Row, Show, StudiedImage, inspect, measure_row, picture_of, pixels_of
from pyjpegdiff.study.work import Stop, run

OUTPUTS = ("measurements.csv", "frequencies.csv", "rate-distortion.png", "heat-maps.png", "report.html")
SHOWN = 24
"""Images that a report shows: each takes about a quarter of a megabyte."""

Progress = Callable[[str, int, int], None]


@dataclass
class Study:
    """What `study_files` found."""

    images: list[StudiedImage]
    failures: list[Failure]

    def rows(self) -> list[dict[str, Any]]:
        """One plain dict an image and quality, as in ``measurements.csv``."""
        return [{**self._of(image), **row} for image in self.images for row in rows(image.measurements)]

    def frequency_rows(self) -> list[dict[str, Any]]:
        """One plain dict an image, quality and frequency, as in ``frequencies.csv``."""
        return [{"image": image.name, **row} for image in self.images for row in frequency_rows(image.measurements)]

    @staticmethod
    def _of(image: StudiedImage) -> dict[str, Any]:
        channels = 1 if image.gray else 3
        return {"image": image.name, "width": image.width, "height": image.height, "channels": channels,
                "note": image.note}  # fmt: skip


class StoppedError(StudyError):
    """The user stopped a study before its end; what was measured is kept."""


def study_files(
    paths: Iterable[str | os.PathLike[str]],
    qualities: Iterable[int],
    out: str | os.PathLike[str],
    *,
    subsampling: str = "4:2:0",
    arithmetic: str = "libjpeg",
    quantization_table_y: ArrayLike | None = None,
    quantization_table_c: ArrayLike | None = None,
    jobs: int = 1,
    overwrite: bool = False,
    progress: Progress = lambda phase, done, total: None,
    stopping: Callable[[], None] = lambda: None,
) -> Study:
    """Measure image files, and write tables, figures and a page about them.

    Parameters
    ----------
    paths : iterable of path
        Image files, and folders, which stand for all files in them that have the suffix of an image, at any depth;
        hidden ones are left out, and so is what a study writes into ``out``.
    qualities : iterable of int
        Whole numbers in 1..100.
    out : path
        Folder for ``measurements.csv`` (a row an image and quality), ``frequencies.csv`` (a row an image, quality and
        frequency), ``rate-distortion.png``, ``heat-maps.png`` and ``report.html``, each written whole or not at all.
        It also keeps each row as soon as it is measured: called again with the same arguments, a study that was stopped
        goes on where it was.
    subsampling, arithmetic, quantization_table_y, quantization_table_c
        As in `pyjpegdiff.study.study`.
    jobs : int
        Processes, from 1. More than one need the guard ``if __name__ == "__main__":`` in a script.
    overwrite : bool
        Let this study replace another in ``out``. Rows that were measured with the same settings are still used.
    progress : callable
        Called with a phase, how much of it is done, and how much there is.
    stopping : callable
        Called when Ctrl-C or SIGTERM is heard. Rows under way are still finished and kept; a second one ends at once.

    Returns
    -------
    Study
        ``images`` in the order of ``paths``, each with its measurements, and ``failures``: files that cannot be read,
        and why.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.
    StudyError
        If ``out`` holds another study or other files of those names, no image can be read, or a process died; its
        subclass `StoppedError` if the user stopped it.
    OSError
        If ``out`` cannot be written.
    """
    settings = Settings.of(subsampling, arithmetic, quantization_table_y, quantization_table_c)
    wanted = sorted(set(checked_qualities(qualities)))
    given, out = checked_paths(paths), Path(out)
    if not wanted or not given:
        raise ValueError(f"{'paths' if wanted else 'qualities'} must not be empty")
    jobs = checked_jobs(jobs)
    store = Store(out, settings)
    store.plan(given, wanted, OUTPUTS, overwrite)
    batch = _Batch(settings, wanted, store, jobs, progress, Stop(stopping))
    try:
        with batch.stop.listening():
            found = batch.read(list(find(given, [out / name for name in (*OUTPUTS, ROWS)])))
            batch.need(found)
            store.open()
            found = batch.measured(found)
            batch.need(found)
            batch.show(found, out)
    except BrokenProcessPool:
        if batch.stop.asked:
            raise StoppedError("stopped, and a process with it") from None
        raise StudyError(
            "a process died, for want of memory perhaps (then go on with fewer jobs), "
            'or in a script without `if __name__ == "__main__":`'
        ) from None
    finally:
        pixels_of.cache_clear()
    return found


# --- arguments --------------------------------------------------------------------------------------------------------


def checked_paths(paths: Any) -> list[Path]:
    """Several paths, if they are."""
    wanted = "paths must be several paths, such as ['photos']"
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        raise TypeError(f"{wanted}, got {paths!r}")
    given = list(paths)
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"{wanted}, got {path!r} among them")
    return [Path(path) for path in given]


def checked_jobs(jobs: Any) -> int:
    """A number of processes, if it is one."""
    if isinstance(jobs, bool) or not isinstance(jobs, int | np.integer):
        raise TypeError(f"jobs must be a whole number from 1, got {jobs!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be a whole number from 1, got {jobs!r}")
    return int(jobs)


# --- the course of a study --------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    settings: Settings
    qualities: list[int]
    store: Store
    jobs: int
    progress: Progress
    stop: Stop

    def run(self, phase: str, function: Callable[[Any], Any], tasks: Sequence[Any], done: int = 0) -> Any:
        """Each task and its result; ``done`` tasks count as done before."""
        total = done + len(tasks)
        self.progress(phase, done, total)
        for count, result in enumerate(run(function, tasks, min(self.jobs, max(1, len(tasks))), self.stop), done + 1):
            yield result
            self.progress(phase, count, total)
        if self.stop.asked:
            raise StoppedError(f"stopped while {phase}")

    def read(self, inputs: list[Input]) -> Study:
        """All images, not yet measured."""
        order = {found.name: place for place, found in enumerate(inputs)}
        results = [result for _, result in self.run("reading", inspect, inputs)]
        results.sort(key=lambda result: order[result.name])
        images = [result for result in results if isinstance(result, StudiedImage)]
        return Study(images, [result for result in results if isinstance(result, Failure)])

    def need(self, found: Study) -> None:
        """Without an image there is nothing to show."""
        if not found.images:
            reasons = "".join(f"\n  {failure.name}: {failure.reason}" for failure in found.failures)
            raise StudyError(f"there is no image that can be read{reasons}")

    def measured(self, found: Study) -> Study:
        """With the rows that were kept, and those that were missing."""
        rows: dict[tuple[str, int], Measurement] = {}
        missing: dict[tuple[str, int], Row] = {}
        for image in found.images:
            for quality in self.qualities:
                key = image.digest, quality
                kept = rows.get(key) or self.store.load(*key)
                if kept is not None:
                    rows[key] = kept
                else:
                    missing.setdefault(key, Row(image, quality, self.settings))
        reasons: dict[str, str] = {}
        for row, result in self.run("measuring", measure_row, list(missing.values()), len(rows)):
            if isinstance(result, Failure):
                reasons[row.image.digest] = result.reason
            else:
                self.store.save(row.image.digest, result)
                rows[row.image.digest, row.quality] = result
        failures = [Failure(image.name, reasons[image.digest]) for image in found.images if image.digest in reasons]
        images = [image for image in found.images if image.digest not in reasons]
        for image in images:
            image.measurements = [rows[image.digest, quality] for quality in self.qualities]
        return Study(images, found.failures + failures)

    def show(self, found: Study, out: Path) -> None:
        """Write all that a study writes."""
        from pyjpegdiff.study import plots, report  # and with them what measuring does not need

        curves = {name: image.measurements for name, image in zip(short(found.images), found.images, strict=True)}
        qualities = spread(self.qualities, 5)
        maps = plots.frequency_maps([(i.height * i.width, i.measurements) for i in found.images], qualities)
        shown = self.pictures(found)
        images = [
            {"name": name, "size": (image.width, image.height), "note": image.note, "measurements": image.measurements,
             "pictures": shown.get(image.name)}
            for name, image in zip(curves, found.images, strict=True)
        ]  # fmt: skip
        page = report.report(images, curves, maps, qualities, found.failures, self.settings)
        figures = plots.rate_distortion(curves), plots.heat_maps(maps, qualities)
        contents = [table(found.rows()), table(found.frequency_rows()), *map(plots.figure_png, figures), page]
        for name, content in zip(OUTPUTS, contents, strict=True):
            write_whole(out / name, content)

    def pictures(self, found: Study) -> dict[str, Pictures]:
        """Of as many images as a page can hold, those that suffer most."""
        middle = self.qualities[(len(self.qualities) - 1) // 2]
        place = self.qualities.index(middle)
        worst = sorted(found.images, key=lambda image: image.measurements[place].psnr)[:SHOWN]
        tasks = [Show(image, spread(self.qualities, 4), middle, self.settings) for image in worst]
        shown = {}
        for task, result in self.run("drawing", picture_of, tasks):
            if isinstance(result, Failure):
                found.failures.append(result)
            else:
                shown[task.image.name] = result
        return shown


def spread(values: Sequence[int], count: int) -> list[int]:
    """Some of the values, from first to last as evenly as can be."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]


def short(images: Sequence[StudiedImage]) -> list[str]:
    """Names without the folders that all have in common."""
    folders = [Path(image.name).parent for image in images]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # some absolute, some not, or on several drives
        return [image.name for image in images]
    return [Path(image.name).relative_to(common).as_posix() for image in images]


def table(rows: Sequence[dict[str, Any]]) -> bytes:
    """As CSV in UTF-8; infinite and missing numbers are ``inf`` and ``nan``, which pandas and NumPy read."""
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().encode()
