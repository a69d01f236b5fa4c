"""The warning for 0..1 images that came without ``data_range``."""

import warnings
from typing import Any

import numpy as np

CHUNK = 8192


class DataRangeWarning(UserWarning):
    """An image looks as if its pixel values were 0..1, but ``data_range`` was not given, so that 255 is white.

    Such an image is taken for nearly black, and comes back nearly black and flat. Give ``data_range=1``, or
    ``data_range=255`` where 0..255 is meant. Only NumPy arrays are looked at.

    Examples
    --------
    >>> import warnings
    >>> import numpy as np
    >>> from pyjpegdiff import DataRangeWarning, diff_jpeg_coding
    >>> image = np.linspace(0, 1, 3 * 64).reshape(3, 8, 8)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = diff_jpeg_coding(image, 75)
    >>> [warning.category is DataRangeWarning for warning in caught]
    [True]
    """


def warn_of_unit_range(image: np.ndarray[Any, Any], stacklevel: int) -> None:
    """Warn where all pixel values lie in 0..1, and some strictly between."""
    if image.dtype.kind == "f" and _is_unit_range(image):
        warnings.warn(
            "image_rgb has pixel values of 0..1 only, and data_range is None, so that 255 is white and the image is "
            "nearly black. Give data_range=1, or data_range=255 if this is meant",
            DataRangeWarning,
            stacklevel=stacklevel + 1,
        )


def _is_unit_range(image: np.ndarray[Any, Any]) -> bool:
    # The look ends at the first pixel or chunk with a value outside 0..1: in a photo of 0..255 nearly always the first.
    if image.size and not 0 <= image.item(0) <= 1:
        return False
    between = False
    chunk: Any
    for chunk in np.nditer(image, ("external_loop", "buffered", "zerosize_ok"), buffersize=CHUNK):
        if not (chunk.min(initial=0) >= 0 and chunk.max(initial=0) <= 1):
            return False
        between = between or bool(((chunk > 0) & (chunk < 1)).any())
    return between
