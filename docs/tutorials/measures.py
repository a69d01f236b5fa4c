"""What the tutorials judge by: the files that Pillow writes, what it reads back, and how far that is from the photo."""

import io

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def jpeg_file(image: Pixels, quality: int | None = None, tables: list[ArrayLike] | None = None) -> bytes:
    """The JPEG file of uint8 (H, W, 3) or (H, W), at a quality or with quantization tables; both in row order."""
    # Without a quality, Pillow takes tables as they are.
    options = {"quality": quality, "qtables": tables and [np.ravel(table).astype(int).tolist() for table in tables]}
    file = io.BytesIO()
    Image.fromarray(image).save(
        file, "JPEG", optimize=True, **{key: value for key, value in options.items() if value is not None}
    )
    return file.getvalue()


def read(file: bytes) -> Pixels:
    """The image of a file."""
    return np.asarray(Image.open(io.BytesIO(file)))


def psnr(a: ArrayLike, b: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB."""
    return float(10 * np.log10(255**2 / np.mean((np.asarray(a, np.float64) - np.asarray(b, np.float64)) ** 2)))
