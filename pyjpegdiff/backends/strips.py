"""NumPy: the codec's own functions, strip by strip, so that what lies between two stages stays in the cache.

Big fresh arrays cost page faults and trips to memory; a strip's are reused from call to call. Strips are whole blocks
high. Only upsampling looks beyond one, by a row of chroma: forward, a strip waits for the planes of the next; backward,
it takes one more row of the cotangent on either side. Small images go several at a time, by their leading axis.

Everything is added up in a fixed order, in one thread. In libjpeg arithmetic the result equals that of the whole image
to the bit; in float to a few eps, but for what lies so near a tie or a bound that the last bit decides.
"""

import functools
import math
from collections.abc import Iterator

import numpy as np

from pyjpegdiff import codec
from pyjpegdiff.backends import lean, whole
from pyjpegdiff.codec import Gradients, Group, Halo
from pyjpegdiff.reduce import sum_to_shape
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted
from pyjpegdiff.stages.quantization import tile, untile
from pyjpegdiff.stages.sampling import padded_size

AREA = 2**15
"""Pixels of a strip, about: its three channels and what becomes of them share a cache of a megabyte."""
GROUP = 16
"""Rows of a strip are a multiple of this: one block of chroma at its coarsest."""

Residuals = tuple[Array, ...]


@functools.cache
def _have_freed_memory_kept() -> None:
    """Let glibc see a large array come and go, untouched, once in a process.

    Until it has, it hands every freed array of a strip's size back to the system, and each next one costs its page
    faults anew: up to half the time of a call. Elsewhere this does nothing.
    """
    np.empty(31 * 2**20, np.uint8)


def code(xp: Namespace, spec: Spec, operands: Operands, image: Array, wanted: Wanted) -> tuple[Array, Residuals]:
    """As `whole.code`."""
    xp = lean.xp
    _have_freed_memory_kept()
    leading, own = image.shape[:-3], image.shape[-3:]
    images = xp.reshape(image, (math.prod(leading), *own))
    coded = xp.empty(images.shape, dtype=image.dtype)
    residuals = _empty_residuals(xp, spec, images) if any(wanted) else ()
    for samples in _groups(images.shape):
        mine = tuple(residual[samples] for residual in residuals)
        own_operands = _tiled(xp, spec, _of(xp, operands, leading, samples), image.shape[-1])
        _code(xp, spec, own_operands, images[samples], coded[samples], mine)
    return (
        xp.reshape(coded, image.shape),
        tuple(xp.reshape(residual, (*leading, *residual.shape[1:])) for residual in residuals),
    )


def code_vjp(
    xp: Namespace, spec: Spec, operands: Operands, image: Array | None, residuals: Residuals, g_image: Array,
    wanted: Wanted,
) -> Gradients:  # fmt: skip
    """As `whole.code_vjp`, which also serves where color gradients are wanted."""
    xp = lean.xp
    if wanted.color:
        return whole.code_vjp(xp, spec, operands, image, residuals, g_image, wanted)
    leading, own = g_image.shape[:-3], g_image.shape[-3:]
    count = math.prod(leading)
    cotangents = xp.reshape(g_image, (count, *own))
    flat = tuple(xp.reshape(residual, (count, *residual.shape[-3:])) for residual in residuals)
    g_images = xp.empty(cotangents.shape, dtype=g_image.dtype) if wanted.image else None
    g_steps = tuple(xp.zeros(_flat_steps(steps, leading), dtype=g_image.dtype) for steps in operands.steps)
    for samples in _groups(cotangents.shape):
        mine = tuple(residual[samples] for residual in flat)
        out = None if g_images is None else g_images[samples]
        own_operands = _tiled(xp, spec, _of(xp, operands, leading, samples), g_image.shape[-1])
        found = _code_vjp(xp, spec, own_operands, mine, cotangents[samples], out, wanted)
        for total, g in zip(g_steps, found, strict=False):
            part = total[samples] if total.ndim == 3 else total
            part += xp.reshape(untile(xp, g), part.shape)
    return Gradients(
        None if g_images is None else xp.reshape(g_images, g_image.shape),
        Operands(_unflat(xp, g_steps, operands, leading) if wanted.steps else (), None, None, None, None),
    )


# --- one group of samples ---------------------------------------------------------------------------------------------


def _code(xp: Namespace, spec: Spec, operands: Operands, image: Array, coded: Array, residuals: Residuals) -> None:
    groups = len(spec.samplings)
    u_whole, inside, in_range_whole = residuals[:groups], residuals[groups : groups + 1], residuals[groups + 1 :]
    keep = bool(residuals)

    def finish(rows: slice, planes: Group, beyond: Halo) -> None:
        strip = coded[..., rows, :]
        ycc = codec.upsample(xp, spec, planes, (strip.shape[-2], strip.shape[-1]), beyond)
        strip[...], masks = codec.to_rgb(xp, spec, operands, ycc, keep)
        for whole_mask, mask in zip(inside, masks, strict=True):
            whole_mask[..., rows, :] = mask

    waiting: tuple[slice, Group] | None = None
    above: Array | None = None
    for rows in _strips(image.shape):
        u = codec.encode(xp, spec, operands, image[..., rows, :])
        planes, in_range = codec.reconstruct(xp, spec, operands, codec.rounded(xp, spec, u), keep)
        _store(spec, u_whole, u, rows)
        _store(spec, in_range_whole, in_range, rows)
        if waiting is not None:
            finish(*waiting, (above, planes[-1][..., :1, :]))
            above = waiting[1][-1][..., -1:, :]
        waiting = rows, planes
    if waiting is not None:
        finish(*waiting, (above, None))


def _code_vjp(
    xp: Namespace, spec: Spec, operands: Operands, residuals: Residuals, g_image: Array, g_out: Array | None,
    wanted: Wanted,
) -> Group:  # fmt: skip
    groups = len(spec.samplings)
    u_whole, inside, in_range_whole = residuals[:groups], residuals[groups], residuals[groups + 1 :]
    height = g_image.shape[-2]
    g_steps: Group = ()
    for rows in _strips(g_image.shape):
        first, last = max(rows.start - 1, 0), min(rows.stop + 1, height)
        _, g_ycc = codec.to_rgb_vjp(xp, spec, operands, inside[..., first:last, :], g_image[..., first:last, :])
        beyond: Halo = (
            g_ycc[..., 1:, :1, :] if first < rows.start else None,
            g_ycc[..., 1:, -1:, :] if last > rows.stop else None,
        )
        g_own = g_ycc[..., rows.start - first : rows.stop - first, :]
        size = (g_own.shape[-2], g_own.shape[-1])
        g_planes = codec.upsample_vjp(xp, spec, g_own, size, beyond)
        u, in_range = _strip_of(spec, u_whole, rows), _strip_of(spec, in_range_whole, rows)
        k = codec.rounded(xp, spec, u) if wanted.steps else u
        g_coefficients, _ = codec.reconstruct_vjp(xp, operands, k, in_range, g_planes, wanted._replace(steps=False))
        g, found = codec.encode_vjp(xp, spec, operands, None, size, u, g_coefficients, wanted, k)
        if g_out is not None:
            g_out[..., rows, :] = g
        g_steps = tuple(map(sum, zip(g_steps, found.steps, strict=True))) if g_steps else found.steps
    return g_steps


# --- cutting ----------------------------------------------------------------------------------------------------------


def _groups(shape: tuple[int, ...]) -> Iterator[slice]:
    """Samples that go together."""
    count, _, height, width = shape
    together = max(1, AREA // (height * width))
    for start in range(0, count, together):
        yield slice(start, min(start + together, count))


def _strips(shape: tuple[int, ...]) -> Iterator[slice]:
    """Rows of a sample that go together; an image that is one of several is one strip."""
    height, width = shape[-2:]
    rows = max(GROUP, AREA // width // GROUP * GROUP)
    for start in range(0, height, rows):
        yield slice(start, min(start + rows, height))


def _plane_rows(factors: tuple[int, int], rows: slice) -> slice:
    """The rows of a group's planes of whole blocks that a strip makes."""
    start = rows.start // factors[0]
    return slice(start, start + padded_size((rows.stop - rows.start, 1), factors)[0])


def _store(spec: Spec, whole: Residuals, parts: Residuals, rows: slice) -> None:
    for array, part, factors in zip(whole, parts, spec.samplings, strict=False):
        array[..., _plane_rows(factors, rows), :] = part


def _strip_of(spec: Spec, whole: Residuals, rows: slice) -> Residuals:
    return tuple(
        array[..., _plane_rows(factors, rows), :] for array, factors in zip(whole, spec.samplings, strict=False)
    )


def _empty_residuals(xp: Namespace, spec: Spec, images: Array) -> Residuals:
    count, channels, *size = images.shape
    shapes = [
        (count, min(2, channels - 1) if index else 1, *padded_size((size[0], size[1]), factors))
        for index, factors in enumerate(spec.samplings)
    ]
    u = tuple(xp.empty(shape, dtype=images.dtype) for shape in shapes)
    in_range = tuple(xp.empty(shape, dtype=xp.bool) for shape in shapes) if spec.hard else ()
    return (*u, xp.empty(images.shape, dtype=xp.bool), *in_range)


# --- operands a sample ------------------------------------------------------------------------------------------------


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


def _flat_steps(steps: Array, leading: tuple[int, ...]) -> tuple[int, ...]:
    return (8, 8) if steps.ndim == 2 else (math.prod(leading), 8, 8)


def _unflat(xp: Namespace, g_steps: Group, operands: Operands, leading: tuple[int, ...]) -> Group:
    return tuple(
        g if steps.ndim == 2 else sum_to_shape(xp, xp.reshape(g, (*leading, 8, 8)), steps.shape)
        for g, steps in zip(g_steps, operands.steps, strict=True)
    )
