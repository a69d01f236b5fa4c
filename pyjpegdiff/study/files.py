"""Read image files of any kind as upright 8-bit RGB or grayscale, which JPEG can store, or say why that fails."""

import hashlib
import os
import re
import stat
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from pyjpegdiff.files import LARGEST_SIZE

Pixels = NDArray[np.uint8]
GRAYS = ("1", "L", "LA", "La")
FOREIGN = {
    "EPS": "is PostScript, a program that would have to be run",
    "IPTC": "is IPTC, which may contain a file of any other kind",
}
"""Formats that Pillow reads by another program, Ghostscript, or that may lead it there."""
TOO_LARGE = "does not fit into memory"
MEMORY = 70
"""Bytes that a study needs per pixel."""
FORMULAS = tuple("=+-@\uff1d\uff0b\uff0d\uff20")
"""First characters, also as East Asian keyboards write them, of what a spreadsheet runs."""


class UnreadableError(Exception):
    """A file could not be read as an image; the message is for users."""


class Read(NamedTuple):
    """An image, and the conversions that the user may not expect."""

    pixels: Pixels
    """(H, W, 3) or (H, W)"""
    note: str
    """Empty for plain RGB and grayscale."""

    @property
    def digest(self) -> str:
        """Hash of the pixels: equal for equal images, whatever the names of their files."""
        shape = repr(self.pixels.shape).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()[:32]


class Input(NamedTuple):
    """A file, and the name that outputs give it."""

    name: str
    path: Path


def read_image(path: Path) -> Read:
    """Read an image file.

    Parameters
    ----------
    path : Path
        Any file that Pillow itself reads, so no PostScript, of at most ``PIL.Image.MAX_IMAGE_PIXELS`` pixels and at
        most 65500 on a side, as libjpeg allows. The image is turned upright according to its EXIF orientation.
        Transparent pixels are blended with white. If there are several frames, the first is used. 16 bits are scaled to
        8. Palettes, CMYK and other colors are converted to RGB without a color profile. Grayscale stays grayscale.

    Returns
    -------
    Read
        Pixels of uint8, (H, W, 3) or (H, W), and a note that names the conversions.

    Raises
    ------
    UnreadableError
        If the file cannot be read, for any reason.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        raise UnreadableError("is a link to no file" if path.is_symlink() else "no such file") from error
    except (OSError, ValueError) as error:
        raise UnreadableError(printable(_system_reason(error) or str(error))) from error
    if stat.S_ISDIR(kind):
        raise UnreadableError("is a folder, and cannot be listed")
    if not stat.S_ISREG(kind):
        raise UnreadableError("is not a regular file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as file:
                _check_header(file)
                if file.format == "PNG":
                    _check_sums(path)
                return _convert(file)
        except UnreadableError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UnreadableError(_too_large(error)) from error
        except UnidentifiedImageError as error:
            raise UnreadableError("is no image that Pillow can read") from error
        except MemoryError as error:
            raise UnreadableError(TOO_LARGE) from error
        except Exception as error:  # decoders raise anything, from struct.error to SyntaxError
            raise UnreadableError(printable(_reason(error, path))) from error


def _too_large(error: Exception) -> str:
    """The message in megapixels: Pillow's own names pixels, and twice the limit where Pillow raises an error."""
    pixels = re.search(r"\d+", str(error))
    if pixels is None or Image.MAX_IMAGE_PIXELS is None:
        return f"too large: {error}"
    size, most = (number / 1e6 for number in (int(pixels[0]), Image.MAX_IMAGE_PIXELS))
    allowed = "--max-megapixels, or PIL.Image.MAX_IMAGE_PIXELS in Python, allows"
    return f"too large: {size:.6g} megapixels; {allowed} {most:.6g}"


def _check_header(file: Image.Image) -> None:
    """Raise for what must not, or cannot, be decoded."""
    if file.format in FOREIGN:
        raise UnreadableError(FOREIGN[file.format])
    width, height = file.size
    if max(width, height) > LARGEST_SIZE:
        raise UnreadableError(f"too large: {width} x {height} pixels; JPEG allows {LARGEST_SIZE} on a side")
    if width * height * MEMORY > _memory():
        raise UnreadableError(TOO_LARGE)


def _memory() -> float:
    """Bytes of this machine's memory, as far as it tells."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return float("inf")


def _check_sums(path: Path) -> None:
    """Raise unless the check sums of all chunks of a PNG file are right; decoding reads only some of them."""
    with Image.open(path) as file:
        file.verify()


def _system_reason(error: Exception) -> str | None:
    return error.strerror if isinstance(error, OSError) else None


def _reason(error: Exception, path: Path) -> str:
    """The system's message, or a summary with the decoder's message, which users seldom understand, in parentheses."""
    if reason := _system_reason(error):
        return reason
    said = (str(error) or type(error).__name__).replace(repr(str(path)), "it").replace(repr(path), "it")
    return f"{'is cut short' if 'truncated' in said.lower() else 'is damaged or cut short'} ({said})"


def _convert(file: Image.Image) -> Read:
    notes = []
    frames = getattr(file, "n_frames", 1)
    if frames > 1:
        notes.append(f"first of {frames} frames")
    if any(";16" in str(tile[-1]) for tile in getattr(file, "tile", [])) or file.mode.startswith("I"):
        notes.append("16 bits scaled to 8")
    if file.getexif().get(ExifTags.Base.Orientation) in range(2, 9):
        notes.append("turned upright")
    image = ImageOps.exif_transpose(file)
    if image.mode == "F":
        raise UnreadableError("floating-point samples, whose range the file does not specify")
    if image.mode.startswith("I"):
        image = Image.fromarray(_from_16_bits(np.asarray(image)))
    gray = image.mode in GRAYS
    if image.has_transparency_data:
        notes.append("transparency on white")
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode not in ("1", "L", "P", "RGB"):
        notes.append(f"{image.mode} converted to RGB")
    elif image.mode == "P":
        notes.append("palette converted to RGB")
    return Read(np.array(image.convert("L" if gray else "RGB")), ", ".join(notes))


def _from_16_bits(samples: NDArray[Any]) -> Pixels:
    if samples.min() < 0 or samples.max() > 65535:
        raise UnreadableError("32-bit samples, whose range the file does not specify")
    return (samples / 257).round().astype(np.uint8)


# --- finding files ----------------------------------------------------------------------------------------------------


def find(paths: Iterable[Path], leave_out: Collection[Path]) -> Iterator[Input]:
    """The files that the paths stand for, each once: a folder stands for all image files in it, at any depth, sorted.

    In a folder, these are skipped: hidden files, links to folders, files without the suffix of an image, and
    ``leave_out`` with all that it contains. A folder that cannot be listed is yielded itself, so that reading it fails.
    No two inputs have the same name.
    """
    seen: set[Path] = set()
    names: set[str] = set()
    excluded = [real_path(path) for path in leave_out]
    for path in paths:
        folder = os.path.isdir(path)  # `Path.is_dir` raises for some paths  # noqa: PTH112
        for found in _walk(path) if folder else [path]:
            real = real_path(found)
            if real not in seen and not (folder and any(real.is_relative_to(other) for other in excluded)):
                seen.add(real)
                name = _name(found)
                while name in names:  # a line break and the two characters `\n` look the same when printed
                    name += " (another)"
                names.add(name)
                yield Input(name, found)


def _name(path: Path) -> str:
    """The path in outputs. A spreadsheet would run a cell that begins as a formula does."""
    name = printable(path.as_posix())
    return f"./{name}" if name.startswith(FORMULAS) else name


def real_path(path: Path) -> Path:
    """One path for all spellings of it. It also works for circular links, where `Path.resolve` may raise."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:  # there is no such path, because it has a null character
        return path


def _walk(folder: Path) -> Iterator[Path]:
    suffixes = {suffix for suffix, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    unlisted: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=lambda error: unlisted.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if Path(name).suffix.lower() in suffixes and not name.startswith("."):
                yield Path(parent, name)
    yield from unlisted


def printable(text: str) -> str:
    """Text for a terminal, a CSV file and a report: invalid characters and control characters are escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
