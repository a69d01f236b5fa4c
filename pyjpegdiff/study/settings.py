"""The codec settings that all rows of a study share, and quantization tables read from files."""

import io
import json
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import JpegImagePlugin

from pyjpegdiff.arguments import SAMPLINGS
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.stages.quantization import scale
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

ARITHMETICS = ("libjpeg", "float")

MOST = 16 << 20
"""Bytes read of a file with tables: more than precedes the tables in any JPEG file."""

Entries = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Settings:
    """Everything that a row depends on, besides the image and the quality."""

    subsampling: str = "4:2:0"
    arithmetic: str = "libjpeg"
    luma: Entries = LUMINANCE
    chroma: Entries = CHROMINANCE

    @classmethod
    def of(
        cls,
        subsampling: str,
        arithmetic: str,
        quantization_table_y: ArrayLike | None,
        quantization_table_c: ArrayLike | None,
    ) -> "Settings":
        """Check the arguments of `pyjpegdiff.study.study`, and make settings of them."""
        if subsampling not in SAMPLINGS:
            raise ValueError(f"subsampling must be one of {', '.join(sorted(SAMPLINGS))}, got {subsampling!r}")
        if arithmetic not in ARITHMETICS:
            raise ValueError(f"arithmetic must be one of {', '.join(ARITHMETICS)}, got {arithmetic!r}")
        luma = LUMINANCE if quantization_table_y is None else entries("quantization_table_y", quantization_table_y)
        chroma = CHROMINANCE if quantization_table_c is None else entries("quantization_table_c", quantization_table_c)
        return cls(subsampling, arithmetic, luma, chroma)

    def tables(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The tables of luma and chroma as arrays."""
        return np.array(self.luma, np.float32), np.array(self.chroma, np.float32)

    def clamped(self, quality: int) -> tuple[int, int]:
        """How many entries of luma and of chroma would have steps above 255, and have a step of 255."""
        percent = np.asarray(scale(xp, np.array(quality, np.float32), "cubic", True)[0])
        luma, chroma = [int(np.count_nonzero((table * percent + 50) // 100 > 255)) for table in self.tables()]
        return luma, chroma

    def codec_options(self, gray: bool) -> dict[str, Any]:
        """Keyword arguments of `pyjpegdiff.diff_jpeg_coding`, for RGB images with channels last or for grayscale."""
        luma, chroma = self.tables()
        options = {"arithmetic": self.arithmetic, "quantization_table_y": luma, "channel_axis": None if gray else -1}
        return options if gray else {**options, "quantization_table_c": chroma, "subsampling": self.subsampling}


def entries(name: str, table: ArrayLike) -> Entries:
    """A table as plain whole numbers; raises unless a JPEG file can store it."""
    values = np.asarray(table)
    if values.shape != (8, 8):
        raise ValueError(f"{name} must have shape (8, 8), got {values.shape}")
    if not np.issubdtype(values.dtype, np.number) or np.iscomplexobj(values):
        raise TypeError(f"{name} must hold numbers, got {values.dtype}")
    wrong = (values != np.floor(values)) | (values < 1) | (values > 255)
    if wrong.any():
        raise ValueError(f"{name} must hold whole numbers in 1..255, got {values[wrong][0]}")
    return tuple(tuple(int(value) for value in row) for row in values)


# --- files ------------------------------------------------------------------------------------------------------------


class Tables(NamedTuple):
    """The tables of luma and chroma in a file; None stands for the standard table."""

    luma: Entries | None
    chroma: Entries | None


def read_tables(path: Path) -> Tables:
    """Read quantization tables from a file.

    Parameters
    ----------
    path : Path
        One of

        - JSON, ``{"luma": [[16, 11, ...], ...], "chroma": [[17, 18, ...], ...]}``, eight rows of eight numbers; if one
          is missing, the standard table is used;
        - text in the format of libjpeg's ``cjpeg -qtables``: whole numbers in natural order, row by row, ``#`` begins a
          comment; 128 numbers are luma and chroma, 64 numbers are used for both;
        - a JPEG file, whose tables are used.

    Returns
    -------
    Tables
        The entries are in 1..255.

    Raises
    ------
    OSError, ValueError
        If the file cannot be read, or is none of these.
    """
    with path.open("rb") as file:
        content = file.read(MOST)  # some files have no end
    if content.startswith(b"\xff\xd8"):
        return _jpeg_tables(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError("is neither a JPEG file nor text") from error
    try:
        return _json_tables(text) if text.lstrip().startswith(("{", "[")) else _text_tables(text)
    except TypeError as error:  # of `entries`
        raise ValueError(str(error)) from error


def _jpeg_tables(content: bytes) -> Tables:
    try:
        # Of the headers alone, so the image may be of any size.
        with JpegImagePlugin.JpegImageFile(io.BytesIO(content)) as file:
            components, tables = [component[3] for component in file.layer], file.quantization
    except Exception as error:  # damaged headers make it raise anything
        raise ValueError("is not a JPEG file that Pillow can read") from error
    if missing := set(components) - tables.keys():
        raise ValueError(f"has no quantization table of number {min(missing)}, which its components refer to")
    found = [tables[number] for number in components]
    if len(found) not in (1, 3) or (len(found) == 3 and found[1] != found[2]):
        raise ValueError("has other components than luma and chroma, or chroma tables that differ")
    luma, *chroma = [entries("its table", np.reshape(table, (8, 8))) for table in found[:2]]
    return Tables(luma, chroma[0] if chroma else None)


def _json_tables(text: str) -> Tables:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"is no JSON: {error}") from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise ValueError("must hold tables of eight rows of eight numbers") from error
    if not isinstance(found, dict) or not found or not found.keys() <= {"luma", "chroma"}:
        raise ValueError('must be a JSON object with "luma", "chroma" or both, and nothing else')
    try:
        arrays = {name: np.asarray(table) for name, table in found.items()}
    except ValueError as error:
        raise ValueError("must hold tables of eight rows of eight numbers") from error
    tables = {name: entries(f'"{name}"', array) for name, array in arrays.items()}
    return Tables(tables.get("luma"), tables.get("chroma"))


def _text_tables(text: str) -> Tables:
    words = " ".join(line.partition("#")[0] for line in text.splitlines()).replace(",", " ").split()
    numbers = []
    for word in words:
        try:
            numbers.append(int(word))
        except ValueError as error:
            raise ValueError(f"must hold whole numbers, got {reprlib.repr(word)}") from error
    if len(numbers) not in (64, 128):
        raise ValueError(f"must hold 64 numbers, or 128 for luma and chroma, got {len(numbers)}")
    first, last = np.reshape(numbers[:64], (8, 8)), np.reshape(numbers[-64:], (8, 8))
    return Tables(entries("its first table", first), entries("its last table", last))
