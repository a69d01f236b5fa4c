"""I-FGSM through each codec on a network for ImageNet: ``python -m evaluation.attack report 64``.

The network is EfficientNet-Lite0, the label its own prediction for the undistorted crop. 20 steps of eps / 4 along the
sign of the gradient; then Pillow writes and reads the image, and the loss of that is what counts. Crops are done one
codec and quality after another; each is a line of a file in ``build``, and a run that was stopped goes on there. Only a
run that got to its end writes a result.
"""

import argparse
import importlib.util
import sys
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy

from evaluation.bootstrap import interval
from evaluation.classifier import BATCH, HALVES, Classifier, crops_of_half, logits, network
from evaluation.peers import PEERS, Codec
from evaluation.photos import through_file
from evaluation.rows import append_row, command, read_rows, versions, write_half
from pyjpegdiff.adapters.torch import diff_jpeg_coding

QUALITIES = (10, 25, 50, 75, 90)
RESULT = Path(__file__).parent / "results" / "attack.json"


def _ours(rounding: str, **choices: Any) -> Codec:
    return lambda x, quality: diff_jpeg_coding(x, quality, rounding=rounding, **choices)


CODECS: dict[str, tuple[Codec, str]] = {
    "none": (lambda x, _: x, "torch"),
    **PEERS,
    "smooth rational": (_ours("rational"), "torch"),
    "STE rational": (_ours("rational", ste=True), "torch"),
    "smooth cubic": (_ours("cubic"), "torch"),
    "STE cubic": (_ours("cubic", ste=True), "torch"),
}


METHODS = {"none": (0, 0.0), "FGSM": (1, 1.0), "I-FGSM": (20, 1 / 4)}
"""How many steps, and how long each is, of eps."""


class Attack(NamedTuple):
    """How images are changed: each pixel value by at most eps of 255."""

    method: str
    eps: int
    targeted: bool = False


ATTACK = Attack("I-FGSM", 1)


def attacked(
    classify: Classifier, codec: Codec, x: Tensor, classes: Tensor, quality: int, attack: Attack = ATTACK
) -> Tensor:
    """The images after an attack away from their classes, or, where it is targeted, towards these."""
    steps, share = METHODS[attack.method]
    length = (-1 if attack.targeted else 1) * share * attack.eps
    found = []
    for start, its_classes in zip(torch.split(x, BATCH), torch.split(classes, BATCH), strict=True):
        part = start.clone()
        for _ in range(steps):
            part.requires_grad_(True)
            loss = cross_entropy(classify(codec(part, quality)), its_classes, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, part)
            part = part.detach() + length * gradient.sign()
            part = torch.clamp(part, start - attack.eps, start + attack.eps).clamp(0, 255)
        found.append(part)
    return torch.cat(found)


def through_files(x: Tensor, quality: int) -> Tensor:
    """What Pillow reads back."""
    pixels = x.round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return torch.tensor(np.stack([through_file(image, quality) for image in pixels])).permute(0, 3, 1, 2).float()


def summary(losses: dict[tuple[str, int], NDArray[np.float64]]) -> dict[str, dict[str, Any]]:
    """Of the loss of each crop, by codec and quality: means, and by how much they exceed the best rival's.

    The best rival is that with the highest mean, at each quality anew; its crops are the same, so the differences are
    paired. The last figure is over all qualities.
    """
    codecs, qualities = dict.fromkeys(name for name, _ in losses), dict.fromkeys(quality for _, quality in losses)
    rivals = [name for name in PEERS if name in codecs]
    found: dict[str, dict[str, Any]] = {}
    for name in codecs:
        found[name] = {"losses": [float(losses[name, quality].mean()) for quality in qualities]}
        if rivals:
            more = [
                losses[name, quality] - max((losses[rival, quality] for rival in rivals), key=np.mean)
                for quality in qualities
            ]
            over_all = np.mean(more, axis=0)
            found[name]["more than the best rival"] = [(float(x.mean()), *interval(x)) for x in more]
            found[name]["more on average"] = (float(over_all.mean()), *interval(over_all))
    return found


def parser_of(module: str, description: str | None) -> argparse.ArgumentParser:
    """With what every attack wants to know."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("half", choices=HALVES)
    parser.add_argument("crops", type=int, help="how many, every photo in turn")
    return parser


def importable(names: Sequence[str]) -> list[str]:
    """Those codecs whose packages are there; it says which are not."""
    missing = [name for name in names if not importlib.util.find_spec(CODECS[name][1])]
    if missing:
        print(f"not importable, so left out: {'; '.join(missing)}", file=sys.stderr)
    return [name for name in names if name not in missing]


def main() -> None:
    """Run as a script."""
    parser = parser_of("evaluation.attack", __doc__)
    parser.add_argument(
        "--codecs", nargs="+", choices=CODECS, default=list(CODECS), metavar="NAME", help="some of them"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    x, classify = crops_of_half(options.half, options.crops), network()
    labels = logits(classify, x).argmax(1)
    path = Path("build/evaluation") / f"attack-{options.half}-{len(x)}.jsonl"
    known = {(row["codec"], row["quality"]): np.array(row["losses"]) for row in read_rows(path)}
    asked = importable(options.codecs)
    for quality, name in product(QUALITIES, asked):
        if (name, quality) in known:
            continue
        start = time.perf_counter()
        read = through_files(attacked(classify, CODECS[name][0], x, labels, quality), quality)
        losses = cross_entropy(logits(classify, read), labels, reduction="none").tolist()
        append_row(path, {"codec": name, "quality": quality, "losses": losses})
        known[name, quality] = np.array(losses)
        seconds = time.perf_counter() - start
        print(f"quality {quality} | {name} | {np.mean(losses):.2f} | {seconds:.0f} s", file=sys.stderr)
    result = {
        "command": command("evaluation.attack"), "crops": len(x), "qualities": list(QUALITIES),
        "versions": versions("torch"),
        "codecs": summary({(name, quality): known[name, quality] for name in asked for quality in QUALITIES}),
    }  # fmt: skip
    write_half(RESULT, options.half, result)


if __name__ == "__main__":
    main()
