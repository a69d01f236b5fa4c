"""What is done to each file of a study, in a process of its own perhaps: an answer or a failure, never an exception."""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pyjpegdiff.study.files import Input, Pixels, UnreadableError, read_image
from pyjpegdiff.study.measurement import Measurement, measure
from pyjpegdiff.study.pictures import Pictures, picture
from pyjpegdiff.study.settings import Settings


class Failure(NamedTuple):
    """A file that is not in the study, and why."""

    name: str
    reason: str


@dataclass
class StudiedImage:
    """A file and what was measured of it."""

    name: str
    path: Path
    height: int
    width: int
    gray: bool
    note: str
    """What was converted when it was read; empty for plain RGB and grayscale."""
    digest: str
    """Of the pixels."""
    measurements: list[Measurement] = field(default_factory=list)
    """One a quality, in order of quality."""


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


def inspect(found: Input) -> StudiedImage | Failure:
    """What is to be known of an image before it is measured."""
    try:
        read = read_image(found.path)
    except UnreadableError as error:
        return Failure(found.name, str(error))
    height, width = read.pixels.shape[:2]
    return StudiedImage(found.name, found.path, height, width, read.pixels.ndim == 2, read.note, read.digest)


@functools.lru_cache(maxsize=1)  # an image's qualities are measured one after the other
def pixels_of(path: Path, digest: str) -> Pixels:
    """The pixels again, if they still are what they were."""
    read = read_image(path)
    if read.digest != digest:
        raise UnreadableError("changed while it was studied")
    return read.pixels


def measure_row(row: Row) -> Measurement | Failure:
    """Measure an image at a quality."""
    try:
        return measure(pixels_of(row.image.path, row.image.digest), row.quality, row.settings)
    except UnreadableError as error:
        return Failure(row.image.name, str(error))
    except MemoryError:
        return Failure(row.image.name, "does not fit into memory")


def picture_of(show: Show) -> Pictures | Failure:
    """Cut the pictures of an image."""
    try:
        pixels = pixels_of(show.image.path, show.image.digest)
        return picture(pixels, show.qualities, show.worst_quality, show.settings)
    except UnreadableError as error:
        return Failure(show.image.name, str(error))
    except MemoryError:
        return Failure(show.image.name, "does not fit into memory")
