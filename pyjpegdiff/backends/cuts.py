"""Cutting a batch: samples that go together, strips of rows, and what is made of each strip in its turn."""

import functools
import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from pyjpegdiff.backends import threads
from pyjpegdiff.codec import Group, Halo
from pyjpegdiff.spec import Array, Namespace, Operands, Spec
from pyjpegdiff.stages.quantization import tile
from pyjpegdiff.stages.sampling import padded_size

AREA = 2**16
"""Pixels of a strip, about: more would not stay in the cache, fewer would not be worth the calls.

Twice as many in a batch that is worth threads: between two calls, each waits for Python's lock.
"""
GROUP = 16
"""Rows of a strip are a multiple of this: one block of chroma at its coarsest."""
SHARE = 2**19
"""Pixels that are worth a thread."""

T = TypeVar("T")


class Cut(NamedTuple):
    """A strip of one sample, or several small samples."""

    samples: slice
    rows: slice
    operands: Operands
    """Those of these samples, steps tiled along a row."""


Use = Callable[[Cut, Group, Halo], T]


def cuts(xp: Namespace, spec: Spec, operands: Operands, leading: tuple[int, ...], shape: tuple[int, ...]) -> list[Cut]:
    """A batch (count, channels, H, W) in pieces: sample after sample, strip after strip."""
    count, _, height, width = shape
    area = 2 * AREA if count * height * width >= 2 * SHARE else AREA
    return [
        Cut(samples, rows, own)
        for samples in _groups(shape, area)
        for own in (_tiled(xp, spec, _of(xp, operands, leading, samples), width),)
        for rows in _strips(height, width, area)
    ]


def each(pieces: list[Cut], shape: tuple[int, ...], make: Callable[[Cut], Group], use: Use[T]) -> list[T]:
    """Make the planes of every piece, and use them once its neighbors' are made, too: (cut, planes, rows beyond).

    Threads take runs of consecutive pieces, one after the other each. The pieces at the ends of a run are used after
    all runs, if they have neighbors there; so results do not depend on the number of threads.
    """
    edges: list[Halo] = [(None, None)] * len(pieces)
    results: dict[int, T] = {}

    def finish(index: int, planes: Group) -> None:
        rows = pieces[index].rows
        above = edges[index - 1][1] if rows.start > 0 else None
        below = edges[index + 1][0] if rows.stop < shape[-2] else None
        results[index] = use(pieces[index], planes, (above, below))

    def run(indices: range) -> list[tuple[int, Group]]:
        left, made = [], []
        for index in indices:
            planes = make(pieces[index])
            made.append((index, planes))
            edges[index] = _edges(planes)
            if len(made) > 1:
                left += settle(indices, *made.pop(0))
        return left + settle(indices, *made.pop())

    def settle(indices: range, index: int, planes: Group) -> list[tuple[int, Group]]:
        rows = pieces[index].rows
        if (rows.start > 0 and index == indices[0]) or (rows.stop < shape[-2] and index == indices[-1]):
            return [(index, planes)]
        finish(index, planes)
        return []

    runs = _runs(len(pieces), min(threads.get_num_threads(), math.prod(shape) // shape[-3] // SHARE))
    left = [item for items in threads.run([functools.partial(run, indices) for indices in runs]) for item in items]
    threads.run([functools.partial(finish, *item) for item in left])
    return [results[index] for index in range(len(pieces))]


def plane_rows(factors: tuple[int, int], rows: slice) -> slice:
    """The rows of a group's planes of whole blocks that a strip makes."""
    start = rows.start // factors[0]
    return slice(start, start + padded_size((rows.stop - rows.start, 1), factors)[0])


def _edges(planes: Group) -> Halo:
    # Copies: views would keep all planes in memory.
    if not planes:
        return None, None
    return planes[-1][..., :1, :].copy(), planes[-1][..., -1:, :].copy()


def _runs(count: int, workers: int) -> list[range]:
    """Consecutive indices, as many a worker."""
    workers = max(1, min(workers, count))
    bounds = [count * worker // workers for worker in range(workers + 1)]
    return [range(start, stop) for start, stop in itertools.pairwise(bounds) if stop > start]


def _groups(shape: tuple[int, ...], area: int) -> Iterator[slice]:
    """Samples that go together."""
    count, _, height, width = shape
    together = max(1, area // (height * width))
    for start in range(0, count, together):
        yield slice(start, min(start + together, count))


def _strips(height: int, width: int, area: int) -> Iterator[slice]:
    """Rows of a sample that go together; a sample that is one of several is one strip."""
    rows = max(GROUP, area // width // GROUP * GROUP)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def _of(xp: Namespace, operands: Operands, leading: tuple[int, ...], samples: slice) -> Operands:
    """The operands that some samples meet."""

    def pick(array: Array | None, own: int) -> Array | None:
        if array is None or array.ndim == own:
            return array
        shape = array.shape[array.ndim - own :]
        every = xp.reshape(xp.broadcast_to(array, (*leading, *shape)), (math.prod(leading), *shape))
        return every[samples]

    return Operands(
        steps=tuple(pick(array, 2) for array in operands.steps),
        matrix=pick(operands.matrix, 2),
        shift=pick(operands.shift, 1),
        inverse=pick(operands.inverse, 2),
        unshift=pick(operands.unshift, 1),
    )


def _tiled(xp: Namespace, spec: Spec, operands: Operands, width: int) -> Operands:
    """Steps once for every block of a row, so that no strip has to do it."""
    tiled = (
        tile(xp, steps, padded_size((1, width), factors)[1])
        for steps, factors in zip(operands.steps, spec.samplings, strict=True)
    )
    return operands._replace(steps=tuple(tiled))
