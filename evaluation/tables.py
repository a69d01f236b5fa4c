"""Learns the tables of `pyjpegdiff.tables`, and judges them on photos they have not seen.

``python -m evaluation.tables`` learns tables for each photo from the middles of all others. They are compared on the
whole photo with published tables: the Bjontegaard delta rate with respect to Annex K at qualities 20 to 95, of real
files in 4:2:0 with optimized Huffman tables. What is computed stays in build/tables; a second run goes on from there.
"""

import json
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import track

from evaluation.published_tables import PUBLISHED, Steps
from evaluation.table_photos import PHOTOS, load, middle
from pyjpegdiff import tables as shipped
from pyjpegdiff.distortions import dissimilarity, multiscale_dissimilarity, squared_error
from pyjpegdiff.learning import Distortion, LearnedTables, learn_tables
from pyjpegdiff.study.curves import MEASURES, Point, point, saving, steps_at
from pyjpegdiff.whole_file import write_whole

FOLDER = Path("build/tables")
QUALITIES = (20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95)
WIDER = (8, 12, 16, *QUALITIES, 97)
"""For tables whose qualities mean something else: together they cover the range of Annex K."""
SIDE = 256
ITERATIONS = 100
DISTORTIONS: dict[str, Distortion] = {
    "PSNR": squared_error, "SSIM": dissimilarity, "MULTISCALE": multiscale_dissimilarity,
}  # fmt: skip
ALL = "all"


def main() -> None:
    """Run as a script."""
    names = list(PHOTOS)
    work = [(kind, name) for kind in DISTORTIONS for name in (ALL, *names)]
    for kind, name in track(work, "learning", disable=not sys.stderr.isatty()):
        learned(kind, name)
    for name in track(names, "files", disable=not sys.stderr.isatty()):
        for label in (*PUBLISHED, *DISTORTIONS):
            curve(label, name)
    rates = {label: [savings(label, name) for name in names] for label in (*PUBLISHED, *DISTORTIONS)}
    write_whole(FOLDER / "result.json", json.dumps({"photos": names, "savings": rates}, indent=1).encode())
    print("\n".join([*report(names, rates), "", *map(sizes, DISTORTIONS), "", *sources()]))


# --- what is computed, and kept ---------------------------------------------------------------------------------------


def learned(kind: str, left_out: str) -> LearnedTables:
    """Tables for a measure, from all photos but one."""

    def compute() -> Any:
        images = [middle(load(name), SIDE) for name in PHOTOS if name != left_out]
        found = learn_tables(images, distortion=DISTORTIONS[kind], iterations=ITERATIONS)
        return [table.tolist() for table in found]

    luma, chroma = kept(f"learned {kind} {left_out}", compute)
    return LearnedTables(np.array(luma), np.array(chroma))


def curve(label: str, name: str) -> list[Point]:
    """The files of a photo; learned tables are those that have not seen it."""

    def compute() -> Any:
        photo = load(name)
        return [point(photo, steps(label, name, quality)) for quality in (QUALITIES if label == "Annex K" else WIDER)]

    return [Point(*values) for values in kept(f"files {label} {name}", compute)]


def steps(label: str, name: str, quality: int) -> Steps:
    """Of luma and chroma, for a photo."""
    if label in PUBLISHED:
        return PUBLISHED[label](quality)
    luma, chroma = learned(label, name)
    return steps_at(luma, quality), steps_at(chroma, quality)


def savings(label: str, name: str) -> list[float]:
    """By PSNR and by SSIM."""
    found = [saving(curve("Annex K", name), curve(label, name), measure) for measure in MEASURES]
    assert all(part.covered > 0.9 for part in found), f"{label} does not cover the range of Annex K for {name}: {found}"
    return [part.rate for part in found]


def kept(key: str, compute: Callable[[], Any]) -> Any:
    """A result, computed unless a file has it."""
    path = FOLDER / f"{key}.json"
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        found = compute()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(found).encode())
        return found


# --- the report -------------------------------------------------------------------------------------------------------


def report(names: Sequence[str], rates: dict[str, list[list[float]]]) -> Iterable[str]:
    """A Markdown table of means and ranges, and one of each photo."""
    labels = [label for label in rates if label != "Annex K"]
    yield "| tables | by PSNR | best to worst | by SSIM | best to worst |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for label in labels:
        values = np.array(rates[label])
        cells = [f"{v.mean():+.1%} | {v.min():+.1%} to {v.max():+.1%}" for v in values.T]
        yield f"| {_title(label)} | {' | '.join(cells)} |"
    yield ""
    yield f"| by PSNR / by SSIM | {' | '.join(_title(label) for label in labels)} |"
    yield f"| --- |{' ---: |' * len(labels)}"
    for at, name in enumerate(names):
        cells = [" / ".join(f"{100 * value:+.1f}" for value in rates[label][at]) for label in labels]
        yield f"| {name} | {' | '.join(cells)} |"


def sizes(kind: str) -> str:
    """What a quality means with learned tables."""
    ratios = []
    for name in PHOTOS:
        before = dict(zip(QUALITIES, curve("Annex K", name), strict=True))
        after = dict(zip(WIDER, curve(kind, name), strict=True))
        ratios.append([math.log(after[quality].size / before[quality].size) for quality in QUALITIES])
    means = dict(zip(QUALITIES, np.expm1(np.mean(ratios, 0)), strict=True))
    return f"learned, {kind}, size at a quality of Annex K: " + ", ".join(f"{q}: {means[q]:+.0%}" for q in (20, 70, 95))


def sources() -> Iterable[str]:
    """The tables learned from all photos, as `pyjpegdiff.tables` has them, and whether it does."""
    for kind in DISTORTIONS:
        for part, table in zip(("LUMINANCE", "CHROMINANCE"), learned(kind, ALL), strict=True):
            name = f"{kind}_{part}"
            same = np.array_equal(getattr(shipped, name, ()), table)
            yield f"{name} = (  # {'as shipped' if same else 'differs from the one shipped'}"
            yield from (f"    ({', '.join(map(str, row))})," for row in table.tolist())
            yield ")"


def _title(label: str) -> str:
    return f"learned, {label}" if label in DISTORTIONS else label


if __name__ == "__main__":
    main()
