"""The arrays of one call of the NumPy backend: batch axes as one, strips of them, and sums over strips."""

import math
from typing import Any

import numpy as np

from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends.strips import COLOR_NDIMS, STEPS_NDIM, Cutting, Strip, cut, plane_rows
from pyjpegdiff.codec import Group
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.spec import Needs, Operands, Plan
from pyjpegdiff.stages.dct import BLOCK, from_blocks
from pyjpegdiff.stages.elastic import SUMS, steps_cotangent
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import Array, Shape, Size, Types

NumPyArray = np.ndarray[Any, Any]


class Batch:
    """A batch in strips."""

    def __init__(self, plan: Plan, cutting: Cutting, size: Size, batch_shape: Shape, operands: Operands) -> None:
        self.spec, self.layout, self.size, self.operands = plan.spec, plan.layout, size, operands
        self.batch_shape, self.count = batch_shape, math.prod(batch_shape)
        self.dtype = np.dtype(plan.layout.compute_dtype)
        self.shape = (self.count, 1 if plan.spec.sampling is None else 3, *size)
        self.cutting = cutting
        self.strips = cut(plan.spec, cutting, operands, batch_shape, self.shape)

    # --- whole arrays -------------------------------------------------------------------------------------------------

    def flat(self, x: Any, core_ndim: int = 3) -> NumPyArray:
        """All batch axes as one."""
        flat: NumPyArray = x.reshape((self.count, *x.shape[x.ndim - core_ndim :]))
        return flat

    def unflat(self, x: NumPyArray) -> Any:
        """The inverse of `flat`."""
        return x.reshape((*self.batch_shape, *x.shape[1:]))

    def empty(self, types: Types) -> list[NumPyArray]:
        """Arrays of these types, flat."""
        return [self.flat(np.empty(shape, dtype)) for shape, dtype in types]

    def empty_blocks(self) -> list[NumPyArray]:
        """Flat blocks of each component, (count, rows, columns, 8, 8), views of planes.

        So decoding what was encoded has nothing to transpose.
        """
        sizes = [padded_size(self.size, factors) for factors in self.spec.samplings]
        return [
            np.empty((self.count, height // BLOCK, BLOCK, width // BLOCK, BLOCK), self.dtype).swapaxes(2, 3)
            for height, width in (*sizes[:1], *sizes[1:], *sizes[1:])
        ]

    def empty_image(self) -> NumPyArray:
        """A flat canonical view of a new image in the caller's dtype and order of memory."""
        count, channels, height, width = self.shape
        if self.layout.channel_axis == -1:
            return np.empty((count, height, width, channels), self.layout.dtype).transpose(0, 3, 1, 2)
        return np.empty(self.shape, self.layout.dtype)

    def images(self, image: Any) -> NumPyArray:
        """A flat canonical view of the caller's image."""
        return self.flat(self.layout.view(xp, image))

    def result(self, image: NumPyArray) -> Any:
        """The caller's form of an `empty_image` that has been filled."""
        return self.layout.unview(xp, self.unflat(image))

    # --- strips of them -----------------------------------------------------------------------------------------------

    def image_strip(self, images: NumPyArray, strip: Strip, rows: slice, scale: float) -> Array:
        """Rows of images in the compute dtype, times a scale: one pass at most."""
        part = images[strip.samples, :, rows]
        # Sums must not depend on the order of the caller's memory, so all but whole rows are copied into C order.
        if part.dtype != self.dtype or part.strides[-1] != part.itemsize:
            part = np.ascontiguousarray(part, self.dtype)
        return part if scale == 1 else part * scale

    def store_image(self, images: NumPyArray, strip: Strip, part: Any, scale: float) -> None:
        """Write rows of images, times a scale, in the caller's dtype."""
        scaled = part if scale == 1 else part * scale
        if self.layout.channel_axis != -1:
            images[strip.samples, :, strip.rows] = scaled
            return
        # Channel by channel: NumPy takes five times as long for all three at once.
        for channel in range(images.shape[1]):
            images[strip.samples, channel, strip.rows] = scaled[:, channel]

    def plane_strip(self, planes: list[NumPyArray], strip: Strip) -> Group:
        """The strip of each group of planes."""
        return tuple(
            [
                array[strip.samples, :, plane_rows(factors, strip.rows)]
                for array, factors in zip(planes, self.spec.samplings, strict=False)
            ]
        )

    def store_planes(self, planes: list[NumPyArray], strip: Strip, parts: Group) -> None:
        """Write the strip of each group of planes."""
        for array, part, factors in zip(planes, parts, self.spec.samplings, strict=False):
            array[strip.samples, :, plane_rows(factors, strip.rows)] = part

    def block_strip(self, blocks: list[NumPyArray | None], strip: Strip) -> Group:
        """The strip of blocks (y, cb, cr), as planes with coefficients in place; zeros for what is None."""
        samples = strip.samples.stop - strip.samples.start
        planes: list[Array] = []
        for index, array in enumerate(blocks):
            rows = plane_rows(self.spec.samplings[min(index, 1)], strip.rows)
            if array is None:
                wide = strip.operands.steps[min(index, 1)].shape[-1]  # steps are tiled along the planes
                planes.append(np.zeros((samples, rows.stop - rows.start, wide), self.dtype))
            else:
                planes.append(from_blocks(xp, array[strip.samples, rows.start // BLOCK : rows.stop // BLOCK]))
        luma, *chroma = planes
        return (luma[:, None], xp.stack(chroma, axis=1)) if chroma else (luma[:, None],)

    def store_blocks(self, blocks: list[NumPyArray], strip: Strip, groups: Group) -> None:
        """Write the strip of blocks (y, cb, cr) from planes with coefficients in place."""
        components = [(group, plane) for group in groups for plane in range(group.shape[1])]
        for index, (array, (group, plane)) in enumerate(zip(blocks, components, strict=True)):
            rows = plane_rows(self.spec.samplings[min(index, 1)], strip.rows)
            part = np.asarray(group)[:, plane]
            count, height, width = part.shape
            split = part.reshape((count, height // BLOCK, BLOCK, width // BLOCK, BLOCK))
            array[strip.samples, rows.start // BLOCK : rows.stop // BLOCK] = split.swapaxes(2, 3)

    # --- sums over samples and strips ---------------------------------------------------------------------------------

    def summed(self, found: list[Operands], needs: Needs, elastic: bool = False) -> Operands:
        """The cotangents of operands from those of strips."""
        steps = (
            [
                (self._summed_elastic if elastic else self._summed_steps)(steps, [g.steps[i] for g in found])
                for i, steps in enumerate(self.operands.steps)
            ]
            if needs.steps
            else []
        )
        color = [
            self._summed(operand, core_ndim, [g[index] for g in found]) if needs.color and has else None
            for index, (operand, core_ndim) in enumerate(zip(self.operands[1:], COLOR_NDIMS, strict=True), start=1)
            for has in (not found or found[0][index] is not None,)
        ]
        return Operands(tuple(steps), *color)

    def _summed_steps(self, steps: Any, parts: list[Any]) -> Array:
        return self._summed(steps, STEPS_NDIM, parts)

    def _summed_elastic(self, steps: Any, parts: list[Any]) -> Array:
        per_sample = np.zeros((self.count, *(parts[0].shape[1:] if parts else (SUMS, 8, 8))), self.dtype)
        for strip, part in zip(self.strips, parts, strict=True):
            per_sample[strip.samples] += part
        return unbroadcast(xp, self.unflat(steps_cotangent(xp, per_sample)), steps.shape)  # type: ignore[arg-type]

    def _summed(self, operand: Any, core_ndim: int, parts: list[Any]) -> Array:
        core = operand.shape[operand.ndim - core_ndim :]
        if operand.ndim == core_ndim:
            total = np.zeros(core, self.dtype)
            for part in parts:
                total += part.reshape(core)
            return total
        per_sample = np.zeros((self.count, *core), self.dtype)
        for strip, part in zip(self.strips, parts, strict=True):
            per_sample[strip.samples] += part.reshape((-1, *core))
        return unbroadcast(xp, self.unflat(per_sample), operand.shape)
