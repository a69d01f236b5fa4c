"""The command line: what JPEG does to an image, and the distortion study."""

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import pyjpegdiff
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.study.files import UnreadableError, printable, read_image
from pyjpegdiff.study.measurement import coded_image
from pyjpegdiff.study.measures import psnr
from pyjpegdiff.study.pictures import png
from pyjpegdiff.study.settings import ARITHMETICS, SUBSAMPLINGS, Settings, Tables, read_tables
from pyjpegdiff.study.store import ROWS, OccupiedError, StudyError, write_whole

Command = TypeVar("Command", bound=Callable[..., Any])
SOME_LEFT_OUT, WRONG, STOPPED = 1, 2, 130
MEGAPIXELS = 89


class Wrong(click.ClickException):
    """What keeps a command from doing anything."""

    exit_code = WRONG


class Finite(click.FloatRange):
    """Numbers in a range, which ``nan`` is not, though comparisons let it pass."""

    def convert(self, value: Any, option: click.Parameter | None, context: click.Context | None) -> Any:
        """The number."""
        number = super().convert(value, option, context)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", option, context)
        return number


def qualities_of(context: click.Context, option: click.Parameter, value: str) -> list[int]:
    """Whole qualities, each once, in order: ``75``; ``5:95:5``, both ends included; ``10,50,90:100:5``."""
    found: set[int] = set()
    for part in value.split(","):
        try:
            first, *rest = (int(number) for number in part.split(":"))
            last, *steps = rest or [first]
            (step,) = steps or [1]
        except ValueError:
            raise click.BadParameter(f"{part!r} is not a quality such as 75, or FROM:TO:STEP such as 5:95:5") from None
        for holds, wanted in (
            (1 <= first <= 100 and 1 <= last <= 100, "lie in 1..100"),
            (first <= last, f"go upwards, as {last}:{first}:{abs(step) or 1} does"),
            (step >= 1, "have a step from 1"),
        ):
            if not holds:
                raise click.BadParameter(f"{part!r} must {wanted}")
        found.update(range(first, last + 1, step))
    return sorted(found)


def tables_of(context: click.Context, option: click.Parameter, value: Path | None) -> Tables:
    """Quantization tables of a file; standard ones of none."""
    if value is None:
        return Tables(None, None)
    try:
        return read_tables(value)
    except (OSError, ValueError, TypeError, SyntaxError) as error:
        reason = printable(getattr(error, "strerror", None) or str(error))
        raise click.BadParameter(f"{name_of(value)}: {reason}") from error


def coding_options(subsamplings: Sequence[str]) -> Callable[[Command], Command]:
    """The options that both commands have."""
    options = (
        click.option("--max-megapixels", type=Finite(min=0, min_open=True), default=MEGAPIXELS,
                     show_default=True, metavar="N",
                     help="Refuse larger images: a process takes about 70 MB a megapixel."),
        click.option("--arithmetic", type=click.Choice(ARITHMETICS), default="libjpeg", show_default=True,
                     help="libjpeg: the real codec, bit for bit; float: the same roundings in floating point."),
        click.option("--subsampling", type=click.Choice(subsamplings), default="4:2:0", show_default=True,
                     help="Resolution of chroma."),
        click.option("--tables", type=click.Path(path_type=Path), callback=tables_of, metavar="FILE",
                     help="Quantization tables, which quality scales, 50 taking them as they are: see below."),
    )  # fmt: skip

    def with_options(command: Command) -> Command:
        for option in options:
            command = option(command)
        return command

    return with_options


TABLES_HELP = """
\b
FILE of --tables is one of
  JSON    {"luma": [[16, 11, ...], ... 8 rows], "chroma": [...]};
          one that is missing is the standard one
  text    as libjpeg's `cjpeg -qtables` takes it: 64 whole numbers for both,
          or 128 for luma and chroma, row by row, # begins a comment
  JPEG    its own tables are taken
"""

TOP_HELP = """
\b
Examples:
  pyjpegdiff code photo.png coded.png --quality 30
  pyjpegdiff study photos/ --quality 5:95:5 --out study

`pyjpegdiff COMMAND --help` says more about each.
"""

CODE_HELP = f"""
\b
Examples:
  pyjpegdiff code photo.png coded.png --quality 30
  pyjpegdiff code photo.png coded.png --quality 50 --tables camera.jpg
  pyjpegdiff code scan.tif coded.png --quality 75 --subsampling 4:4:4
{TABLES_HELP}
Exits with 0 if OUT was written, else with 2.
"""

STUDY_HELP = f"""
\b
Examples:
  pyjpegdiff study photos/ --out study
  pyjpegdiff study a.png b.tif --quality 10,50,90 --out study --jobs 4
  pyjpegdiff study photos/ --quality 50 --tables camera.jpg --out camera
{TABLES_HELP}
Ctrl-C stops after the rows under way; the same command goes on from there. Another study in DIR is refused, unless
--overwrite; rows of the same settings are used again even then.

Images are turned upright as EXIF says, transparency is laid on white, 16 bits are scaled to 8, of several frames the
first is taken, palettes and CMYK become RGB; the notes say where.

\b
Exits with 0 if all went well, 1 if files were left out, which are named,
2 if there was nothing to do or to write to, 130 if stopped.
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=TOP_HELP)
@click.version_option(pyjpegdiff.__version__)
def command() -> None:
    """What JPEG does to images."""


@command.command(epilog=CODE_HELP)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--quality", type=Finite(1, 100), required=True, metavar="Q", help="1..100, fractions too.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@coding_options(sorted(SAMPLINGS))
def code(
    source: Path,
    out: Path,
    quality: float,
    overwrite: bool,
    tables: Tables,
    subsampling: str,
    arithmetic: str,
    max_megapixels: float,
) -> None:
    """Code the image IN as JPEG, decode it, and write that to OUT.

    OUT is a PNG file and must be called so: a JPEG file would code what is coded already a second time.
    """
    if out.suffix.lower() != ".png":
        raise Wrong(f"{name_of(out)} must end in .png: another format might change the pixels again, as JPEG would")
    if out.exists() and source.exists() and out.samefile(source):
        raise Wrong(f"{name_of(out)} would replace the image it is made of")
    if out.exists() and not overwrite:
        raise Wrong(f"{name_of(out)} exists; --overwrite replaces it")
    if source.is_dir():
        raise Wrong(f"{name_of(source)} is a folder: code takes one image, study all in a folder")
    Image.MAX_IMAGE_PIXELS = round(max_megapixels * 1e6)
    try:
        pixels, note = read_image(source)
    except UnreadableError as error:
        raise Wrong(f"{name_of(source)}: {error}") from error
    coded = coded_image(pixels, quality, Settings.of(subsampling, arithmetic, *tables, tuple(SAMPLINGS)))
    with writing(out):
        write_whole(out, png(coded))
    noted = f" ({note})" if note else ""
    click.echo(f"{name_of(source)}{noted} at quality {quality:g}: PSNR {psnr(pixels, coded):.2f} dB, {name_of(out)}")


@command.command(epilog=STUDY_HELP)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--quality", "qualities", callback=qualities_of, default="5:95:5", show_default=True, metavar="LIST",
              help="75, or FROM:TO:STEP with both ends, or several of these with commas.")  # fmt: skip
@click.option("--out", metavar="DIR", required=True, type=click.Path(path_type=Path),
              help="Folder for tables, figures, the report, and the rows measured so far.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", default=None,
              help="Processes, each with memory for an image.  [default: CPU cores]")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another study in DIR.")
@coding_options(SUBSAMPLINGS)
def study(
    paths: tuple[Path, ...],
    qualities: list[int],
    out: Path,
    jobs: int | None,
    overwrite: bool,
    tables: Tables,
    subsampling: str,
    arithmetic: str,
    max_megapixels: float,
) -> None:
    """Measure what JPEG does to images, and make a report of it.

    PATH is an image, or a folder, which stands for all files in it that have the suffix of an image, at any depth;
    hidden ones are left out, and so is what a study writes into DIR.

    DIR gets report.html, which opens in any browser; measurements.csv with PSNR, SSIM, PSNR-B, bytes and bits per
    pixel, a row an image and quality; frequencies.csv with the error at each DCT frequency and its sensitivity to each
    table entry; and two figures.
    """
    from pyjpegdiff.study.batch import StoppedError, study_files

    settings = Settings.of(subsampling, arithmetic, *tables)
    Image.MAX_IMAGE_PIXELS = round(max_megapixels * 1e6)
    console = Console(stderr=True)
    # In a thread, since the signal may come amid the bar's own writing, which cannot be entered twice.
    told = threading.Thread(
        target=console.print, args=("Stopping after the rows under way; Ctrl-C again stops at once.",)
    )
    try:
        with writing(out), bar(console) as progress:
            found = study_files(
                paths, qualities, out, subsampling=subsampling, arithmetic=arithmetic,
                quantization_table_y=np.array(settings.luma), quantization_table_c=np.array(settings.chroma),
                jobs=jobs or cores(), overwrite=overwrite, progress=progress,
                stopping=told.start,
            )  # fmt: skip
    except (StoppedError, KeyboardInterrupt):
        if told.is_alive():
            told.join()
        kept = f"What is measured is kept in {name_of(out)}; the same command goes on from there."
        click.echo(f"Stopped. {kept if any((out / ROWS).glob('*/*.json')) else 'Nothing is measured yet.'}", err=True)
        sys.exit(STOPPED)
    except OccupiedError as error:
        hint = "--overwrite replaces it, using again rows of the same settings; another --out keeps it"
        raise Wrong(f"{error}; {hint}") from error
    except StudyError as error:
        raise Wrong(str(error)) from error
    for image in found.images:
        if image.note:
            click.echo(f"note: {image.name}: {image.note}", err=True)
    for failure in found.failures:
        click.echo(f"left out: {failure.name}: {failure.reason}", err=True)
    images = "1 image" if len(found.images) == 1 else f"{len(found.images)} images"
    at = "1 quality" if len(qualities) == 1 else f"{len(qualities)} qualities"
    click.echo(f"{images} at {at}: {name_of(out / 'report.html')}")
    sys.exit(SOME_LEFT_OUT if found.failures else 0)


# --- help of all kinds ------------------------------------------------------------------------------------------------


def cores() -> int:
    """Those that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def name_of(path: Path) -> str:
    """For people."""
    return printable(str(path))


@contextlib.contextmanager
def writing(out: Path) -> Iterator[None]:
    """A disk that is full, a folder that is not ours: said in a line."""
    try:
        yield
    except OSError as error:
        raise Wrong(f"cannot write {name_of(out)}: {error.strerror or error}") from error


@contextlib.contextmanager
def bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar, where there is a terminal."""
    columns = TextColumn("{task.description:>9}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = shown.add_task(phase, total=total)
            shown.update(tasks[phase], completed=done)

        yield progress
