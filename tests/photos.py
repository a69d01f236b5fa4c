"""The color photos that scikit-image's wheel carries, as uint8 (H, W, 3), and what Pillow makes of one."""

import functools
import io
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

from benchmarks.fidelity import NAMES as NAMES
from benchmarks.fidelity import QUALITIES as QUALITIES

PILLOW_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


@functools.cache
def photo(name):
    (path,) = (Path(skimage.__file__).parent / "data").glob(f"{name}.*")
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    pixels.flags.writeable = False
    return pixels


def pillow_file(image, quality, subsampling="4:2:0", qtables=None):
    """The bytes of the file that Pillow writes of uint8 (H, W, 3) or (H, W)."""
    options = {} if image.ndim == 2 else {"subsampling": PILLOW_SUBSAMPLING[subsampling]}
    if qtables is not None:
        options["qtables"] = qtables
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality, **options)
    return buffer.getvalue()


def pillow(image, quality, subsampling="4:2:0", qtables=None):
    """What Pillow reads back."""
    return np.array(Image.open(io.BytesIO(pillow_file(image, quality, subsampling, qtables))))


def psnr(a, b):
    return 10 * np.log10(255**2 / np.mean((np.asarray(a, np.float64) - b) ** 2))
