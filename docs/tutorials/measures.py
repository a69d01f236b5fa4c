"""Files that Pillow writes, and the images that it reads back, for all tutorials."""

import io
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Pixels = NDArray[np.uint8]


def jpeg_file(
    image: Pixels,
    quality: int | None = None,
    tables: list[NDArray[Any]] | None = None,
) -> bytes:
    """The JPEG file of uint8 (H, W, 3) or (H, W), at a quality or with custom tables.

    Both Pillow and pyjpegdiff use tables row by row; zig-zag order is only for files.
    """
    options: dict[str, Any] = {} if quality is None else {"quality": quality}
    if tables is not None:  # unchanged: Pillow scales them only if quality is given
        options["qtables"] = [table.astype(int).ravel().tolist() for table in tables]
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", optimize=True, **options)
    return file.getvalue()


def read(file: bytes) -> Pixels:
    """The image of a file."""
    return np.asarray(Image.open(io.BytesIO(file)))


def psnr(a: ArrayLike, b: ArrayLike) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(10 * np.log10(255**2 / np.mean(error**2)))
