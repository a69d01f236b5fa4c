"""The VJPs of the NumPy backend, strip by strip; sums over strips are added up in a fixed order."""

from typing import Any

import numpy as np

from pyjpegdiff import codec, parameters
from pyjpegdiff.backends.array_api import by_group, decoding_inputs, in_compute_dtype
from pyjpegdiff.backends.batch import Batch, NumPyArray
from pyjpegdiff.backends.numpy_forward import reconstruct_strip, upsampled
from pyjpegdiff.backends.strips import Cutting, Rows, Strip, process
from pyjpegdiff.codec import Group
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.spec import Needs, Operands, Plan
from pyjpegdiff.stages import color, elastic, quantization
from pyjpegdiff.stages.dct import dct
from pyjpegdiff.stages.surrogates import clip_vjp
from pyjpegdiff.types import Array, Arrays, Cotangents, Size


def code_vjp(
    plan: Plan, cutting: Cutting, size: Size, inputs: Cotangents, residuals: Arrays, cotangents: Cotangents,
    needs: Needs,
) -> dict[str, Array | None]:  # fmt: skip
    """Cotangents by the names of inputs, of those kinds that are needed."""
    spec, groups = plan.spec, len(plan.spec.samplings)
    params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
    operands = parameters.prepare(xp, spec, params)
    batch = Batch(plan, cutting, size, residuals[0].shape[:-3], operands)
    images = None if inputs[0] is None else batch.images(inputs[0])
    flat = [batch.flat(x) for x in residuals]
    u_whole, masks = flat[:groups], flat[groups:]
    g_result = batch.images(cotangents[0])
    g_images = batch.empty_image() if needs.image else None

    def produce(strip: Strip) -> Group:
        if not needs.color:
            return ()
        u = batch.plane_strip(u_whole, strip)
        return reconstruct_strip(batch, [], strip, codec.quantize(xp, spec, strip.operands, u))

    def consume(strip: Strip, planes: Group, rows: Rows) -> Operands:
        g, g_rgb = _decode_strip_vjp(batch, masks, g_result, strip)
        u = batch.plane_strip(u_whole, strip)
        slopes = codec.slopes(xp, spec, strip.operands, u)
        g_steps: Group = ()
        if needs.steps and spec.elastic:
            g_steps = _elastic_sums(g, u, codec.quantize(xp, spec, strip.operands, u), decodes=True)
        elif needs.steps:
            # A step divides before rounding and multiplies after it: both shares in one sum.
            k = codec.quantize(xp, spec, strip.operands, u)
            falls = codec.falls(xp, spec, strip.operands, u, slopes)
            g_steps = _steps_cotangents(strip, g, [a - b for a, b in zip(k, falls, strict=True)])
        g_coefficients = tuple([a * s for a, s in zip(g, slopes, strict=True)])
        g_map = _encode_strip_vjp(batch, images, g_images, strip, g_coefficients, needs)
        return Operands(g_steps, *g_map, *_inverse_cotangents(batch, strip, planes, rows, g_rgb, needs))

    found = process(batch.spec, batch.cutting, batch.strips, batch.shape, produce, consume)
    g_image = None if g_images is None else batch.result(g_images)
    return {"image_rgb": g_image} | parameters.cotangents(xp, spec, params, batch.summed(found, needs, spec.elastic))


def encode_vjp(
    plan: Plan, cutting: Cutting, size: Size, inputs: Cotangents, residuals: Arrays, cotangents: Cotangents,
    needs: Needs,
) -> dict[str, Array | None]:  # fmt: skip
    """As `code_vjp`, from cotangents of coefficients."""
    spec = plan.spec
    params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
    batch = Batch(plan, cutting.for_half(), size, residuals[0].shape[:-3], parameters.prepare(xp, spec, params))
    images = None if inputs[0] is None else batch.images(inputs[0])
    u_whole = [batch.flat(x) for x in residuals]
    g_whole, g_steps_out = by_group(in_compute_dtype(xp, plan, cotangents))
    g_blocks = [None if g is None else batch.flat(g, 4) for g in g_whole]
    g_images = batch.empty_image() if needs.image else None

    def consume(strip: Strip, planes: Group, rows: Rows) -> Operands:
        u = batch.plane_strip(u_whole, strip)
        g_k = batch.block_strip(g_blocks, strip)
        g = tuple([quantization.divide(xp, a, steps) for a, steps in zip(g_k, strip.operands.steps, strict=True)])
        slopes = codec.slopes(xp, spec, strip.operands, u)
        g_coefficients = tuple([a * slope for a, slope in zip(g, slopes, strict=True)])
        g_steps: Group = ()
        if needs.steps and spec.elastic:
            g_steps = _elastic_sums(g, u, codec.quantize(xp, spec, strip.operands, u), decodes=False)
        elif needs.steps:
            g_steps = _steps_cotangents(strip, g, [-a for a in codec.falls(xp, spec, strip.operands, u, slopes)])
        g_map = _encode_strip_vjp(batch, images, g_images, strip, g_coefficients, needs)
        return Operands(g_steps, *g_map, None, None)

    found = batch.summed(
        process(batch.spec, batch.cutting, batch.strips, batch.shape, lambda strip: (), consume), needs, spec.elastic
    )
    if needs.steps:
        # Steps are outputs, too.
        pairs = zip(found.steps, g_steps_out, strict=True)
        found = found._replace(steps=tuple([g if g_out is None else g + g_out for g, g_out in pairs]))
    g_image = None if g_images is None else batch.result(g_images)
    return {"image_rgb": g_image} | parameters.cotangents(xp, spec, params, found)


def decode_vjp(
    plan: Plan, cutting: Cutting, size: Size, inputs: Cotangents, residuals: Arrays, cotangents: Cotangents,
    needs: Needs,
) -> dict[str, Array | None]:  # fmt: skip
    """As `code_vjp`, to coefficients."""
    whole, color_inputs, operands = decoding_inputs(xp, plan, inputs)
    batch = Batch(plan, cutting.for_half(), size, residuals[0].shape[:-3], operands)
    blocks = [None if array is None else batch.flat(array, 4) for array in whole]
    masks, g_result = [batch.flat(x) for x in residuals], batch.images(cotangents[0])
    g_blocks = batch.empty_blocks() if needs.image else []

    def produce(strip: Strip) -> Group:
        return reconstruct_strip(batch, [], strip, batch.block_strip(blocks, strip)) if needs.color else ()

    def consume(strip: Strip, planes: Group, rows: Rows) -> Operands:
        g, g_rgb = _decode_strip_vjp(batch, masks, g_result, strip)
        if needs.image:
            g_k = [quantization.multiply(xp, a, steps) for a, steps in zip(g, strip.operands.steps, strict=True)]
            batch.store_blocks(g_blocks, strip, tuple(g_k))
        g_steps = _steps_cotangents(strip, g, batch.block_strip(blocks, strip)) if needs.steps else ()
        return Operands(g_steps, None, None, *_inverse_cotangents(batch, strip, planes, rows, g_rgb, needs))

    summed = batch.summed(process(batch.spec, batch.cutting, batch.strips, batch.shape, produce, consume), needs)
    found = dict(zip(("y", "cb", "cr"), [batch.unflat(g) for g in g_blocks], strict=False))
    found |= zip(("steps_y", "steps_c"), summed.steps, strict=False)
    return found | parameters.color_cotangents(xp, *color_inputs, summed)


VJP = {"code": code_vjp, "encode": encode_vjp, "decode": decode_vjp}


def _decode_strip_vjp(batch: Batch, masks: list[NumPyArray], g_result: NumPyArray, strip: Strip) -> tuple[Group, Array]:
    """Cotangents of a strip's reconstructed coefficients, and of its image before the clip."""
    spec, operands, (start, stop) = batch.spec, strip.operands, (strip.rows.start, strip.rows.stop)
    # Where upsampling doubles rows, the cotangents of the rows next to the strip reach its samples, too.
    reach = spec.samplings[-1][0] - 1
    first, last = max(start - reach, 0), min(stop + reach, batch.size[0])
    g_rgb = batch.image_strip(g_result, strip, slice(first, last), 1 / batch.layout.scale)
    g_rgb = _clip_vjp(g_rgb, masks[0][strip.samples, :, first:last])
    g_ycc = g_rgb if operands.inverse is None else color.mix_vjp(xp, operands.inverse, g_rgb)
    above = g_ycc[..., 1:, :1, :] if first < start else None
    below = g_ycc[..., 1:, -1:, :] if last > stop else None
    rows, size = slice(start - first, stop - first), (stop - start, batch.size[1])
    filled = codec.uncrop(xp, spec, codec.split(spec, g_ycc[..., rows, :]), size)
    width = filled[-1].shape[-1]
    above, below = [None if row is None else codec.fill_zeros(xp, row, (1, width)) for row in (above, below)]
    g_samples = codec.upsample_vjp(xp, spec, codec.with_halo(xp, spec, filled, above, below))
    g_planes = codec.crop_vjp(xp, spec, g_samples, size)
    if spec.hard:
        in_range = batch.plane_strip(masks[1:], strip)
        g_planes = tuple([_clip_vjp(g, mask) for g, mask in zip(g_planes, in_range, strict=True)])
    return tuple([dct(xp, g) for g in g_planes]), g_rgb[..., rows, :]


def _encode_strip_vjp(
    batch: Batch, images: NumPyArray | None, g_images: NumPyArray | None, strip: Strip, g_coefficients: Group,
    needs: Needs,
) -> tuple[Array | None, Array | None]:  # fmt: skip
    """Write the image's cotangent; return those of color matrix and shift on the way from RGB to YCbCr."""
    if not (needs.image or needs.color):
        return None, None
    operands, size = strip.operands, (strip.rows.stop - strip.rows.start, batch.size[1])
    g_ycc = codec.encode_vjp(xp, batch.spec, g_coefficients, size)
    if g_images is not None:
        g_rgb = g_ycc if operands.matrix is None else color.mix_vjp(xp, operands.matrix, g_ycc)
        batch.store_image(g_images, strip, g_rgb, batch.layout.scale)
    if not needs.color or images is None or operands.matrix is None or operands.shift is None:
        return None, None
    image = _in_order(batch.image_strip(images, strip, strip.rows, batch.layout.scale))
    return color.mix_vjp_parameters(xp, operands.matrix, operands.shift, image, g_ycc)


def _inverse_cotangents(
    batch: Batch, strip: Strip, planes: Group, rows: Rows, g_rgb: Array, needs: Needs
) -> tuple[Array | None, Array | None]:
    """Cotangents of color matrix and shift on the way from YCbCr to RGB."""
    inverse, unshift = strip.operands.inverse, strip.operands.unshift
    if not needs.color or inverse is None or unshift is None:
        return None, None
    ycc = upsampled(batch, strip, planes, rows)
    return color.mix_vjp_parameters(xp, inverse, unshift, ycc, _in_order(g_rgb))


def _steps_cotangents(strip: Strip, g_coefficients: Group, factors: Any) -> Group:
    """Sums over a strip, (..., 8, 8)."""
    return tuple(
        [
            quantization.untile(xp, quantization.steps_cotangent(xp, g, factor, steps.shape))
            for g, factor, steps in zip(g_coefficients, factors, strip.operands.steps, strict=True)
        ]
    )


def _elastic_sums(g: Group, u: Group, k: Group, decodes: bool) -> Group:
    """Sums over a strip, for each of its samples."""
    return tuple([elastic.sums(xp, *group, decodes) for group in zip(g, u, k, strict=True)])


def _clip_vjp(g: Array, mask: Any) -> Array:
    # To look is cheaper than to multiply by ones.
    return g if mask.all() else clip_vjp(xp, g, mask)


def _in_order(part: Any) -> Any:
    """C order, so that sums do not depend on the order of the caller's memory."""
    return np.ascontiguousarray(part)
