"""The work on each file of a study, perhaps in another process: each returns a result or a failure, never raises."""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, TypeVar

from pyjpegdiff.study.files import TOO_LARGE, Input, Pixels, UnreadableError, read_image
from pyjpegdiff.study.measurement import Measurement, measure
from pyjpegdiff.study.pictures import Pictures, picture
from pyjpegdiff.study.settings import Settings

Result = TypeVar("Result")


class Failure(NamedTuple):
    """A file that is not in the study, and why."""

    name: str
    reason: str


@dataclass
class StudiedImage:
    """A file and its measurements."""

    name: str
    path: Path
    height: int
    width: int
    gray: bool
    note: str
    """The conversions made while reading; empty for plain RGB and grayscale."""
    digest: str
    """Hash of the pixels."""
    measurements: list[Measurement] = field(default_factory=list)
    """One per quality, in order of quality."""


class Row(NamedTuple):
    """An image, and a quality at which to measure it."""

    image: StudiedImage
    quality: int
    settings: Settings


class Show(NamedTuple):
    """An image, and the qualities at which to show it."""

    image: StudiedImage
    qualities: list[int]
    worst_quality: int
    settings: Settings


READING = threading.Lock()
"""Held while an image is read: that changes the warning filters of the whole process, and a worker of a cluster may
have several threads."""


def inspect(found: Input) -> StudiedImage | Failure:
    """Read what the study needs to know of an image before it is measured."""
    try:
        with READING:
            read = read_image(found.path)
        digest = read.digest
    except UnreadableError as error:
        return Failure(found.name, str(error))
    except MemoryError:
        return Failure(found.name, TOO_LARGE)
    height, width = read.pixels.shape[:2]
    return StudiedImage(found.name, found.path, height, width, read.pixels.ndim == 2, read.note, digest)


@functools.lru_cache(maxsize=1)  # the qualities of an image are measured one after the other
def pixels_of(path: Path, digest: str) -> Pixels:
    """Read the pixels again; raises if they have changed."""
    read = read_image(path)
    if read.digest != digest:
        raise UnreadableError("changed during the study")
    return read.pixels


def measure_row(row: Row) -> Measurement | Failure:
    """Measure an image at one quality."""
    return _with_pixels(row.image, lambda pixels: measure(pixels, row.quality, row.settings))


def picture_of(show: Show) -> Pictures | Failure:
    """Cut the pictures of an image."""
    pixels_of.cache_clear()  # it is read again: the file may have changed since it was measured
    return _with_pixels(show.image, lambda pixels: picture(pixels, show.qualities, show.worst_quality, show.settings))


def _with_pixels(image: StudiedImage, work: Callable[[Pixels], Result]) -> Result | Failure:
    try:
        with READING:
            pixels = pixels_of(image.path, image.digest)
        return work(pixels)
    except UnreadableError as error:
        return Failure(image.name, str(error))
    except MemoryError:
        return Failure(image.name, TOO_LARGE)
