"""The color photos that scikit-image's wheel carries, as uint8 (H, W, 3), and what Pillow makes of one."""

import functools
import io
from pathlib import Path

import numpy as np
import skimage
from hypothesis import strategies as st
from PIL import Image

from evaluation.fidelity import NAMES as NAMES
from evaluation.fidelity import QUALITIES as QUALITIES

PILLOW_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
IMAGES = {
    "seed": st.integers(0, 2**32),
    "kind": st.sampled_from(["photo", "noise", "extremes", "gradient"]),
    "height": st.integers(1, 80),
    "width": st.integers(1, 80),
    "quality": st.integers(1, 100),
}
"""Arguments of hypothesis' ``given``: an image of small size, for `content`, and a quality."""


@functools.cache
def photo(name):
    (path,) = (Path(skimage.__file__).parent / "data").glob(f"{name}.*")
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    pixels.flags.writeable = False
    return pixels


def content(rng, kind, shape):
    """A uint8 image of a kind among those of `IMAGES`; crops of photos where it is a photo."""
    if kind == "noise":
        return rng.integers(0, 256, shape, dtype=np.uint8)
    if kind == "extremes":
        return rng.choice(np.array([0, 255], np.uint8), shape)
    if kind == "gradient":
        i, j = np.indices(shape[:2])
        ramp = i * rng.integers(-9, 9) + j * rng.integers(-9, 9) + rng.integers(0, 256)
        planes = ramp if len(shape) == 2 else ramp[..., None] + rng.integers(-80, 80, 3)
        return planes.clip(0, 255).astype(np.uint8)
    image = photo(NAMES[rng.integers(len(NAMES))])
    top, left = (rng.integers(0, full - part + 1) for full, part in zip(image.shape, shape[:2], strict=False))
    crop = image[top : top + shape[0], left : left + shape[1]]
    return np.ascontiguousarray(crop if len(shape) == 3 else crop[..., 1])


def pillow_file(image, quality, subsampling="4:2:0", qtables=None, optimize=False):
    """The bytes of the file that Pillow writes of uint8 (H, W, 3) or (H, W)."""
    options = {"optimize": optimize}
    if image.ndim > 2:
        options["subsampling"] = PILLOW_SUBSAMPLING[subsampling]
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
