"""The photos for which tables are learned and judged, fixed beforehand: all color photos of three packages."""

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FOLDERS = {
    "skimage": "data",
    "matplotlib": "mpl-data/sample_data",
    "sklearn": "datasets/images",
}
PHOTOS = {
    "astronaut": "skimage",
    "chelsea": "skimage",
    "coffee": "skimage",
    "motorcycle_left": "skimage",
    "ihc": "skimage",
    "retina": "skimage",
    "rocket": "skimage",
    "hubble_deep_field": "skimage",
    "grace_hopper": "matplotlib",
    "china": "sklearn",
    "flower": "sklearn",
}
"""Each with the package whose wheel has it. The right view of the motorcycle would be the left one twice."""


def load(name: str) -> NDArray[np.uint8]:
    """A photo, (H, W, 3). One that is stored as JPEG is halved: its old blocks would favor the tables it had."""
    package = importlib.util.find_spec(PHOTOS[name])
    if package is None or package.origin is None:
        raise SystemExit(f"{PHOTOS[name]}, which has the photo {name}, is not installed; `make tables` installs it")
    (path,) = (Path(package.origin).parent / FOLDERS[PHOTOS[name]]).glob(f"{name}.*")
    with Image.open(path) as file:
        image = file.convert("RGB")
    return np.asarray(image if path.suffix == ".png" else image.reduce(2))


def middle(photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The middle of a photo, at most ``side`` pixels high and wide."""
    top, left = (max(0, length - side) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + side, left : left + side])
