"""Image files of any kind, read as what a JPEG file could hold: upright 8-bit RGB or gray, or a reason why not."""

import hashlib
import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

Pixels = NDArray[np.uint8]
GRAYS = ("1", "L", "LA", "La")


class UnreadableError(Exception):
    """Why a file could not be read as an image, in words for people."""


class Read(NamedTuple):
    """An image, and what was done to it that the file's owner may not expect."""

    pixels: Pixels
    """(H, W, 3) or (H, W)"""
    note: str
    """Empty for plain RGB and grayscale."""

    @property
    def digest(self) -> str:
        """Of the pixels: equal for equal images, whatever their files are called."""
        shape = repr(self.pixels.shape).encode()
        return hashlib.sha256(shape + np.ascontiguousarray(self.pixels).tobytes()).hexdigest()[:32]


class Input(NamedTuple):
    """A file, and what to call it."""

    name: str
    path: Path


def read_image(path: Path) -> Read:
    """Read an image file.

    Parameters
    ----------
    path : Path
        Any file that Pillow reads, of at most ``PIL.Image.MAX_IMAGE_PIXELS`` pixels. The image is turned upright as
        its EXIF orientation says; what is transparent is laid on white; of several frames the first is taken; 16 bits
        are scaled to 8; palettes, CMYK and other colors are converted to RGB without a color profile. Grayscale stays
        grayscale.

    Returns
    -------
    Read
        Pixels of uint8, (H, W, 3) or (H, W), and a note of what was converted.

    Raises
    ------
    UnreadableError
        For whatever reason.
    """
    if not path.exists():
        raise UnreadableError("no such file")
    if path.is_dir():
        raise UnreadableError("is a folder, and cannot be listed")
    if not path.is_file():
        raise UnreadableError("is not a regular file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            with Image.open(path) as file:
                return _convert(file)
        except UnreadableError:
            raise
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise UnreadableError(_too_large(error)) from error
        except UnidentifiedImageError as error:
            raise UnreadableError("is no image that Pillow can read") from error
        except MemoryError as error:
            raise UnreadableError("does not fit into memory") from error
        except Exception as error:  # decoders raise anything, from struct.error to SyntaxError
            raise UnreadableError(printable(_reason(error, path))) from error


def _too_large(error: Exception) -> str:
    """In megapixels, since Pillow tells pixels, and twice the limit where it refuses by itself."""
    pixels = re.search(r"\d+", str(error))
    if pixels is None or Image.MAX_IMAGE_PIXELS is None:
        return f"too large: {error}"
    size, most = (number / 1e6 for number in (int(pixels[0]), Image.MAX_IMAGE_PIXELS))
    allowed = "--max-megapixels, or PIL.Image.MAX_IMAGE_PIXELS in Python, allows"
    return f"too large: {size:.6g} megapixels; {allowed} {most:.6g}"


def _reason(error: Exception, path: Path) -> str:
    """What the system says, or what a decoder says, which is seldom for people, behind what it comes down to."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
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
        raise UnreadableError("floating-point samples, whose range the file does not tell")
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
        raise UnreadableError("32-bit samples, whose range the file does not tell")
    return (samples / 257).round().astype(np.uint8)


# --- finding them -----------------------------------------------------------------------------------------------------


def find(paths: Iterable[Path], leave_out: Collection[Path]) -> Iterator[Input]:
    """The files meant by paths, each once: folders stand for all image files in them, at any depth, by name in order.

    In a folder, what is hidden, has no suffix of an image, or is or lies in one of ``leave_out`` is passed over. A
    folder that cannot be listed is yielded itself, to fail when it is read. No two have one name.
    """
    seen: set[Path] = set()
    names: set[str] = set()
    left_out = [real_path(path) for path in leave_out]
    for path in paths:
        for found in _walk(path) if path.is_dir() else [path]:
            real = real_path(found)
            if real not in seen and not (path.is_dir() and any(real.is_relative_to(other) for other in left_out)):
                seen.add(real)
                name = printable(found.as_posix())
                while name in names:  # a line break and `\n` are printed alike
                    name += " (another)"
                names.add(name)
                yield Input(name, found)


def real_path(path: Path) -> Path:
    """One for all ways to say where a file is; of links in a circle too, which `Path.resolve` may refuse."""
    return Path(os.path.realpath(path))


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
    """Text that a terminal, a CSV file and a page can show: what is no character, or steers a terminal, is escaped."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
