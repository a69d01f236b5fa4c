"""Learned and published tables by SSIMULACRA2, for which none was learned: ``python -m evaluation.perceptual``.

As `evaluation.tables`, whose learned tables it takes, on the middles of the photos and at fewer qualities. The score is
that of the package ssimulacra2, which its authors fitted to what people said of compressed images.
"""

import io
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from ssimulacra2 import compute_ssimulacra2

from evaluation.published_tables import PUBLISHED
from evaluation.table_photos import PHOTOS, load, middle
from evaluation.tables import DISTORTIONS, kept, steps
from pyjpegdiff.study.curves import saving

SIDE = 512
QUALITIES = (20, 35, 50, 65, 80, 95)
WIDER = (8, 14, *QUALITIES, 97)


class Scored(NamedTuple):
    """A file: its size in bytes, and its score, 100 at best."""

    size: int
    score: float


def main() -> None:
    """Run as a script."""
    labels = [label for label in (*PUBLISHED, *DISTORTIONS) if label != "Annex K"]
    rates: dict[str, list[float]] = {label: [] for label in labels}
    for name in track(list(PHOTOS), "scores", disable=not sys.stderr.isatty()):
        before = curve("Annex K", name, QUALITIES)
        for label in labels:
            found = saving(before, curve(label, name, WIDER), "score")
            assert found.covered > 0.9, f"{label} does not cover the range of Annex K for {name}: {found}"
            rates[label].append(found.rate)
    print("| bytes at equal SSIMULACRA2 | mean | best to worst |")
    print("| --- | ---: | ---: |")
    for label, values in rates.items():
        print(f"| {label} | {np.mean(values):+.1%} | {min(values):+.1%} to {max(values):+.1%} |")
    for at, name in enumerate(PHOTOS):
        print(f"{name}: " + ", ".join(f"{label} {100 * values[at]:+.1f}" for label, values in rates.items()))


def curve(label: str, name: str, qualities: Sequence[int]) -> list[Scored]:
    """The files of a photo."""

    def compute() -> Any:
        photo = middle(load(name), SIDE)
        return [scored(photo, [table.ravel().tolist() for table in steps(label, name, q)]) for q in qualities]

    return [Scored(*values) for values in kept(f"scores {label} {name}", compute)]


def scored(photo: NDArray[np.uint8], tables: list[list[int]]) -> Scored:
    """A file of Pillow's, and its score."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", qtables=tables, optimize=True, subsampling=2)
    return Scored(len(file.getvalue()), float(compute_ssimulacra2(_png(photo), _png(np.asarray(Image.open(file))))))


def _png(pixels: NDArray[np.uint8]) -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    file.seek(0)
    return file


if __name__ == "__main__":
    main()
