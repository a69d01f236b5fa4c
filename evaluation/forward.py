"""How near to the real codec each differentiable JPEG is: ``python -m evaluation.forward``.

All codecs are compared with what Pillow reads back from the file it wrote, in 4:2:0, on whole groups of blocks: the
published code takes nothing else. Each photo, quality and codec is a line of a file in ``build``: a run that was
stopped goes on there, and one with more codecs measures those alone.
"""

import sys
from collections import defaultdict
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from evaluation.codecs import Floats, codecs
from evaluation.peers import PEERS
from evaluation.photos import REPORT, load, through_file
from evaluation.rows import append_row, read_rows, versions, write_result

STRONG = tuple(range(1, 11))
EVEN = tuple(range(1, 100, 3))
QUALITIES = tuple(sorted({*STRONG, *EVEN}))
REPEATED = (REPORT[0], (4, 52, 88))
"""A photo and its qualities whose rows are in the result file one by one, to be measured again by whoever reads it."""
GROUP = 16
RESULT = Path(__file__).parent / "results" / "forward.json"
Key = tuple[str, int, str]
"""A photo, a quality, the name of a codec."""


def distances(result: Floats, real: Floats) -> tuple[float, float, float]:
    """PSNR in dB, SSIM, and the mean absolute difference."""
    squared = float(np.mean((result - real) ** 2))
    psnr = 10 * np.log10(255**2 / squared) if squared else np.inf
    ssim = structural_similarity(result, real, channel_axis=-1, data_range=255)  # type: ignore[no-untyped-call]
    return float(psnr), float(ssim), float(np.mean(abs(result - real)))


def rows_of(
    name: str, image: NDArray[np.uint8], qualities: tuple[int, ...] = QUALITIES, done: Container[Key] = ()
) -> Iterator[dict[str, Any]]:
    """Distances of each codec to the file, at each quality, but for those that are done."""
    for quality in qualities:
        real = None
        for kind, of_kind in codecs().items():
            for codec, code in of_kind.items():
                if (name, quality, codec) in done:
                    continue
                real = through_file(image, quality).astype(np.float64) if real is None else real
                psnr, ssim, l1 = distances(code(image.astype(np.float64), quality), real)
                yield {
                    "photo": name, "quality": quality, "kind": kind, "codec": codec,
                    "psnr": psnr, "ssim": ssim, "l1": l1,
                }  # fmt: skip


def whole_groups(name: str) -> NDArray[np.uint8]:
    """A photo without what would be padded."""
    photo = load(name)
    height, width = (length // GROUP * GROUP for length in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])


def key_of(row: dict[str, Any]) -> Key:
    """What a row was measured of."""
    return row["photo"], row["quality"], row["codec"]


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Means over photos and qualities of each codec: over all qualities, and over the lowest ten; PSNR by quality.

    The mean PSNR is over those files that differ, None where none does; `equal` is the share of those that do not.
    """
    of_codec: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        of_codec[row["kind"], row["codec"]].append(row)
    found: dict[str, dict[str, Any]] = {}
    for (kind, codec), mine in of_codec.items():
        found[codec] = {"kind": kind}
        for label, qualities in (("1..99", EVEN), ("1..10", STRONG)):
            part = [row for row in mine if row["quality"] in qualities]
            psnr, equal = _of_differing(part)
            found[codec][label] = {
                "count": len(part), "equal": equal, "psnr": psnr, "ssim": float(np.mean([row["ssim"] for row in part])),
                "l1": float(np.mean([row["l1"] for row in part])),
            }  # fmt: skip
        by_quality = [_of_differing([row for row in mine if row["quality"] == quality])[0] for quality in EVEN]
        found[codec]["psnr by quality"] = by_quality
    return found


def _of_differing(rows: list[dict[str, Any]]) -> tuple[float | None, float]:
    finite = [row["psnr"] for row in rows if np.isfinite(row["psnr"])]
    return float(np.mean(finite)) if finite else None, 1 - len(finite) / len(rows)


def main() -> None:
    """Run as a script."""
    path = Path("build/evaluation/forward.jsonl")
    by_kind = codecs()
    if missing := set(PEERS) - set(by_kind["other packages"]):
        print(f"not importable, so left out: {'; '.join(sorted(missing))}", file=sys.stderr)
    rows = {key_of(row): row for row in read_rows(path)}
    for number, name in enumerate(REPORT, 1):
        print(f"photo {number} of {len(REPORT)}: {name}", file=sys.stderr)
        for row in rows_of(name, whole_groups(name), done=rows):
            rows[key_of(row)] = row
            append_row(path, row)
    wanted = [
        rows[name, quality, codec]
        for of_kind in by_kind.values()
        for codec in of_kind
        for name in REPORT
        for quality in QUALITIES
    ]
    report = {
        "command": "python -m evaluation.forward",
        "versions": versions("numpy"),
        "photos": list(REPORT), "qualities": list(EVEN), "strong": list(STRONG), "codecs": summary(wanted),
        # JSON has no infinity.
        "repeated": [
            row | {"psnr": row["psnr"] if np.isfinite(row["psnr"]) else None}
            for row in wanted
            if row["photo"] == REPEATED[0] and row["quality"] in REPEATED[1]
        ],
    }  # fmt: skip
    write_result(RESULT, report)
    for name, row in report["codecs"].items():  # type: ignore[attr-defined]
        cells = [
            f"{part['psnr'] or np.inf:.2f} dB, {part['ssim']:.4f}, {part['l1']:.3f}, equal {part['equal']:.0%}"
            for part in (row["1..99"], row["1..10"])
        ]
        print(f"{row['kind']} | {name} | {' | '.join(cells)}")


if __name__ == "__main__":
    main()
