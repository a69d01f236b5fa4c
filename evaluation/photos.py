"""The photos of the evaluation, in two fixed halves, one to choose on, one to report; what Pillow makes of an image."""

import importlib.util
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SCIKIT_IMAGE = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "ihc", "motorcycle_left", "retina", "rocket")
FOOLBOX = tuple(
    f"imagenet_{number:02}_{label}"
    for number, label in enumerate(
        (243, 559, 438, 990, 949, 853, 609, 609, 915, 455, 541, 630, 741, 471, 129, 99, 251, 22, 317, 305)
    )
)
NAMES = SCIKIT_IMAGE + FOOLBOX
CHOOSE, REPORT = NAMES[0::2], NAMES[1::2]
SIDE = 384
GRID_OFFSET = 4
"""Foolbox has decoded JPEG files: a crop that begins inside a block does not share their grid."""


def path_of(name: str) -> Path:
    """The file of a photo."""
    package = "skimage" if name in SCIKIT_IMAGE else "foolbox"
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"the photo {name} is in the package {package}, which is not installed")
    (path,) = (Path(found.origin).parent / "data").glob(f"{name}.*")
    return path


def load(name: str) -> NDArray[np.uint8]:
    """A photo (H, W, 3): the middle of a large one, 216x216 of those of ImageNet."""
    with Image.open(path_of(name)) as file:
        photo = np.asarray(file.convert("RGB"))
    if name in FOOLBOX:
        return np.ascontiguousarray(photo[GRID_OFFSET:220, GRID_OFFSET:220])
    top, left = (max(0, (length - SIDE) // 2) for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + SIDE, left : left + SIDE])


def through_file(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """What Pillow reads back from the file it wrote, in 4:2:0."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
