"""A message that survives JPEG, by each gradient: ``python -m evaluation.watermark``.

Each bit is the sign of the product of luma with a pattern of its own, random noise of middle frequencies over the whole
crop, which knows nothing of blocks. A change of the image, of a PSNR of at least 40 dB, is optimized so that all bits
are right after JPEG at a quality that is drawn anew for each step; then Pillow writes the image, and the bits of the
file count.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from evaluation.attack import through_files
from evaluation.bootstrap import interval
from evaluation.photos import CHOOSE, REPORT, load
from evaluation.rows import versions, write_result
from pyjpegdiff.adapters.torch import diff_jpeg_coding

SIDE, BITS, STEPS, DECIBELS = 128, 64, 120, 40
TRAINED = (20, 75)
QUALITIES = (20, 30, 40, 50, 60, 75)
RATE = 0.5
LUMA = (0.299, 0.587, 0.114)
RESULT = Path(__file__).parent / "results" / "watermark.json"
OTHERS = ("cubic", "identity", "sine", "tanh")

CHOICES: dict[str, dict[str, Any] | None] = {
    "without JPEG": None,
    "ste=True": {"ste": True},
    **{f'ste=True, rounding="{name}"': {"ste": True, "rounding": name} for name in OTHERS},
    'arithmetic="libjpeg"': {"arithmetic": "libjpeg"},
    "smooth": {},
    **{f'smooth, rounding="{name}"': {"rounding": name} for name in ("cubic", "identity", "tanh")},
}


def patterns() -> Tensor:
    """(BITS, SIDE * SIDE), of length 1."""
    noise = np.random.default_rng(0).standard_normal((BITS, SIDE, SIDE))
    band = gaussian_filter(noise, (0, 1, 1)) - gaussian_filter(noise, (0, 3, 3))
    flat = band.reshape(BITS, -1)
    return torch.tensor(flat / np.linalg.norm(flat, axis=1, keepdims=True), dtype=torch.float32)


def crops(names: tuple[str, ...]) -> Tensor:
    """The middles of photos, (n, 3, SIDE, SIDE)."""
    found = []
    for name in names:
        photo = load(name)
        top, left = ((length - SIDE) // 2 for length in photo.shape[:2])
        found.append(np.moveaxis(photo[top : top + SIDE, left : left + SIDE], -1, 0))
    return torch.tensor(np.stack(found)).float()


def products(images: Tensor, of: Tensor) -> Tensor:
    """Of luma with each pattern, (n, BITS)."""
    luma = torch.einsum("nchw,c->nhw", images, torch.tensor(LUMA))
    return luma.flatten(1) @ of.T


def marked(images: Tensor, bits: Tensor, of: Tensor, choices: dict[str, Any] | None) -> Tensor:
    """Images with a message, as they are saved."""
    most = 255 * 10 ** (-DECIBELS / 20) * (images[0].numel()) ** 0.5
    change = torch.zeros_like(images, requires_grad=True)
    optimizer = torch.optim.Adam([change], lr=RATE)
    qualities = torch.tensor(np.random.default_rng(1).uniform(*TRAINED, (STEPS, len(images))), dtype=torch.float32)
    for quality in qualities:
        image = (images + change).clamp(0, 255)
        coded = image if choices is None else diff_jpeg_coding(image, quality, **choices)
        loss = torch.relu(10 - bits * products(coded, of)).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        with torch.no_grad():
            size = change.flatten(1).norm(dim=1)[:, None, None, None]
            change.mul_(most / size.clamp_min(most))
    return (images + change).detach().round().clamp(0, 255)


def read(images: Tensor, quality: int, of: Tensor) -> Tensor:
    """The signs of all bits in Pillow's files."""
    return products(through_files(images, quality), of).sign()


def survivors(names: tuple[str, ...], choices: dict[str, Any] | None) -> NDArray[np.float64]:
    """The share of bits that are right, of each photo at each quality."""
    of, images = patterns(), crops(names)
    bits = torch.tensor(np.random.default_rng(2).choice([-1.0, 1.0], (len(images), BITS)), dtype=torch.float32)
    found = marked(images, bits, of, choices)
    shares = [(read(found, quality, of) == bits).double().mean(1) for quality in QUALITIES]
    return torch.stack(shares, 1).numpy()


def main() -> None:
    """Run as a script."""
    torch.set_num_threads(1)
    report: dict[str, Any] = {
        "command": "python -m evaluation.watermark", "qualities": list(QUALITIES),
        "versions": versions("torch"),
    }  # fmt: skip
    for half, names in (("choose", CHOOSE), ("report", REPORT)):
        found = {}
        for label, choices in CHOICES.items():
            print(f"{half}: {label}", file=sys.stderr)
            found[label] = survivors(names, choices)
        default = found["ste=True"]
        report[half] = {"photos": list(names)}
        for label, shares in found.items():
            row: dict[str, Any] = {
                "bits right": [float(x) for x in shares.mean(0)], "mean": float(shares.mean()),
                "less than ste=True": interval((default - shares).mean(1)),
            }  # fmt: skip
            report[half][label] = row
            print(f"{half} | {label} | {row['mean']:.2%} | " + " ".join(f"{x:.1%}" for x in row["bits right"]))
    write_result(RESULT, report)


if __name__ == "__main__":
    main()
