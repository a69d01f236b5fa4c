"""Learning tables from image files, and what they save on files that were held out."""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

import pyjpegdiff
from pyjpegdiff.distortions import WINDOW, dissimilarity, multiscale_dissimilarity, squared_error
from pyjpegdiff.learning import Distortion, LearnedTables, Learning, learn_tables
from pyjpegdiff.study.curves import MEASURES, Point, point, size_at, steps_at
from pyjpegdiff.study.files import Input, Pixels, Read, UnreadableError, read_image
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.whole_file import write_whole

DISTORTIONS: dict[str, Distortion] = {
    "psnr": squared_error, "ssim": dissimilarity, "multiscale": multiscale_dissimilarity,
}  # fmt: skip
SIDE = 256
"""Learned from is the middle of a photo: that is fast, and one photo teaches hardly more."""
HELD_OUT = 4
"""One photo of so many is held out."""
AROUND = range(-24, 25, 4)
SAVED_EVERY = 10

Progress = Callable[[str, int, int], None]


class Photos(NamedTuple):
    """Files to learn from and files to judge by, of different content; and why others are in neither."""

    learned_from: dict[str, Pixels]
    """The middles of photos by the names of their files."""
    held_out: list[Input]
    left_out: dict[str, str]


class Judgment(NamedTuple):
    """A photo that was held out."""

    name: str
    before: Point
    """Its file with the tables of Annex K."""
    sizes: dict[str, float]
    """Of a file with the learned tables, in bytes, at equal PSNR and at equal SSIM."""


def read_photos(files: Sequence[Input], seed: int, progress: Progress) -> Photos:
    """Read image files, and hold one of four out, at least one; which, depends on their pixels and the seed."""
    readable: dict[str, tuple[Input, Pixels]] = {}
    left_out: dict[str, str] = {}
    for count, file in enumerate(files):
        progress("reading", count, len(files))
        try:
            read = read_image(file.path)
        except UnreadableError as error:
            left_out[file.name] = str(error)
            continue
        digest = read.digest
        if digest in readable:
            left_out[file.name] = f"the same image as {readable[digest][0].name}"
        elif min(read.pixels.shape[:2]) < WINDOW:
            left_out[file.name] = f"less than {WINDOW} pixels high or wide, the window of SSIM"
        else:
            readable[digest] = file, _middle(read)
    progress("reading", len(files), len(files))
    shuffled = [readable[digest] for digest in sorted(readable)]
    order = np.random.default_rng(seed).permutation(len(shuffled))
    count = max(1, len(shuffled) // HELD_OUT)
    held_out, learned_from = [[shuffled[n] for n in part] for part in (order[:count], order[count:])]
    return Photos({file.name: pixels for file, pixels in learned_from}, [file for file, _ in held_out], left_out)


def learn(
    photos: Photos, quality: int, measure: str, subsampling: str, iterations: int, seed: int, state: Path,
    progress: Progress,
) -> LearnedTables:  # fmt: skip
    """Learn tables, and keep in the file ``state`` where learning stands: the same call goes on from there."""
    images = list(photos.learned_from.values())
    choices = [pyjpegdiff.__version__, quality, measure, subsampling, iterations, seed]
    key = hashlib.sha256(json.dumps([*choices, [Read(image, "").digest for image in images]]).encode()).hexdigest()
    resume = _load(state, key)

    def after(found: Learning) -> None:
        progress("learning", found.iteration, iterations)
        if found.iteration % SAVED_EVERY == 0:
            _save(state, key, found)

    return learn_tables(
        images, quality, distortion=DISTORTIONS[measure], subsampling=subsampling, iterations=iterations, seed=seed,
        resume=resume, progress=after,
    )  # fmt: skip


def judge(
    photos: Photos, learned: LearnedTables, quality: int, subsampling: str, progress: Progress
) -> tuple[list[Judgment], dict[str, str]]:
    """Write files of the photos that were held out, at the quality and around it, and compare them.

    The second result is why photos can no longer be read, by name.
    """
    found, left_out = [], {}
    qualities = sorted({min(99, max(1, quality + change)) for change in AROUND})
    for count, file in enumerate(photos.held_out):
        progress("judging", count, len(photos.held_out))
        try:
            pixels = read_image(file.path).pixels
        except UnreadableError as error:
            left_out[file.name] = str(error)
            continue
        before = point(pixels, [steps_at(table, quality) for table in (LUMINANCE, CHROMINANCE)], subsampling)
        after = [point(pixels, [steps_at(table, q) for table in learned], subsampling) for q in qualities]
        found.append(Judgment(file.name, before, {measure: _size_at(after, before, measure) for measure in MEASURES}))
    progress("judging", len(photos.held_out), len(photos.held_out))
    return found, left_out


def _size_at(after: list[Point], before: Point, measure: str) -> float:
    try:
        return size_at(after, before, measure)
    except ValueError:  # an image of one color has no curve
        return math.nan


def _middle(read: Read) -> Pixels:
    top, left = (max(0, length - SIDE) // 2 for length in read.pixels.shape[:2])
    return np.ascontiguousarray(read.pixels[top : top + SIDE, left : left + SIDE])


def _save(path: Path, key: str, state: Learning) -> None:
    arrays = {name: value.tolist() for name, value in vars(state).items() if name != "iteration"}
    write_whole(path, json.dumps({"key": key, "iteration": state.iteration, **arrays}).encode())


def _load(path: Path, key: str) -> Learning | None:
    """What was saved by the same call; None where there is nothing, or something else."""
    try:
        found = json.loads(path.read_bytes())
        if found.pop("key") != key:
            return None
        iteration = found.pop("iteration")
        return Learning(iteration, **{name: np.array(value).reshape(2, 8, 8) for name, value in found.items()})
    except (FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        return None
