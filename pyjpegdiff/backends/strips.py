"""Cutting a batch: samples that go together, strips of rows, and what is computed from each strip in turn."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from pyjpegdiff.arrays import per_sample
from pyjpegdiff.backends import threads
from pyjpegdiff.codec import Group
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages.quantization import tile
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import Array, Shape

GROUP = 16
"""Rows of a strip are a multiple of this: one block of chroma at its coarsest."""
STEPS_NDIM, COLOR_NDIMS = 2, (2, 1, 2, 1)
"""Core dimensions of operands: of each group's steps, and of those of color, in order."""

Result = TypeVar("Result")
Rows = tuple[Array | None, Array | None]
"""Rows of chroma above and below a strip; None at the border of the image."""


class Cutting(NamedTuple):
    """How large pieces are."""

    area: int = 2**16
    """Pixels of a strip, about: more would not stay in the cache, fewer would not be worth the calls.

    Twice as many in a batch that is worth threads: between two calls, each waits for Python's lock.
    """
    thread_area: int = 2**19
    """Pixels that are worth a thread."""

    def for_half(self) -> "Cutting":
        """For encode or decode alone, which hold half as much per pixel."""
        return self._replace(area=2 * self.area)


class Strip(NamedTuple):
    """A strip of one sample, or several small samples."""

    samples: slice
    rows: slice
    operands: Operands
    """Those of these samples, steps tiled along a row."""


def cut(spec: Spec, cutting: Cutting, operands: Operands, batch_shape: Shape, shape: Shape) -> list[Strip]:
    """A batch (count, channels, H, W) in strips: sample after sample, from top to bottom."""
    count, _, height, width = shape
    area = cutting.area * (2 if count * height * width >= 2 * cutting.thread_area else 1)
    return [
        Strip(samples, rows, of_samples)
        for samples in _samples_together(count, height * width, area)
        for of_samples in (_tiled(spec, _of_samples(operands, batch_shape, samples), width),)
        for rows in _rows_together(height, width, area)
    ]


def process(
    spec: Spec,
    cutting: Cutting,
    strips: list[Strip],
    shape: Shape,
    produce: Callable[[Strip], Group],
    consume: Callable[[Strip, Group, Rows], Result],
) -> list[Result]:
    """Produce the planes of every strip, and consume them once the neighbors' are there, too.

    ``consume(strip, planes, rows)`` gets the rows of chroma above and below where upsampling doubles rows. Each thread
    takes a run of consecutive strips. Those at the ends of a run, whose neighbors another thread produces, are consumed
    after all runs; so a result does not depend on the number of threads. A strip without planes waits for no other.
    """
    count, _, height, width = shape
    # A custom surrogate may not be safe to call from several threads.
    most = threads.get_num_threads() if isinstance(spec.rounding, str) else 1
    workers = min(most, count * height * width // cutting.thread_area)
    if len(strips) == 1:
        return [consume(strips[0], produce(strips[0]), (None, None))]
    doubles_rows = spec.samplings[-1][0] == 2
    edges: dict[int, Rows] = {}
    results: dict[int, Result] = {}

    def neighbors(index: int, planes: Group) -> tuple[int | None, int | None]:
        rows = strips[index].rows
        if not (doubles_rows and planes):
            return None, None
        return index - 1 if rows.start > 0 else None, index + 1 if rows.stop < height else None

    def finish(index: int, planes: Group) -> None:
        above, below = neighbors(index, planes)
        rows = (None if above is None else edges[above][1], None if below is None else edges[below][0])
        results[index] = consume(strips[index], planes, rows)

    def run(indices: Sequence[int]) -> list[tuple[int, Group]]:
        waiting: dict[int, Group] = {}
        for index in indices:
            planes = produce(strips[index])
            waiting[index] = planes
            edges[index] = edge_rows(planes)
            done = range(indices[0], index + 1)
            for ready, its_planes in list(waiting.items()):
                if all(other is None or other in done for other in neighbors(ready, its_planes)):
                    finish(ready, waiting.pop(ready))
        return list(waiting.items())

    def finish_all(left: Sequence[tuple[int, Group]]) -> None:
        for index, planes in left:
            finish(index, planes)

    left = threads.spread(run, range(len(strips)), workers)
    threads.spread(finish_all, [item for items in left for item in items], workers)
    return [results[index] for index in range(len(strips))]


def plane_rows(factors: tuple[int, int], rows: slice) -> slice:
    """The rows of a group's planes of whole blocks that belong to a strip."""
    start = rows.start // factors[0]
    return slice(start, start + padded_size((rows.stop - rows.start, 1), factors)[0])


def edge_rows(planes: Group) -> Rows:
    """The first and the last row of chroma."""
    # Copies: views would keep all planes in memory.
    if not planes:
        return None, None
    return xp.asarray(planes[-1][..., :1, :], copy=True), xp.asarray(planes[-1][..., -1:, :], copy=True)


def _samples_together(count: int, pixels: int, area: int) -> Iterator[slice]:
    together = max(1, area // pixels)
    for start in range(0, count, together):
        yield slice(start, min(start + together, count))


def _rows_together(height: int, width: int, area: int) -> Iterator[slice]:
    rows = max(GROUP, area // width // GROUP * GROUP)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def _of_samples(operands: Operands, batch_shape: Shape, samples: slice) -> Operands:
    """The operands that some samples meet."""

    def pick(array: Array | None, core_ndim: int) -> Array | None:
        if array is None or array.ndim == core_ndim:
            return array
        return per_sample(xp, array, core_ndim, batch_shape)[samples]

    steps, *color = operands
    if color[0] is None or not any(x is not None and x.ndim > n for x, n in zip(color, COLOR_NDIMS, strict=True)):
        picked = color
    else:
        picked = [pick(array, core_ndim) for array, core_ndim in zip(color, COLOR_NDIMS, strict=True)]
    return Operands(tuple([pick(array, STEPS_NDIM) for array in steps]), *picked)  # type: ignore[misc]


def _tiled(spec: Spec, operands: Operands, width: int) -> Operands:
    """Steps once for every block of a row, so that no strip has to do it."""
    tiled = [
        tile(xp, steps, padded_size((1, width), factors)[1])
        for steps, factors in zip(operands.steps, spec.samplings, strict=True)
    ]
    return operands._replace(steps=tuple(tiled))
