"""The command that learns quantization tables from photos."""

import json
import math
from pathlib import Path

import click
import numpy as np
from rich.console import Console

from pyjpegdiff.learning import LearnedTables
from pyjpegdiff.study.curves import MEASURES, SAMPLING_OF_PILLOW
from pyjpegdiff.study.files import find
from pyjpegdiff.study.learn import DISTORTIONS, HELD_OUT, Judgment, judge, learn, read_photos
from pyjpegdiff.terminal import (
    MEGAPIXELS,
    STOPPED,
    Finite,
    PathArgument,
    Wrong,
    bar,
    exists,
    limit_pixels,
    name_of,
    tell_left_out,
    writing,
)
from pyjpegdiff.whole_file import write_whole

HELP = f"""
\b
Examples:
  pyjpegdiff tables photos/ --quality 75 --out tables.json
  pyjpegdiff tables photos/ --quality 40 --measure ssim --out tables.json
  pyjpegdiff code photo.png coded.jpg --quality 75 --tables tables.json

One photo of {HELD_OUT} is held out. On these, the command writes files in memory with optimized Huffman tables, and
prints how many bytes the learned tables take at the PSNR and at the SSIM that the tables of Annex K reach at quality Q.

Ctrl-C stops; the same command continues. Until FILE is there, FILE.learning has what it needs for that.

\b
Exits with 0 if FILE was written, 130 after Ctrl-C, otherwise with 2.
"""


@click.command(epilog=HELP)
@click.argument("paths", metavar="PHOTOS...", nargs=-1, required=True, type=PathArgument())
@click.option("--quality", type=click.IntRange(1, 99), required=True, metavar="Q",
              help="1..99, the quality at which the tables will be used.")  # fmt: skip
@click.option("--out", metavar="FILE", required=True, type=PathArgument(),
              help="JSON, as --tables of the other commands reads it.")  # fmt: skip
@click.option("--measure", type=click.Choice(list(DISTORTIONS)), default="psnr", show_default=True,
              help="What files of equal size should be better in; multiscale: SSIM at full, half and quarter size, "
              "which comes nearest to what people see.")  # fmt: skip
@click.option("--subsampling", type=click.Choice(sorted(SAMPLING_OF_PILLOW)), default="4:2:0", show_default=True,
              help="Resolution of chroma.")  # fmt: skip
@click.option("--iterations", type=click.IntRange(min=1), default=200, show_default=True, metavar="N",
              help="Number of changes of the tables.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, metavar="N",
              help="Decides which photos are held out, and the order of the others.")  # fmt: skip
@click.option("--overwrite", is_flag=True, help="Replace FILE if it exists.")
@click.option("--max-megapixels", type=Finite(min=0, min_open=True), default=MEGAPIXELS, show_default=True,
              metavar="N", help="Leave larger photos out.")  # fmt: skip
def tables(
    paths: tuple[Path, ...],
    quality: int,
    out: Path,
    measure: str,
    subsampling: str,
    iterations: int,
    seed: int,
    overwrite: bool,
    max_megapixels: float,
) -> None:
    """Learn quantization tables that take fewer bytes for photos like these.

    PHOTOS are images or folders. A folder stands for all files in it, at any depth, that have the suffix of an image.
    """
    if exists(out) and not overwrite:
        raise Wrong(f"{name_of(out)} exists; --overwrite replaces it")
    if exists(out) and out.is_dir():
        raise Wrong(f"{name_of(out)} is a folder")
    limit_pixels(max_megapixels)
    state = out.with_name(f"{out.name}.learning")
    try:
        with writing(out), bar(Console(stderr=True)) as progress:
            photos = read_photos(list(find(paths, [])), seed, progress)
            tell_left_out(photos.left_out.items())
            if not photos.learned_from:
                raise Wrong("two photos that differ are needed at least: one to learn from, one to judge by")
            learned = learn(photos, quality, measure, subsampling, iterations, seed, state, progress)
            judged, gone = judge(photos, learned, quality, subsampling, progress)
            tell_left_out(gone.items())
            write_whole(out, _content(learned))
            state.unlink(missing_ok=True)
    except KeyboardInterrupt:
        saved = f"{name_of(state)} has it; the same command continues." if exists(state) else "Nothing is learned yet."
        click.echo(f"Stopped. {saved}", err=True)
        raise SystemExit(STOPPED) from None
    for judgment in judged:
        click.echo(f"{judgment.name}: {_text(judgment)}")
    click.echo(f"{len(photos.learned_from)} learned from, {len(judged)} held out: {_mean(judged)}; {name_of(out)}")


def _content(learned: LearnedTables) -> bytes:
    """The file, a line for a row of a table."""
    rows = [",\n  ".join(map(json.dumps, table.tolist())) for table in learned]
    return f'{{"luma": [\n  {rows[0]}],\n "chroma": [\n  {rows[1]}]}}\n'.encode()


def _text(judgment: Judgment) -> str:
    before = judgment.before
    compared = ", ".join(
        f"{size:.0f} ({size / before.size - 1:+.1%}) at equal {measure.upper()}"
        if math.isfinite(size) else f"none of equal {measure.upper()}"
        for measure, size in judgment.sizes.items()
    )  # fmt: skip
    return f"{before.size} bytes, {before.psnr:.2f} dB, SSIM {before.ssim:.4f} with Annex K; learned: {compared}"


def _mean(judged: list[Judgment]) -> str:
    """The mean of the logarithms of ratios, as a change."""
    parts = []
    for measure in MEASURES:
        ratios = [judgment.sizes[measure] / judgment.before.size for judgment in judged]
        finite = [math.log(ratio) for ratio in ratios if math.isfinite(ratio)]
        parts.append(f"{math.expm1(np.mean(finite)):+.1%}" if finite else "unknown")
    return f"{parts[0]} bytes at equal PSNR, {parts[1]} at equal SSIM"
