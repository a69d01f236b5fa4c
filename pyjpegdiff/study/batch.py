"""A study of many files: find them, measure them in processes or on a cluster, save each row, write the report."""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

from pyjpegdiff.study.arguments import check_client, checked_folder, checked_jobs, checked_paths, checked_qualities
from pyjpegdiff.study.files import Input, find
from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.pictures import Pictures
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.study.store import ROWS, Store, StudyError
from pyjpegdiff.study.summary import spread
from pyjpegdiff.study.tabular import frequency_rows, rows, table
from pyjpegdiff.study.tasks import Failure, Row, Show, StudiedImage, inspect, measure_row, picture_of, pixels_of
from pyjpegdiff.study.work import Processes, Stop
from pyjpegdiff.whole_file import write_whole

if TYPE_CHECKING:
    import distributed

OUTPUTS = ("measurements.csv", "frequencies.csv", "rate-distortion.png", "rate-distortion-dark.png",
           "heat-maps.png", "heat-maps-dark.png", "report.html")  # fmt: skip
SHOWN = 24
"""The most images that a report shows: each takes about a quarter of a megabyte."""

Progress = Callable[[str, int, int], None]
Work = Callable[[Callable[[Any], Any], Sequence[Any]], Iterable[tuple[Any, Any]]]
"""Yields each task with what the function makes of it."""


@dataclass
class Study:
    """What `study_files` found."""

    images: list[StudiedImage]
    failures: list[Failure]

    def rows(self) -> list[dict[str, str | float]]:
        """One plain dict per image and quality, as in ``measurements.csv``."""
        return [{**self._image_columns(image), **row} for image in self.images for row in rows(image.measurements)]

    def frequency_rows(self) -> list[dict[str, str | float]]:
        """One plain dict per image, quality and frequency, as in ``frequencies.csv``."""
        return [{"image": image.name, **row} for image in self.images for row in frequency_rows(image.measurements)]

    @staticmethod
    def _image_columns(image: StudiedImage) -> dict[str, str | float]:
        channels = 1 if image.gray else 3
        return {"image": image.name, "width": image.width, "height": image.height, "channels": channels,
                "note": image.note}  # fmt: skip


class StoppedError(StudyError):
    """The user stopped a study before its end; the measured rows are kept."""


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
    client: "distributed.Client | None" = None,
    overwrite: bool = False,
    progress: Progress = lambda phase, done, total: None,
    stopping: Callable[[], None] = lambda: None,
) -> Study:
    """Measure image files, and write tables, figures and a report about them.

    Parameters
    ----------
    paths : iterable of path
        Image files and folders. A folder stands for all files in it, at any depth, that have the suffix of an image.
        Hidden files, links to folders, and the files that a study writes into ``out`` are left out.
    qualities : iterable of int
        Whole numbers in 1..100.
    out : path
        Folder for ``measurements.csv`` (one row per image and quality), ``frequencies.csv`` (one row per image, quality
        and frequency), the figures ``rate-distortion.png`` and ``heat-maps.png``, each with a variant that ends in
        ``-dark.png``, and ``report.html``. Each file is written completely or not at all. Each row is saved there as
        soon as it is measured: if a study was stopped, the same call continues it. While one study works in a folder,
        no other can.
    subsampling, arithmetic, quantization_table_y, quantization_table_c
        As in `pyjpegdiff.study.study`.
    jobs : int
        Number of processes, at least 1. A script needs the guard ``if __name__ == "__main__":`` for more than one.
    client : distributed.Client, optional
        Work on its cluster instead of here: each row is a task, and one whose worker dies is given to another. The
        workers need the same versions of this package, Pillow and scikit-image, and the files under the same paths;
        rows are saved here. Not with ``jobs``.
    overwrite : bool
        Whether this study may replace another one in ``out``. Rows measured with the same settings are still used.
    progress : callable
        Called with the name of a phase, the number of its tasks that are done, and the number of all its tasks.
    stopping : callable
        Called at Ctrl-C or SIGTERM. The rows that have been started are still finished and saved; a second signal stops
        at once.

    Returns
    -------
    Study
        ``images`` in the order of ``paths``, each with its measurements, and ``failures``: the files that cannot be
        read or changed meanwhile, each with the reason. A name that begins as a formula of a spreadsheet does, with
        ``=``, ``+``, ``-`` or ``@``, has ``./`` before it.

    Raises
    ------
    TypeError, ValueError
        The message names the argument, its value and the allowed values.
    StudyError
        If ``out`` holds another study or other files of those names, if another one is at work there, if no image can
        be read, if a process died or cannot be started, or if the cluster cannot go on.
        If the user stopped the study, its subclass `pyjpegdiff.study.StoppedError`.
    OSError
        If ``out`` cannot be written.
    """
    settings = Settings.of(subsampling, arithmetic, quantization_table_y, quantization_table_c)
    sorted_qualities = sorted(set(checked_qualities(qualities)))
    given, out = checked_paths(paths), checked_folder(out)
    if not sorted_qualities or not given:
        raise ValueError(f"{'paths' if sorted_qualities else 'qualities'} must not be empty")
    jobs = checked_jobs(jobs)
    check_client(client, jobs)
    store = Store(out, settings)
    store.plan(given, sorted_qualities, OUTPUTS, overwrite)
    stop = Stop(stopping)
    try:
        with stop.listening(), contextlib.ExitStack() as workers:
            work = workers.enter_context(_workers(jobs, client, stop))
            batch = _Batch(settings, sorted_qualities, store, work, progress, stop)
            found = batch.read(list(find(given, [out / name for name in (*OUTPUTS, ROWS)])))
            batch.require_images(found)
            with store.opened():
                found = batch.measure(found)
                batch.require_images(found)
                shown = batch.pictures(found)
                batch.require_images(found)
                workers.close()  # before figures need memory
                batch.write(found, shown, out)
    except BrokenProcessPool:
        if stop.requested:
            raise StoppedError("stopped, and a process was ended") from None
        raise StudyError(
            "a process died: perhaps too little memory (then continue with fewer jobs), "
            'or a script without `if __name__ == "__main__":`'
        ) from None
    return found


@contextlib.contextmanager
def _workers(jobs: int, client: Any, stop: Stop) -> Iterator[Work]:
    """What does the tasks: processes, which end with the block, or a cluster."""
    try:
        if client is None:
            with Processes(jobs, stop) as processes:
                yield processes.run
        else:
            from pyjpegdiff.study import cluster

            yield functools.partial(cluster.run, client=client, stop=stop)
    finally:
        pixels_of.cache_clear()


# --- the steps of a study ---------------------------------------------------------------------------------------------


@dataclass
class _Batch:
    settings: Settings
    qualities: list[int]
    store: Store
    work: Work
    progress: Progress
    stop: Stop

    def run(
        self, phase: str, function: Callable[[Any], Any], tasks: Sequence[Any], done: int = 0
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each task and its result; ``done`` further tasks count as finished before."""
        total = done + len(tasks)
        self.progress(phase, done, total)
        for count, result in enumerate(self.work(function, tasks), done + 1):
            yield result
            self.progress(phase, count, total)
        if self.stop.requested:
            raise StoppedError(f"stopped while {phase}")

    def read(self, inputs: list[Input]) -> Study:
        """Read all images, without measurements."""
        order = {found.name: place for place, found in enumerate(inputs)}
        located = [Input(found.name, found.path.absolute()) for found in inputs]  # workers may be in other folders
        results = [result for _, result in self.run("reading", inspect, located)]
        results.sort(key=lambda result: order[result.name])
        images = [result for result in results if isinstance(result, StudiedImage)]
        return Study(images, [result for result in results if isinstance(result, Failure)])

    def require_images(self, found: Study) -> None:
        """Raise if there is no image to study."""
        if not found.images:
            reasons = "".join(f"\n  {failure.name}: {failure.reason}" for failure in found.failures)
            raise StudyError(f"there is no image that can be read{reasons}")

    def measure(self, found: Study) -> Study:
        """Load the saved rows, and measure the others."""
        rows: dict[tuple[str, int], Measurement] = {}
        missing: dict[tuple[str, int], Row] = {}
        for image in found.images:
            for quality in self.qualities:
                key = image.digest, quality
                saved = rows.get(key) or self.store.load(*key)
                if saved is not None:
                    rows[key] = saved
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

    def write(self, found: Study, shown: dict[str, Pictures], out: Path) -> None:
        """Write all files of the study."""
        from pyjpegdiff.study import maps, plots, report  # imported here: only this step needs Matplotlib and Jinja

        curves = {name: image.measurements for name, image in zip(short(found.images), found.images, strict=True)}
        qualities = spread(self.qualities, 5)
        shown_maps = maps.frequency_maps(
            [(i.height * i.width, i.measurements) for i in found.images], qualities, self.settings
        )
        images = [
            {"name": name, "size": (image.width, image.height), "note": image.note, "measurements": image.measurements,
             "pictures": shown.get(image.name)}
            for name, image in zip(curves, found.images, strict=True)
        ]  # fmt: skip
        page = report.report(images, curves, shown_maps, qualities, found.failures, self.settings)
        figures = plots.rate_distortion(curves), maps.heat_maps(shown_maps, qualities)
        pngs = [png for figure in figures for png in plots.themed_pngs(figure)]
        contents = [table(found.rows()), table(found.frequency_rows()), *pngs, page]
        for name, content in zip(OUTPUTS, contents, strict=True):
            write_whole(out / name, content)

    def pictures(self, found: Study) -> dict[str, Pictures]:
        """The pictures of the images with the lowest PSNR, as many as a report shows.

        A file that has changed or gone since it was measured is left out of the study, as it is before that.
        """
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
        failed = {failure.name for failure in found.failures}
        found.images = [image for image in found.images if image.name not in failed]
        return shown


def short(images: Sequence[StudiedImage]) -> list[str]:
    """Names without the folders that all images share."""
    folders = [Path(image.name).parent for image in images]
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # some absolute, some not, or on several drives
        return [image.name for image in images]
    return [Path(image.name).relative_to(common).as_posix() for image in images]
