"""NumPy: the codec's own functions, strip by strip, so that what lies between two stages stays in the cache.

Big fresh arrays cost page faults and trips to memory; a strip's are reused from call to call. Strips are whole blocks
high. Only upsampling looks beyond one, by a row of chroma: forward, a strip waits for the planes of the next; backward,
it takes one more row of the cotangent on either side. Small images go several at a time, by their leading axis.

Sums are added up in a fixed order, whatever the number of threads. In libjpeg arithmetic the result equals that of the
whole image to the bit; in float to a few eps, but for what lies so near a tie or a bound that the last bit decides.
"""

import functools
import math

import numpy as np

from pyjpegdiff import codec
from pyjpegdiff.backends.cuts import COLOR_AXES, STEP_AXES, Cut, cuts, each, plane_rows
from pyjpegdiff.codec import Gradients, Group, Halo
from pyjpegdiff.reduce import sum_to_shape
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted
from pyjpegdiff.stages import color
from pyjpegdiff.stages.quantization import untile
from pyjpegdiff.stages.sampling import padded_size

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
    _have_freed_memory_kept()
    leading, own = image.shape[:-3], image.shape[-3:]
    images = xp.reshape(image, (math.prod(leading), *own))
    coded = xp.empty(images.shape, dtype=image.dtype)
    keep = any(wanted)
    residuals = _empty_residuals(xp, spec, images) if keep else ()
    u_whole, inside_whole, in_range_whole = _parts(spec, residuals)

    def make(cut: Cut) -> Group:
        u = codec.encode(xp, spec, cut.operands, images[cut.samples, :, cut.rows])
        planes, in_range = codec.reconstruct(xp, spec, cut.operands, codec.rounded(xp, spec, u), keep)
        _store(spec, u_whole, u, cut)
        _store(spec, in_range_whole, in_range, cut)
        return planes

    def use(cut: Cut, planes: Group, beyond: Halo) -> None:
        strip = coded[cut.samples, :, cut.rows]
        ycc = codec.upsample(xp, spec, planes, (strip.shape[-2], strip.shape[-1]), beyond)
        strip[...], masks = codec.to_rgb(xp, spec, cut.operands, ycc, keep)
        for inside, mask in zip(inside_whole, masks, strict=True):
            inside[cut.samples, :, cut.rows] = mask

    pieces = cuts(xp, spec, operands, leading, images.shape)
    each(spec, pieces, images.shape, make, use, looks_beyond=True)
    return (
        xp.reshape(coded, image.shape),
        tuple(xp.reshape(residual, (*leading, *residual.shape[1:])) for residual in residuals),
    )


def code_vjp(
    xp: Namespace, spec: Spec, operands: Operands, image: Array | None, residuals: Residuals, g_image: Array,
    wanted: Wanted,
) -> Gradients:  # fmt: skip
    """As `whole.code_vjp`."""
    leading, own = g_image.shape[:-3], g_image.shape[-3:]
    count, height = math.prod(leading), own[1]
    cotangents = xp.reshape(g_image, (count, *own))
    images = None if image is None else xp.reshape(image, (count, *own))
    g_images = xp.empty(cotangents.shape, dtype=g_image.dtype) if wanted.image else None
    flat = tuple(xp.reshape(residual, (count, *residual.shape[-3:])) for residual in residuals)
    u_whole, inside_whole, in_range_whole = _parts(spec, flat)

    def make(cut: Cut) -> Group:
        if not wanted.color:
            return ()
        k = codec.rounded(xp, spec, _strip_of(spec, u_whole, cut))
        return codec.reconstruct(xp, spec, cut.operands, k, masks=False)[0]

    def to_rgb_vjp(cut: Cut) -> tuple[Array, Array, Halo]:
        """Of a strip and the rows next to it: cotangents of RGB, of YCbCr, and of the chroma rows beyond."""
        first, last = max(cut.rows.start - 1, 0), min(cut.rows.stop + 1, height)
        more, own_rows = slice(first, last), slice(cut.rows.start - first, cut.rows.stop - first)
        inside, cotangent = inside_whole[0][cut.samples, :, more], cotangents[cut.samples, :, more]
        g_rgb, g_ycc = codec.to_rgb_vjp(xp, spec, cut.operands, _or_none(inside), cotangent)
        above = g_ycc[..., 1:, :1, :] if first < cut.rows.start else None
        below = g_ycc[..., 1:, -1:, :] if last > cut.rows.stop else None
        return g_rgb[..., own_rows, :], g_ycc[..., own_rows, :], (above, below)

    def use(cut: Cut, planes: Group, beyond: Halo) -> Operands:
        g_rgb, g_ycc, g_beyond = to_rgb_vjp(cut)
        size = (g_ycc.shape[-2], g_ycc.shape[-1])
        g_planes = codec.upsample_vjp(xp, spec, g_ycc, size, g_beyond)
        u = _strip_of(spec, u_whole, cut)
        in_range = tuple(_or_none(mask) for mask in _strip_of(spec, in_range_whole, cut))
        k = codec.rounded(xp, spec, u) if wanted.steps else u
        # The steps' cotangents come from `encode_vjp`, which is told k, for both of their uses.
        decoding = wanted._replace(steps=False)
        g_coefficients, _ = codec.reconstruct_vjp(xp, cut.operands, k, in_range, g_planes, decoding)
        strip = None if images is None else _in_order(images[cut.samples, :, cut.rows])
        g_strip, g = codec.encode_vjp(xp, spec, cut.operands, strip, size, u, g_coefficients, wanted, k)
        if g_images is not None:
            g_images[cut.samples, :, cut.rows] = g_strip
        if wanted.color:
            ycc = codec.upsample(xp, spec, planes, size, beyond)
            inverse, unshift = cut.operands.inverse, cut.operands.unshift
            g_inverse, g_unshift = color.mix_vjp_parameters(xp, inverse, unshift, ycc, _in_order(g_rgb))
            g = g._replace(inverse=g_inverse, unshift=g_unshift)
        return g._replace(steps=tuple(untile(xp, of_steps) for of_steps in g.steps))

    pieces = cuts(xp, spec, operands, leading, cotangents.shape)
    found = each(spec, pieces, cotangents.shape, make, use, looks_beyond=wanted.color)
    totals = _totals(xp, operands, leading, g_image.dtype, wanted)
    for cut, g in zip(pieces, found, strict=True):
        _add(xp, totals, g, cut)
    return Gradients(
        None if g_images is None else xp.reshape(g_images, g_image.shape), _unflat(xp, totals, operands, leading)
    )


# --- residuals --------------------------------------------------------------------------------------------------------


def _empty_residuals(xp: Namespace, spec: Spec, images: Array) -> Residuals:
    count, channels, *size = images.shape
    shapes = [
        (count, min(2, channels - 1) if index else 1, *padded_size((size[0], size[1]), factors))
        for index, factors in enumerate(spec.samplings)
    ]
    u = tuple(xp.empty(shape, dtype=images.dtype) for shape in shapes)
    in_range = tuple(xp.empty(shape, dtype=xp.bool) for shape in shapes) if spec.hard else ()
    return (*u, xp.empty(images.shape, dtype=xp.bool), *in_range)


def _parts(spec: Spec, residuals: Residuals) -> tuple[Residuals, Residuals, Residuals]:
    """Coefficients, the mask of the image, the masks of planes."""
    groups = len(spec.samplings)
    return residuals[:groups], residuals[groups : groups + 1], residuals[groups + 1 :]


def _or_none(mask: Array) -> Array | None:
    """To look is cheaper than to multiply by ones."""
    return None if mask.all() else mask


def _in_order(strip: Array) -> Array:
    """C order, so that sums do not depend on how the caller's memory is laid out."""
    return np.ascontiguousarray(strip)


def _store(spec: Spec, whole: Residuals, parts: Residuals, cut: Cut) -> None:
    for array, part, factors in zip(whole, parts, spec.samplings, strict=False):
        array[cut.samples, :, plane_rows(factors, cut.rows)] = part


def _strip_of(spec: Spec, whole: Residuals, cut: Cut) -> Residuals:
    return tuple(
        array[cut.samples, :, plane_rows(factors, cut.rows)]
        for array, factors in zip(whole, spec.samplings, strict=False)
    )


# --- sums over samples and strips -------------------------------------------------------------------------------------


def _totals(
    xp: Namespace, operands: Operands, leading: tuple[int, ...], dtype: np.dtype[np.floating], wanted: Wanted
) -> Operands:
    """Zeros for the cotangents of operands, one a sample where an operand has leading axes."""

    def zeros(array: Array, own: int) -> Array:
        shape = array.shape[array.ndim - own :]
        return xp.zeros(shape if array.ndim == own else (math.prod(leading), *shape), dtype=dtype)

    of_color = (
        zeros(array, own) if wanted.color else None for array, own in zip(operands[1:], COLOR_AXES, strict=True)
    )
    return Operands(tuple(zeros(steps, STEP_AXES) for steps in operands.steps) if wanted.steps else (), *of_color)


def _add(xp: Namespace, totals: Operands, found: Operands, cut: Cut) -> None:
    flat_totals, flat_found = ((*operands.steps, *operands[1:]) for operands in (totals, found))
    own_axes = (*(STEP_AXES for _ in totals.steps), *COLOR_AXES)
    for total, g, own in zip(flat_totals, flat_found, own_axes, strict=True):
        if total is not None:
            part = total[cut.samples] if total.ndim > own else total
            part += xp.reshape(g, part.shape)


def _unflat(xp: Namespace, totals: Operands, operands: Operands, leading: tuple[int, ...]) -> Operands:
    """Sums in the shapes of their operands."""

    def shaped(total: Array | None, array: Array, own: int) -> Array | None:
        if total is None or total.ndim == own:
            return total
        return sum_to_shape(xp, xp.reshape(total, (*leading, *total.shape[1:])), array.shape)

    return Operands(
        tuple(shaped(total, steps, STEP_AXES) for total, steps in zip(totals.steps, operands.steps, strict=False)),
        *(shaped(*each_) for each_ in zip(totals[1:], operands[1:], COLOR_AXES, strict=True)),
    )
