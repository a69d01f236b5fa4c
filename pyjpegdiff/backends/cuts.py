"""Cutting a batch: samples that go together, strips of rows, and what is made of each strip in its turn."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from pyjpegdiff.backends import threads
from pyjpegdiff.codec import Group, Halo
from pyjpegdiff.reduce import by_sample
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
STEP_AXES, COLOR_AXES = 2, (2, 1, 2, 1)
"""Own axes of operands: of each group's steps, and of those of color, in order."""

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


def each(
    spec: Spec, pieces: list[Cut], shape: tuple[int, ...], make: Callable[[Cut], Group], use: Use[T], looks_beyond: bool
) -> list[T]:
    """Make the planes of every piece, and use them once its neighbors' are made, too: (cut, planes, rows beyond).

    Neighbors matter where use ``looks_beyond`` a piece, and rows of chroma are doubled. Each thread takes a run of
    consecutive pieces. Those at the ends of a run, whose neighbors another thread makes, are used after all runs; so a
    result does not depend on the number of threads.
    """
    count, _, height, width = shape
    # A caller's own surrogate may not be made for several threads.
    workers = min(threads.get_num_threads(), count * height * width // SHARE) if isinstance(spec.rounding, str) else 1
    looks_beyond = looks_beyond and spec.samplings[-1][0] == 2
    edges: dict[int, Halo] = {}
    results: dict[int, T] = {}

    def neighbors(index: int) -> tuple[int | None, int | None]:
        rows = pieces[index].rows
        above = index - 1 if looks_beyond and rows.start > 0 else None
        below = index + 1 if looks_beyond and rows.stop < height else None
        return above, below

    def finish(index: int, planes: Group) -> None:
        above, below = neighbors(index)
        beyond = (None if above is None else edges[above][1], None if below is None else edges[below][0])
        results[index] = use(pieces[index], planes, beyond)

    def is_ready(index: int, made: range) -> bool:
        return all(other is None or other in made for other in neighbors(index))

    def run(indices: Sequence[int]) -> list[tuple[int, Group]]:
        waiting: dict[int, Group] = {}
        for index in indices:
            waiting[index] = make(pieces[index])
            if looks_beyond:
                edges[index] = _edges(waiting[index])
            made = range(indices[0], index + 1)
            for ready in [index for index in waiting if is_ready(index, made)]:
                finish(ready, waiting.pop(ready))
        return list(waiting.items())

    def finish_all(left: Sequence[tuple[int, Group]]) -> None:
        for item in left:
            finish(*item)

    left = threads.spread(run, range(len(pieces)), workers)
    threads.spread(finish_all, [item for items in left for item in items], workers)
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
        return by_sample(xp, array, own, leading)[samples]

    steps = tuple(pick(array, STEP_AXES) for array in operands.steps)
    return Operands(steps, *(pick(array, own) for array, own in zip(operands[1:], COLOR_AXES, strict=True)))


def _tiled(xp: Namespace, spec: Spec, operands: Operands, width: int) -> Operands:
    """Steps once for every block of a row, so that no strip has to do it."""
    tiled = (
        tile(xp, steps, padded_size((1, width), factors)[1])
        for steps, factors in zip(operands.steps, spec.samplings, strict=True)
    )
    return operands._replace(steps=tuple(tiled))
