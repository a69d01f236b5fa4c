"""Fidelity to the real codec: samples that differ from Pillow's, and the PSNR to them, on the same photos in one run.

``python -m benchmarks.fidelity`` prints a Markdown table. The size of the photos is cut to multiples of 16, because
some codecs require that. Pixel values are rounded to whole numbers before samples are compared.
"""

import importlib.util
import io
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from numpy.typing import NDArray
from PIL import Image

from benchmarks import calls
from pyjpegdiff import diff_jpeg_coding

NAMES = ("astronaut", "chelsea", "coffee", "motorcycle_left", "ihc", "retina", "rocket", "hubble_deep_field")
QUALITIES = (1, 2, 5, 10, 20, 30, 50, 75, 90, 95, 99)

Pixels = NDArray[np.uint8]
PixelValues = NDArray[Any]
"""Not necessarily whole numbers."""
Codec = Callable[[Pixels, int], PixelValues]


def photos() -> Iterator[Pixels]:
    """The color photos in scikit-image's wheel, (H, W, 3)."""
    for name in NAMES:
        (path,) = (Path(skimage.__file__).parent / "data").glob(f"{name}.*")
        with Image.open(path) as file:
            photo = np.asarray(file.convert("RGB"))
        height, width = (16 * (length // 16) for length in photo.shape[:2])
        yield np.ascontiguousarray(photo[:height, :width])


def pillow(photo: Pixels, quality: int) -> Pixels:
    """The image that Pillow reads back from its own file."""
    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def in_torch(load: Callable[[], calls.Codec], white: float) -> Codec:
    """A codec for tensors with values in 0..white."""

    def codec(photo: Pixels, quality: int) -> PixelValues:
        import torch

        image = torch.from_numpy(np.moveaxis(photo, -1, 0).copy())[None] * (white / 255)
        result = load()(image, torch.tensor([float(quality)]))
        return np.moveaxis(result[0].numpy() * (255 / white), 0, -1)

    return codec


ours = partial(partial, diff_jpeg_coding, channel_axis=-1)
CODECS: dict[str, tuple[Codec, str]] = {
    'pyjpegdiff, `arithmetic="libjpeg"`': (ours(arithmetic="libjpeg"), "pyjpegdiff"),
    "pyjpegdiff, `ste=True`": (ours(ste=True), "pyjpegdiff"),
    "pyjpegdiff, smooth": (ours(), "pyjpegdiff"),
    "Diff-JPEG, the method's own code": (in_torch(calls.diff_jpeg, 255.0), "diff_jpeg"),
    "kornia 0.9": (in_torch(calls.kornia, 1.0), "kornia"),
}


def main() -> None:
    """Run as a script."""
    present = {name: codec for name, (codec, module) in CODECS.items() if importlib.util.find_spec(module)}
    for name in CODECS.keys() - present.keys():
        print(f"left out, not installed: {name}", file=sys.stderr)
    differing: dict[str, list[float]] = {name: [] for name in present}
    decibels: dict[str, list[float]] = {name: [] for name in present}
    for photo in photos():
        for quality in QUALITIES:
            real = pillow(photo, quality)
            for name, codec in present.items():
                result = codec(photo, quality)
                differing[name].append(float(np.mean(np.round(result) != real)))
                error = float(np.mean((result.astype(np.float64) - real) ** 2))
                decibels[name].append(10 * np.log10(255**2 / error) if error else np.inf)
    print("| | samples that differ from Pillow's | PSNR to Pillow, mean | at worst |")
    print("| --- | ---: | ---: | ---: |")
    for name in present:
        mean, worst = np.mean(decibels[name]), np.min(decibels[name])
        print(f"| {name} | {np.mean(differing[name]):.2%} | {mean:.1f} dB | {worst:.1f} dB |")


if __name__ == "__main__":
    main()
