"""Fidelity to the real codec: samples that differ from Pillow's, and the PSNR to them, on the same photos in one run.

``python -m evaluation.fidelity`` prints a Markdown table. The size of the photos is cut to multiples of 16, because
some codecs require that. Pixel values are rounded to whole numbers before samples are compared.
"""

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from evaluation.peers import PEERS
from evaluation.photos import path_of, through_file
from pyjpegdiff import diff_jpeg_coding

NAMES = ("astronaut", "chelsea", "coffee", "motorcycle_left", "ihc", "retina", "rocket", "hubble_deep_field")
QUALITIES = (1, 2, 5, 10, 20, 30, 50, 75, 90, 95, 99)


def load(name: str) -> NDArray[np.uint8]:
    """A color photo in scikit-image's wheel, (H, W, 3)."""
    with Image.open(path_of(name)) as file:
        photo = np.asarray(file.convert("RGB"))
    height, width = (16 * (length // 16) for length in photo.shape[:2])
    return np.ascontiguousarray(photo[:height, :width])


def in_torch(peer: str, photo: NDArray[np.uint8], quality: int) -> NDArray[Any]:
    """What another package's codec for tensors makes of a photo."""
    import torch

    code, _ = PEERS[peer]
    result = code(torch.from_numpy(np.moveaxis(photo, -1, 0).copy()).float()[None], quality)
    return np.moveaxis(result[0].numpy(), 0, -1)


ours = partial(partial, diff_jpeg_coding, channel_axis=-1)
CODECS: dict[str, tuple[Callable[..., NDArray[Any]], str]] = {
    'pyjpegdiff, `arithmetic="libjpeg"`': (ours(arithmetic="libjpeg"), "pyjpegdiff"),
    "pyjpegdiff, `ste=True`": (ours(ste=True), "pyjpegdiff"),
    "pyjpegdiff, smooth": (ours(), "pyjpegdiff"),
    "Diff-JPEG, the method's own code": (partial(in_torch, "Diff-JPEG, smooth"), "diff_jpeg"),
    "kornia 0.9": (partial(in_torch, "kornia"), "kornia"),
}


def main() -> None:
    """Run as a script."""
    photos = [load(name) for name in NAMES]
    print("| | samples that differ from Pillow's | PSNR to Pillow, mean | at worst |")
    print("| --- | ---: | ---: | ---: |")
    for name, (codec, module) in CODECS.items():
        if not importlib.util.find_spec(module):
            print(f"left out, not installed: {name}", file=sys.stderr)
            continue
        differing, errors = [], []
        for photo in photos:
            for quality in QUALITIES:
                real, result = through_file(photo, quality), codec(photo, quality)
                differing.append(np.mean(np.round(result) != real))
                errors.append(np.mean((result.astype(np.float64) - real) ** 2))
        with np.errstate(divide="ignore"):  # no error at all is infinitely many decibels
            decibels = 10 * np.log10(255**2 / np.array(errors))
        print(f"| {name} | {np.mean(differing):.2%} | {decibels.mean():.1f} dB | {decibels.min():.1f} dB |")


if __name__ == "__main__":
    main()
