"""Checked arguments of the public functions of a study."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pyjpegdiff.study.measures import Pixels


def checked_image(image: ArrayLike) -> Pixels:
    """The image as an array; raises unless a study accepts it."""
    if isinstance(image, str | bytes | os.PathLike):
        raise TypeError(f"image must be an array of uint8, not a file (`study_files` takes files), got {image!r}")
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise TypeError(f"image must be of uint8, pixel values 0..255, got {pixels.dtype}")
    if not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)) or not pixels.size:
        raise ValueError(f"image must have shape (H, W, 3) or (H, W), H and W at least 1, got {pixels.shape}")
    return np.ascontiguousarray(pixels)


def checked_qualities(qualities: Any) -> list[int]:
    """The qualities as a list; raises unless they are whole numbers in 1..100."""
    if isinstance(qualities, str | bytes) or not isinstance(qualities, Iterable):
        raise TypeError(f"qualities must be several whole numbers in 1..100, such as [50], got {qualities!r}")
    given = list(qualities)
    for quality in given:
        if isinstance(quality, bool) or quality not in range(1, 101):
            raise ValueError(f"qualities must be whole numbers in 1..100, got {quality!r}")
    return [int(quality) for quality in given]


def checked_paths(paths: Any) -> list[Path]:
    """The paths as a list; raises unless they are an iterable of paths."""
    rule = "paths must be several paths, such as ['photos']"
    if isinstance(paths, str | bytes | os.PathLike) or not isinstance(paths, Iterable):
        raise TypeError(f"{rule}, got {paths!r}")
    given = list(paths)
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"{rule}, got {path!r} among them")
        if path == "":  # `Path` takes it for the current folder
            raise ValueError(f"{rule}, got '' among them")
    return [Path(path) for path in given]


def checked_folder(out: Any) -> Path:
    """The folder for the outputs; raises unless it is a path."""
    if not isinstance(out, str | os.PathLike):
        raise TypeError(f"out must be a path, got {out!r}")
    path = os.fsdecode(out)
    if not path or "\0" in path:
        raise ValueError(f"out must be a path that a folder can have, got {out!r}")
    return Path(path)


def checked_jobs(jobs: Any) -> int:
    """The number of processes; raises unless it is a whole number, at least 1."""
    if isinstance(jobs, bool) or not isinstance(jobs, int | np.integer):
        raise TypeError(f"jobs must be a whole number, at least 1, got {jobs!r}")
    if jobs < 1:
        raise ValueError(f"jobs must be a whole number, at least 1, got {jobs!r}")
    return int(jobs)


def check_client(client: Any, jobs: int) -> None:
    """Raise unless there is no client, or one that can be waited for, and no number of processes beside it."""
    if client is None:
        return
    distributed = sys.modules.get("distributed")  # whoever has a client has loaded it
    if distributed is None or not isinstance(client, distributed.Client) or client.asynchronous:
        raise TypeError(f"client must be a distributed.Client, not an asynchronous one, or None, got {client!r}")
    if jobs != 1:
        raise ValueError(f"jobs must be 1 where there is a client, whose workers do the work, got {jobs}")
