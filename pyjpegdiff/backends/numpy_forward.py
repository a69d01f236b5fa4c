"""The forwards of the NumPy backend: what is computed of each strip, and where it is stored."""

from typing import Any

import numpy as np

from pyjpegdiff import codec, parameters
from pyjpegdiff.backends.array_api import decoding_inputs
from pyjpegdiff.backends.batch import Batch, NumPyArray
from pyjpegdiff.backends.strips import Cutting, Rows, Strip, process
from pyjpegdiff.codec import Group
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.spec import Plan
from pyjpegdiff.stages.surrogates import clip, is_inside
from pyjpegdiff.types import Array, Arrays, Size, Types


def code(plan: Plan, cutting: Cutting, size: Size, inputs: Arrays, kept: Types) -> Any:
    """Outputs, flat residuals of the types ``kept``, and their batch."""
    spec, image = plan.spec, inputs[0]
    params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
    batch = Batch(
        plan, cutting, size, plan.layout.canonical_shape(image.shape)[:-3], parameters.prepare(xp, spec, params)
    )
    images, result, residuals = batch.images(image), batch.empty_image(), batch.empty(kept)
    groups = len(spec.samplings)
    u_whole, masks = residuals[:groups], residuals[groups:]

    def produce(strip: Strip) -> Group:
        image = batch.image_strip(images, strip, strip.rows, plan.layout.scale)
        u = codec.encode(xp, spec, strip.operands, image)
        if kept:
            batch.store_planes(u_whole, strip, u)
        return reconstruct_strip(batch, masks, strip, codec.quantize(xp, spec, strip.operands, u))

    def consume(strip: Strip, planes: Group, rows: Rows) -> None:
        _decode_strip(batch, masks, strip, planes, rows, result)

    process(batch.spec, batch.cutting, batch.strips, batch.shape, produce, consume)
    return (batch.result(result),), residuals, batch


def encode(plan: Plan, cutting: Cutting, size: Size, inputs: Arrays, kept: Types) -> Any:
    """As `code`, but the outputs are coefficients."""
    spec, image = plan.spec, inputs[0]
    params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
    operands = parameters.prepare(xp, spec, params)
    batch = Batch(plan, cutting.for_half(), size, plan.layout.canonical_shape(image.shape)[:-3], operands)
    images, residuals = batch.images(image), batch.empty(kept)
    blocks = batch.empty_blocks()

    def consume(strip: Strip, planes: Group, rows: Rows) -> None:
        image = batch.image_strip(images, strip, strip.rows, plan.layout.scale)
        u = codec.encode(xp, spec, strip.operands, image)
        if kept:
            batch.store_planes(residuals, strip, u)
        batch.store_blocks(blocks, strip, codec.quantize(xp, spec, strip.operands, u))

    process(batch.spec, batch.cutting, batch.strips, batch.shape, lambda strip: (), consume)
    y, *chroma = [batch.unflat(array) for array in blocks]
    return (y, operands.steps[0], *chroma, *operands.steps[1:]), residuals, batch


def decode(plan: Plan, cutting: Cutting, size: Size, inputs: Arrays, kept: Types) -> Any:
    """As `code`, but the inputs are coefficients."""
    whole, _, operands = decoding_inputs(xp, plan, inputs)
    batch = Batch(plan, cutting.for_half(), size, whole[0].shape[:-4], operands)
    blocks = [batch.flat(array, 4) for array in whole]
    result, masks = batch.empty_image(), batch.empty(kept)

    def produce(strip: Strip) -> Group:
        return reconstruct_strip(batch, masks, strip, batch.block_strip(blocks, strip))  # type: ignore[arg-type]

    def consume(strip: Strip, planes: Group, rows: Rows) -> None:
        _decode_strip(batch, masks, strip, planes, rows, result)

    process(batch.spec, batch.cutting, batch.strips, batch.shape, produce, consume)
    return (batch.result(result),), masks, batch


def reconstruct_strip(batch: Batch, masks: list[NumPyArray], strip: Strip, k: Group) -> Group:
    """Planes of a strip, clipped; their masks are written where there are arrays for them."""
    planes = codec.reconstruct(xp, batch.spec, strip.operands, k)
    if masks:
        batch.store_planes(masks[1:], strip, codec.planes_in_range(batch.spec, planes))
    return codec.clip_planes(xp, batch.spec, planes)


def _decode_strip(
    batch: Batch, masks: list[NumPyArray], strip: Strip, planes: Group, rows: Rows, result: NumPyArray
) -> None:
    rgb = codec.to_rgb(xp, batch.spec, strip.operands, upsampled(batch, strip, planes, rows))
    if masks:
        masks[0][strip.samples, :, strip.rows] = is_inside(rgb, 0, 255)
    if batch.spec.hard and batch.layout.scale == 1 and batch.layout.channel_axis != -1:
        np.clip(rgb, 0, 255, out=result[strip.samples, :, strip.rows], casting="same_kind")  # type: ignore[call-overload]
    else:
        batch.store_image(result, strip, clip(xp, rgb, 0, 255, batch.spec.hard), 1 / batch.layout.scale)


def upsampled(batch: Batch, strip: Strip, planes: Group, rows: Rows) -> Array:
    """YCbCr of a strip from its planes and the rows of chroma above and below."""
    size = (strip.rows.stop - strip.rows.start, batch.size[1])
    samples = codec.crop(batch.spec, planes, size)
    width = samples[-1].shape[-1]
    above, below = [None if row is None else row[..., :width] for row in rows]
    return codec.upsample(xp, batch.spec, codec.with_halo(xp, batch.spec, samples, above, below), size)


FORWARD = {"code": code, "encode": encode, "decode": decode}
