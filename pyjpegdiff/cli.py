"""The command line: one image through JPEG, the distortion study, and learning tables."""

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from rich.console import Console

import pyjpegdiff
from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.backends.threads import cpus
from pyjpegdiff.files import write_jpeg
from pyjpegdiff.study.coding import compressed
from pyjpegdiff.study.files import UnreadableError, printable, read_image
from pyjpegdiff.study.measures import psnr
from pyjpegdiff.study.pictures import png
from pyjpegdiff.study.settings import ARITHMETICS, Settings, Tables, read_tables
from pyjpegdiff.study.store import ROWS, OccupiedError, StudyError
from pyjpegdiff.tables_command import tables
from pyjpegdiff.terminal import (
    MEGAPIXELS,
    STOPPED,
    Finite,
    PathArgument,
    Program,
    Wrong,
    bar,
    exists,
    limit_pixels,
    name_of,
    tell_left_out,
    writing,
)
from pyjpegdiff.whole_file import write_whole

Command = TypeVar("Command", bound=Callable[..., Any])
SOME_LEFT_OUT = 1
JPEG_SUFFIXES = (".jpg", ".jpeg")
CONNECTING = 10
"""Seconds to wait for a scheduler."""


def qualities_of(context: click.Context, option: click.Parameter, value: str) -> list[int]:
    """Whole qualities, each once, sorted. Examples: ``75``; ``5:95:5``, with both ends; ``10,50,90:100:5``."""
    found: set[int] = set()
    for part in value.split(","):
        try:
            first, *rest = (int(number) for number in part.split(":"))
            last, *steps = rest or [first]
            (step,) = steps or [1]
        except ValueError:
            raise click.BadParameter(f"{part!r} is not a quality such as 75, or FROM:TO:STEP such as 5:95:5") from None
        for holds, rule in (
            (1 <= first <= 100 and 1 <= last <= 100, "lie in 1..100"),
            (first <= last, f"go upwards, as {last}:{first}:{abs(step) or 1} does"),
            (step >= 1, "have a step of at least 1"),
        ):
            if not holds:
                raise click.BadParameter(f"{part!r} must {rule}")
        found.update(range(first, last + 1, step))
    return sorted(found)


def tables_of(context: click.Context, option: click.Parameter, value: Path | None) -> Tables:
    """The quantization tables in a file; the standard tables if no file is given."""
    if value is None:
        return Tables(None, None)
    try:
        return read_tables(value)
    except (OSError, ValueError) as error:
        reason = printable(getattr(error, "strerror", None) or str(error))
        raise click.BadParameter(f"{name_of(value)}: {reason}") from error


def coding_options(command: Command) -> Command:
    """Add the options that both commands have."""
    options = (
        click.option("--max-megapixels", type=Finite(min=0, min_open=True), default=MEGAPIXELS,
                     show_default=True, metavar="N",
                     help="Refuse larger images: a process needs about 70 MB per megapixel."),
        click.option("--arithmetic", type=click.Choice(ARITHMETICS), default="libjpeg", show_default=True,
                     help="libjpeg: the real codec, bit for bit; float: the same roundings in floating point."),
        click.option("--subsampling", type=click.Choice(sorted(SAMPLINGS)), default="4:2:0", show_default=True,
                     help="Resolution of chroma."),
        click.option("--tables", type=PathArgument(), callback=tables_of, metavar="FILE",
                     help="Quantization tables, see below. Quality scales them; 50 leaves them unchanged."),
    )  # fmt: skip

    for option in options:
        command = option(command)
    return command


TABLES_HELP = """
\b
FILE of --tables is one of
  JSON    {"luma": [[16, 11, ...], ... 8 rows], "chroma": [...]};
          if one is missing, the standard table is used
  text    in the format of libjpeg's `cjpeg -qtables`: 64 whole numbers for
          both, or 128 for luma and chroma, row by row, # begins a comment
  JPEG    the tables of that file are used
"""

TOP_HELP = """
\b
Examples:
  pyjpegdiff code photo.png coded.png --quality 30
  pyjpegdiff study photos/ --quality 5:95:5 --out study
  pyjpegdiff tables photos/ --quality 75 --out tables.json

`pyjpegdiff COMMAND --help` says more about each.
"""

CODE_HELP = f"""
\b
Examples:
  pyjpegdiff code photo.png coded.png --quality 30
  pyjpegdiff code photo.png coded.jpg --quality 50 --tables camera.jpg
  pyjpegdiff code scan.tif coded.png --quality 75 --subsampling 4:4:4
{TABLES_HELP}
Exits with 0 if OUT was written and reported, 130 after Ctrl-C, otherwise with 2.
"""

STUDY_HELP = f"""
\b
Examples:
  pyjpegdiff study photos/ --out study
  pyjpegdiff study a.png b.tif --quality 10,50,90 --out study --jobs 4
  pyjpegdiff study photos/ --quality 50 --tables camera.jpg --out camera
  pyjpegdiff study /shared/photos --out study --scheduler tcp://10.0.0.1:8786
{TABLES_HELP}
Ctrl-C stops after the rows that have been started; the same command continues from there. If DIR holds another study,
--overwrite is needed. Rows measured with the same settings are used again even then.

Images are turned upright according to EXIF. Transparent pixels are blended with white. 16 bits are scaled to 8. Of
several frames, the first is used. Palettes and CMYK are converted to RGB. Notes name the images that were converted.
PostScript is left out, because reading it would run a program. So is an image with a side of more than 65500 pixels,
and a file that changes while the study runs.

In 4:4:0, which Pillow cannot write, a process may need 300 MB per megapixel.

Names that begin with =, +, - or @ are written with ./ before them: a spreadsheet would take them for formulas.

\b
Exits with 0 if every file was measured, 1 if some files were left out (the
output names them), 2 if nothing could be measured or written, 130 if stopped.
"""


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"]}, epilog=TOP_HELP)
@click.version_option(pyjpegdiff.__version__)
def command() -> None:
    """Show and measure what JPEG does to images."""


command.add_command(tables)


@command.command(epilog=CODE_HELP)
@click.argument("source", metavar="IN", type=PathArgument())
@click.argument("out", metavar="OUT", type=PathArgument())
@click.option("--quality", type=Finite(1, 100), required=True, metavar="Q", help="1..100, also fractions.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
@coding_options
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
    """Compress the image IN with JPEG, decompress it, and write the result to OUT.

    If the name of OUT ends in .png, OUT holds the pixels of the result. If it ends in .jpg or .jpeg, OUT is the
    compressed file, with optimized Huffman tables and without metadata: its pixels are the same.
    """
    is_jpeg = out.suffix.lower() in JPEG_SUFFIXES
    if not is_jpeg and out.suffix.lower() != ".png":
        raise Wrong(f"{name_of(out)} must end in .png or .jpg: another format might change the pixels again")
    if is_jpeg and arithmetic != "libjpeg":
        raise Wrong(f"{name_of(out)} needs --arithmetic libjpeg: decoders would not show what float arithmetic does")
    if exists(out) and exists(source) and out.samefile(source):
        raise Wrong(f"{name_of(out)} would replace the input image")
    if exists(out) and not overwrite:
        raise Wrong(f"{name_of(out)} exists; --overwrite replaces it")
    if exists(source) and source.is_dir():
        raise Wrong(f"{name_of(source)} is a folder: code takes one image, study all in a folder")
    limit_pixels(max_megapixels)
    try:
        pixels, note = read_image(source)
    except UnreadableError as error:
        raise Wrong(f"{name_of(source)}: {error}") from error
    settings = Settings.of(subsampling, arithmetic, *tables)
    coefficients, result = compressed(pixels, quality, settings)
    size = ""
    with writing(out):
        if is_jpeg:
            size = f", {write_jpeg(out, coefficients, overwrite=True)} bytes"
        else:
            write_whole(out, png(result))
    remark = f" ({note})" if note else ""
    shown = f"PSNR {psnr(pixels, result):.2f} dB{size}, {name_of(out)}"
    click.echo(f"{name_of(source)}{remark} at quality {quality:g}: {shown}")


@command.command(epilog=STUDY_HELP)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=PathArgument())
@click.option("--quality", "qualities", callback=qualities_of, default="5:95:5", show_default=True, metavar="LIST",
              help="75, or FROM:TO:STEP with both ends, or several of these separated by commas.")  # fmt: skip
@click.option("--out", metavar="DIR", required=True, type=PathArgument(),
              help="Folder for tables, figures, the report, and the rows measured so far.")  # fmt: skip
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", default=None,
              help="Number of processes; each needs memory for an image.  [default: CPU cores]")  # fmt: skip
@click.option("--scheduler", metavar="ADDRESS", default=None,
              help="Work on the dask.distributed cluster of this scheduler, such as tcp://10.0.0.1:8786, instead of in "
              "processes here.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace another study in DIR.")
@coding_options
def study(
    paths: tuple[Path, ...],
    qualities: list[int],
    out: Path,
    jobs: int | None,
    scheduler: str | None,
    overwrite: bool,
    tables: Tables,
    subsampling: str,
    arithmetic: str,
    max_megapixels: float,
) -> None:
    """Measure what JPEG does to images, and write a report.

    PATH is an image or a folder. A folder stands for all files in it, at any depth, that have the suffix of an image.
    Hidden files, links to folders, and the files that a study writes into DIR are left out. In one DIR, one study can
    work at a time.

    The study writes to DIR: report.html, which opens in any browser; measurements.csv with PSNR, SSIM, PSNR-B, bytes,
    bits of luma and chroma, DC and AC, and the rate-distortion slope, one row per image and quality; frequencies.csv
    with the error at each DCT frequency and the sensitivity to each table entry; and two figures, each in a light and a
    dark variant.
    """
    from pyjpegdiff.study.batch import StoppedError, study_files

    if scheduler is not None and jobs is not None:
        raise click.UsageError("--jobs is for processes here; with --scheduler the cluster's workers do the work.")
    settings = Settings.of(subsampling, arithmetic, *tables)
    limit_pixels(max_megapixels)
    console = Console(stderr=True)
    # In a thread, because the signal may arrive while the progress bar prints, and printing is not reentrant.
    notice = threading.Thread(
        target=console.print, args=("Stopping after the rows that have been started; Ctrl-C again stops at once.",)
    )
    try:
        with cluster(scheduler) as client, writing(out), bar(console) as progress:
            found = study_files(
                paths, qualities, out, subsampling=subsampling, arithmetic=arithmetic,
                quantization_table_y=np.array(settings.luma), quantization_table_c=np.array(settings.chroma),
                jobs=1 if client else jobs or cpus(), client=client, overwrite=overwrite, progress=progress,
                stopping=notice.start,
            )  # fmt: skip
    except (StoppedError, KeyboardInterrupt):
        if notice.is_alive():
            notice.join()
        saved = f"The measured rows are saved in {name_of(out)}; the same command continues from there."
        click.echo(f"Stopped. {saved if any((out / ROWS).glob('*/*.json')) else 'Nothing is measured yet.'}", err=True)
        sys.exit(STOPPED)
    except OccupiedError as error:
        hint = "--overwrite replaces it, but uses rows with the same settings again; another --out keeps it"
        raise Wrong(f"{error}; {hint}") from error
    except StudyError as error:
        raise Wrong(str(error)) from error
    for image in found.images:
        if image.note:
            click.echo(f"note: {image.name}: {image.note}", err=True)
    tell_left_out(found.failures)
    images = "1 image" if len(found.images) == 1 else f"{len(found.images)} images"
    count = "1 quality" if len(qualities) == 1 else f"{len(qualities)} qualities"
    click.echo(f"{images} at {count}: {name_of(out / 'report.html')}")
    sys.exit(SOME_LEFT_OUT if found.failures else 0)


# --- helpers ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """The client of a scheduler, or None without an address."""
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ModuleNotFoundError as error:
        raise Wrong(
            f'{error.name}, which --scheduler needs, is not installed; run: pip install "pyjpegdiff[cli,dask]"'
        ) from error
    try:
        client = Client(address, timeout=CONNECTING, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError) as error:
        raise Wrong(f"no scheduler answers at {address}: {printable(str(error))}") from error
    # What they log when the scheduler goes away, with tracebacks, is what the study says in one line.
    for name in ("asyncio", "distributed", "distributed.client", "tornado.application"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with client:
        yield client
