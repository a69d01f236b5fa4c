"""Coefficients in JPEG files: reading them from any, and writing them as they are."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from pyjpegdiff import arguments, checks
from pyjpegdiff.arrays import to_host
from pyjpegdiff.jpegfile import reader, writer
from pyjpegdiff.jpegfile.headers import JPEGFileError
from pyjpegdiff.rate import HUFFMAN
from pyjpegdiff.results import Coefficients
from pyjpegdiff.whole_file import write_whole

__all__ = ["JPEGFileError", "read_jpeg", "write_jpeg"]

LARGEST_SIZE = 65500
"""Of what libjpeg reads and writes; the format ends at 65535."""
ARRAYS = ("y", "cb", "cr", "steps_y", "steps_c")


def read_jpeg(path: str | os.PathLike[str]) -> Coefficients:
    """The coefficients that a JPEG file holds.

    Parameters
    ----------
    path : str or path
        A baseline, extended sequential or progressive file with Huffman codes and 8 bits per sample, of gray or YCbCr,
        subsampled 4:4:4, 4:2:2, 4:4:0 or 4:2:0.

    Returns
    -------
    Coefficients
        NumPy arrays of float32, without batch axes. ``jpeg_decode(..., arithmetic="libjpeg")`` makes the very pixels of
        them that libjpeg-turbo, and so Pillow, reads from the file, before any rotation that its metadata asks for.

    Raises
    ------
    JPEGFileError
        A `ValueError` whose message names the file and the reason: it is not JPEG, is cut short or damaged, or has what
        `pyjpegdiff.Coefficients` cannot hold: CMYK, RGB, other bit depths or sampling factors, arithmetic coding,
        lossless coding, steps above 255, different steps for Cb and Cr.
    OSError
        If the file cannot be read.

    Notes
    -----
    Comments, EXIF, color profiles and thumbnails are not read. Damage that changes no length and no code cannot be
    noticed: JPEG has no checksum. Memory is some kilobytes per byte of the file, whatever size the file claims.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode
    >>> from pyjpegdiff.files import read_jpeg, write_jpeg
    >>> coefficients = jpeg_encode(np.full((3, 20, 30), 64, np.uint8), 50, arithmetic="libjpeg")
    >>> path = Path(tempfile.mkdtemp()) / "gray.jpg"
    >>> write_jpeg(path, coefficients)
    289
    >>> read = read_jpeg(path)
    >>> read.size, read.subsampling, bool((read.y == coefficients.y).all())
    ((20, 30), '4:2:0', True)
    """
    path = checked_path(path)
    try:
        return reader.read(path.read_bytes())
    except JPEGFileError as error:
        raise JPEGFileError(f"{str(path)!r} {error}") from None


def write_jpeg(
    path: str | os.PathLike[str], coefficients: Coefficients, *, huffman: str = "optimized", overwrite: bool = False
) -> int:
    """Write coefficients and step sizes, as they are, to a baseline JPEG file.

    Parameters
    ----------
    path : str or path
        Where to write. The file appears whole or not at all.
    coefficients : Coefficients
        Those of one image: arrays of any library without batch axes, or with batch axes of length 1. Coefficients and
        step sizes must be whole, as those of ``arithmetic="libjpeg"`` and ``ste=True`` are.
    huffman : {"optimized", "standard"}
        Huffman tables made for this image, or those of Annex K.3 of ITU-T T.81. The scan has, before zero bytes are
        stuffed in, ``ceil(jpeg_rate(coefficients, huffman=huffman) / 8)`` bytes.
    overwrite : bool
        Replace the file if there is one.

    Returns
    -------
    int
        The size of the file in bytes.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed: coefficients that are not whole, or beyond what a baseline
        file can hold; step sizes outside 1..255; more than one image; sizes above 65500, which libjpeg does not read.
    FileExistsError
        If there is something at ``path``, and ``overwrite`` is false.
    OSError
        If the file cannot be written.

    Notes
    -----
    The file is that which libjpeg-turbo writes of the same coefficients, byte for byte. It has no metadata: EXIF, color
    profile and resolution of a file that was read are lost. `pyjpegdiff.jpeg_decode` in libjpeg arithmetic says which
    pixels decoders show.

    Examples
    --------
    A file with every other row of its luma frequencies removed:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode
    >>> from pyjpegdiff.files import read_jpeg, write_jpeg
    >>> image = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    >>> coefficients = jpeg_encode(image, 50, arithmetic="libjpeg")
    >>> path = Path(tempfile.mkdtemp()) / "fewer.jpg"
    >>> before = write_jpeg(path, coefficients)
    >>> coefficients.y[..., 1::2, :] = 0
    >>> write_jpeg(path, coefficients, overwrite=True) < before
    True
    """
    path = checked_path(path)
    overwrite = checks.flag("overwrite", overwrite)
    huffman = checks.one_of("huffman", huffman, HUFFMAN)
    call = arguments.decoding(None, one_image(coefficients))
    check_values(call.inputs)
    if max(call.size) > LARGEST_SIZE:
        raise ValueError(f"coefficients.size must be at most {LARGEST_SIZE}, as libjpeg has it, got {call.size}")
    content = writer.file_of(call, huffman)
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"path must not exist unless overwrite=True, got {str(path)!r}")
    write_whole(path, content)
    return len(content)


# --- arguments --------------------------------------------------------------------------------------------------------


def checked_path(path: Any) -> Path:
    """A path that is a path."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path must be a str or a path, got {checks.kind(path)}")
    return Path(path)


def one_image(coefficients: Any) -> Coefficients:
    """Coefficients as NumPy arrays without batch axes; those that are no arrays, as they are."""
    if not (isinstance(coefficients, tuple) and len(coefficients) == len(Coefficients._fields)):
        return coefficients  # `decoding` says what is wrong
    found = Coefficients(*coefficients)._asdict()
    for name in ARRAYS:
        value, core = found[name], 2 if name.startswith("steps") else 4
        if hasattr(value, "shape") and hasattr(value, "dtype"):
            value = to_host(value)
            if any(length != 1 for length in value.shape[:-core]):
                raise ValueError(
                    f"coefficients.{name} must be that of one image, got shape {value.shape}; write a file for each"
                )
            found[name] = value.reshape(value.shape[-core:])
    return Coefficients(**found)


def check_values(inputs: dict[str, Any]) -> None:
    """Raise unless all is whole, steps are those of a baseline file, and DC is what decoders have room for."""
    for name, values in inputs.items():
        if name not in ARRAYS:
            continue
        wrong = values[values != np.round(values)]  # and NaN
        if wrong.size:
            raise ValueError(
                f"coefficients.{name} must hold whole numbers, as those of ste=True and arithmetic='libjpeg' are, got "
                f"{wrong[0]:g}"
            )
        smallest, largest = (1, 255) if name.startswith("steps") else (-reader.LARGEST_DC, reader.LARGEST_DC)
        wrong = values[(values < smallest) | (values > largest)]
        if wrong.size:
            raise ValueError(f"coefficients.{name} must be within {smallest}..{largest}, got {wrong[0]:g}")
