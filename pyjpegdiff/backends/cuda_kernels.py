"""Fused CUDA kernels: two forward, one backward, and what prepares their operands, for whatever launches them.

What lies between the stages stays in shared memory and registers. Forward, the first kernel goes from the image to the
decoded planes, the second from those to the result, since upsampling looks beyond a block. Backward, one kernel does it
all, since the cotangents that upsampling looks for can be computed again from those of a few pixels of the result.

Bytes per pixel of float32 in 4:2:0, u the coefficients in units of their step, of which there are 3/2 per pixel:

=========================== ========================= ======================== ===================================
kernel                      reads                     writes                   sum; hard or exact, smooth
=========================== ========================= ======================== ===================================
image -> u, planes          image 12                  u 6, planes 1.5 or 6,    19.7, 24
                                                      bits of their range 0.2
planes -> image             planes 1.5 or 6           image 12, bits of its    14.5, 19
                                                      range 1
VJP, and adding up          cotangent 12, bits 1.2,   cotangent 12,            32.2, 32
                            u 6, sums 0.5             sums of tiles 0.5
=========================== ========================= ======================== ===================================

A result without residuals takes 27 or 36 bytes per pixel, where copying its image takes 24; with its VJP 66 or 75,
where two copies take 48; with elastic steps 2 more, for three sums in place of one. In memory are at most, over the
batch: image, result, cotangent, its result, u, bits: 4.6.

One more kernel prepares the operands, and another is its VJP: as array operations those are dozens of launches, each of
which takes microseconds. Where every rounding is performed, decoded planes are bytes, and samples
that are no numbers come out as some.

A tile's sums of the step sizes' cotangents are taken in a fixed order, and so are the sums of those, by the library:
results are the same every time.

These kernels have not yet run on a GPU; tests/backends/cuda/emulator.py runs them on a CPU. To be
launched, each needs to have been compiled for the device, which its first call does.
"""

import math
from collections.abc import Callable
from typing import Any

from pyjpegdiff import parameters
from pyjpegdiff.arrays import device, is_remote, per_sample, unbroadcast
from pyjpegdiff.backends.array_api import ArrayAPI
from pyjpegdiff.codec import Group
from pyjpegdiff.kernels.cuda import BLOCK, Options
from pyjpegdiff.operations import Operation
from pyjpegdiff.parameters import Parameters
from pyjpegdiff.spec import Needs, Operands, Plan, Spec
from pyjpegdiff.stages import elastic
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import Array, Arrays, ArrayType, Cotangents, Namespace, Shape, Size, Types

Launch = Callable[[Options, str, int, tuple[Array | int | None, ...], Array], None]
"""``launch(options, kernel, thread_blocks, arguments, like)``: integers are 64 bits wide, arrays and None pointers; on
the device and the current stream of the array ``like``, without waiting for it."""


def _launch_by_cupy(
    options: Options, kernel: str, blocks: int, arguments: tuple[Array | int | None, ...], like: Array
) -> None:
    from pyjpegdiff.kernels.cuda.launch import launch

    launch(options, kernel, blocks, arguments, like)


class CudaKernels(ArrayAPI):
    """The kernels, on a launcher. They serve code; encode, decode and gradients of color go by the array API."""

    name = "cuda_kernels"
    takes_numpy = False
    automatic = False

    def __init__(self, launch: Launch = _launch_by_cupy) -> None:
        self.launch = launch

    def is_available(self) -> bool:
        """Where CuPy finds a device."""
        try:
            import cupy

            return bool(cupy.cuda.runtime.getDeviceCount() > 0)
        except Exception:  # not installed, or no driver: each raises another error
            return False

    def supports(self, spec: Spec, xp: Namespace, device: Any) -> bool:
        """Arrays of CuPy and CUDA tensors, with all surrogates but custom ones."""
        return isinstance(spec.rounding, str) and is_remote(xp, device)

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...]
    ) -> tuple[Arrays, Arrays]:
        """As `pyjpegdiff.backends.Backend.forward`; masks are packed."""
        if operation.name != "code":
            return super().forward(operation, plan, size, xp, inputs, needs)
        image = plan.layout.to_canonical(xp, inputs[0])
        params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
        operands = self._prepare(xp, plan.spec, params, image.shape[:-3])
        result, residuals = self._code(xp, plan.spec, operands, image, any(needs))
        return (plan.layout.from_canonical(xp, result),), residuals

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...],
    ) -> Cotangents:  # fmt: skip
        """As `pyjpegdiff.backends.Backend.vjp`."""
        kinds = operation.needs(needs)
        if operation.name != "code" or kinds.color or cotangents[0] is None:
            if operation.name == "code":
                residuals = _unpacked(xp, plan.spec, residuals)
            return super().vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)
        cotangent = plan.layout.from_canonical_vjp(xp, cotangents[0])
        params, batch_shape = parameters.of_coding(xp, inputs, plan.layout.compute_dtype), cotangent.shape[:-3]
        operands = self._prepare(xp, plan.spec, params, batch_shape)
        g_image, g_steps = self._code_vjp(xp, plan.spec, operands, residuals, cotangent, kinds)
        found: dict[str, Array | None] = {}
        if g_image is not None:
            found["image_rgb"] = plan.layout.to_canonical_vjp(xp, g_image)
        if g_steps:
            found |= self._prepare_vjp(xp, plan.spec, params, g_steps, batch_shape)
        return operation.cotangents(xp, plan, inputs, needs, found)

    def residual_types(self, operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
        """Coefficients in units of their step, and the bits of both clips' masks."""
        if operation.name != "code":
            return super().residual_types(operation, plan, size, inputs)
        batch_shape = plan.layout.canonical_shape(inputs[0].shape)[:-3]
        u: Types = ()
        bits: Types = ()
        for count, factors in zip((1, 2), plan.spec.samplings, strict=False):
            height, width = padded_size(size, factors)
            u += (ArrayType((*batch_shape, count, height, width), plan.layout.compute_dtype),)
            bits += (ArrayType((*batch_shape, count, height, width // BLOCK), "uint8"),)
        return (*u, ArrayType((*batch_shape, 1, *size), "uint8"), *(bits if plan.spec.hard else ()))

    # --- kernels ------------------------------------------------------------------------------------------------------

    def _prepare(self, xp: Any, spec: Spec, parameters: Parameters, batch_shape: Shape) -> Operands:
        """As `pyjpegdiff.parameters.prepare`, but all have the batch shape of the image where any has batch axes."""
        shape = _parameters_batch_shape(parameters, batch_shape)
        steps = tuple(_empty_like(xp, (*shape, BLOCK, BLOCK), parameters.quality) for _ in spec.samplings)
        color: tuple[Array | None, ...] = (None, None, None)
        if parameters.matrix is not None:
            color = tuple(_empty_like(xp, (*shape, *core), parameters.quality) for core in ((3,), (3, 3), (3,)))
        arguments = (
            *_flat_parameters(xp, parameters, shape), *_flat(xp, parameters.matrix, 2, shape),
            *_flat(xp, parameters.offset, 1, shape), int(spec.flooring == "cubic"), *_pair(*steps), *color,
        )  # fmt: skip
        self._run(_options(xp, spec, parameters.quality), "prepare", math.prod(shape), arguments, parameters.quality)
        shift, inverse, unshift = color
        return Operands(steps, parameters.matrix, shift, inverse, unshift)

    def _prepare_vjp(
        self, xp: Any, spec: Spec, parameters: Parameters, g_of_steps: Group, batch_shape: Shape
    ) -> dict[str, Array | None]:
        """As `pyjpegdiff.parameters.cotangents`, of step sizes alone."""
        shape = _parameters_batch_shape(parameters, batch_shape)
        g_steps = xp.stack(g_of_steps, axis=-3)
        g_quality = _empty_like(xp, shape, parameters.quality)
        g_tables = tuple(_empty_like(xp, (*shape, BLOCK, BLOCK), parameters.quality) for _ in spec.samplings)
        arguments = (
            *_flat_parameters(xp, parameters, shape), int(spec.flooring == "cubic"), g_steps, g_quality,
            *_pair(*g_tables),
        )  # fmt: skip
        self._run(
            _options(xp, spec, parameters.quality), "prepare_vjp", math.prod(shape), arguments, parameters.quality
        )
        tables = [unbroadcast(xp, g, table.shape) for g, table in zip(g_tables, parameters.tables, strict=True)]
        found: dict[str, Array | None] = {"jpeg_quality": unbroadcast(xp, g_quality, parameters.quality.shape)}
        return found | dict(zip(("quantization_table_y", "quantization_table_c"), tables, strict=False))

    def _code(self, xp: Any, spec: Spec, operands: Operands, image: Array, keep: bool) -> tuple[Array, Arrays]:
        """The canonical image, and residuals."""
        options, batch_shape, size = _options(xp, spec, image), image.shape[:-3], (image.shape[-2], image.shape[-1])
        planes, in_range = _per_group(xp, spec, batch_shape, size, xp.int8 if spec.hard else image.dtype, image)
        u: Group = ()
        inside = None
        if keep:
            u, _ = _per_group(xp, spec, batch_shape, size, image.dtype, image)
            inside = xp.empty((*batch_shape, 1, *size), dtype=xp.uint8, device=device(image))
        else:
            in_range = ()
        result = xp.empty(image.shape, dtype=image.dtype, device=device(image))
        matrix, shift = _flat(xp, operands.matrix, 2, batch_shape), _flat(xp, operands.shift, 1, batch_shape)
        inverse, unshift = _flat(xp, operands.inverse, 2, batch_shape), _flat(xp, operands.unshift, 1, batch_shape)
        steps = _pair(*(_flat(xp, steps, 2, batch_shape) for steps in operands.steps), default=(None, 0))
        encode = (
            _contiguous(xp, image), *matrix, *shift, *steps[0], *steps[1], *size, *_pair(*planes), *_pair(*u),
            *_pair(*in_range),
        )  # fmt: skip
        tiles = math.prod(batch_shape) * options.tiles(size)
        self._run(options, "encode_reconstruct", tiles, encode, image)
        convert = (*_pair(*planes), *inverse, *unshift, *size, result, inside)
        self._run(options, "upsample_convert", tiles, convert, image)
        return result, () if inside is None else (*u, inside, *in_range)

    def _code_vjp(
        self, xp: Any, spec: Spec, operands: Operands, residuals: Arrays, g_image: Array, needs: Needs
    ) -> tuple[Array | None, Group]:
        """Cotangents of the canonical image and of step sizes."""
        options, batch_shape, size = (
            _options(xp, spec, g_image),
            g_image.shape[:-3],
            (g_image.shape[-2], g_image.shape[-1]),
        )
        groups = len(spec.samplings)
        u, inside, in_range = residuals[:groups], residuals[groups], residuals[groups + 1 :]
        pulled = g_steps = None
        if needs.image:
            pulled = xp.empty(g_image.shape, dtype=g_image.dtype, device=device(g_image))
        if needs.steps:
            kinds = elastic.SUMS if spec.elastic else 1
            shape = (math.prod(batch_shape), options.tiles(size), kinds, groups, BLOCK, BLOCK)
            g_steps = xp.empty(shape, dtype=g_image.dtype, device=device(g_image))
        matrix, inverse = _flat(xp, operands.matrix, 2, batch_shape), _flat(xp, operands.inverse, 2, batch_shape)
        steps = _pair(*(_flat(xp, steps, 2, batch_shape) for steps in operands.steps), default=(None, 0))
        u, in_range = (tuple(_contiguous(xp, array) for array in group) for group in (u, in_range))
        arguments = (
            _contiguous(xp, g_image), _contiguous(xp, inside), *_pair(*u), *_pair(*in_range), *steps[0], *steps[1],
            *matrix, *inverse, *size, pulled, g_steps,
        )  # fmt: skip
        self._run(options, "code_vjp", math.prod(batch_shape) * options.tiles(size), arguments, g_image)
        sums = () if g_steps is None else _summed(xp, spec, g_steps, operands, batch_shape)
        return pulled, sums

    def _run(
        self, options: Options, kernel: str, blocks: int, arguments: tuple[Array | int | None, ...], like: Array
    ) -> None:
        if blocks:
            self.launch(options, kernel, blocks, arguments, like)


# --- arguments --------------------------------------------------------------------------------------------------------


def _options(xp: Any, spec: Spec, like: Array) -> Options:
    real = "double" if like.dtype == xp.float64 else "float"
    return Options(real, spec.hard, spec.libjpeg, str(spec.rounding), spec.elastic, spec.sampling)


def _parameters_batch_shape(parameters: Parameters, batch_shape: Shape) -> tuple[int, ...]:
    """That of the image if any parameter has batch axes, else none."""
    quality, tables, matrix, offset = parameters
    core_ndims = [(quality, 0), *((table, 2) for table in tables), (matrix, 2), (offset, 1)]
    return batch_shape if any(array is not None and array.ndim > core_ndim for array, core_ndim in core_ndims) else ()


def _flat_parameters(xp: Any, parameters: Parameters, batch_shape: Shape) -> tuple[Array | int | None, ...]:
    tables = _pair(*(_flat(xp, table, 2, batch_shape) for table in parameters.tables), default=(None, 0))
    return (*_flat(xp, parameters.quality, 0, batch_shape), *tables[0], *tables[1])


def _empty_like(xp: Any, shape: tuple[int, ...], like: Array) -> Array:
    return xp.empty(shape, dtype=like.dtype, device=device(like))


def _per_group(xp: Any, spec: Spec, batch_shape: Shape, size: Size, dtype: object, like: Array) -> tuple[Group, Group]:
    """Planes of whole blocks for each group, and the bits of their range, a byte per row of a block, if hard."""
    planes: Group = ()
    bits: Group = ()
    for count, factors in zip((1, 2), spec.samplings, strict=False):
        height, width = padded_size(size, factors)
        planes += (xp.empty((*batch_shape, count, height, width), dtype=dtype, device=device(like)),)
        if spec.hard:
            bits += (xp.empty((*batch_shape, count, height, width // BLOCK), dtype=xp.uint8, device=device(like)),)
    return planes, bits


def _flat(xp: Any, operand: Array | None, core_ndim: int, batch_shape: Shape) -> tuple[Array | None, int]:
    """An operand, and its elements from sample to sample: 0 where all share it."""
    if operand is None:
        return None, 0
    if operand.ndim == core_ndim:
        return _contiguous(xp, operand), 0
    every = _contiguous(xp, per_sample(xp, operand, core_ndim, batch_shape))
    return every, math.prod(every.shape[1:])


def _contiguous(xp: Any, array: Array) -> Array:
    # The standard has no word for it.
    return array.contiguous() if hasattr(array, "contiguous") else xp.ascontiguousarray(array)


def _pair(*groups: Any, default: Any = None) -> tuple[Any, ...]:
    """For luma and chroma; kernels of grayscale, and those who want nothing, leave arguments empty."""
    return (*groups, default, default)[:2]


# --- results ----------------------------------------------------------------------------------------------------------


def _summed(xp: Any, spec: Spec, parts: Array, operands: Operands, batch_shape: Shape) -> Group:
    """Cotangents of step sizes from the sums of tiles (samples, tiles, kinds, groups, 8, 8)."""
    sums: Group = ()
    for group, steps in enumerate(operands.steps):
        of_samples = xp.sum(parts[:, :, :, group, :, :], axis=1)
        g = elastic.steps_cotangent(xp, of_samples) if spec.elastic else of_samples[:, 0, :, :]
        sums += (unbroadcast(xp, xp.reshape(g, (*batch_shape, BLOCK, BLOCK)), steps.shape),)
    return sums


def _unpacked(xp: Any, spec: Spec, residuals: Arrays) -> Arrays:
    """The residuals of `array_api`: masks of a byte per sample."""
    groups = len(spec.samplings)
    u, inside, in_range = residuals[:groups], residuals[groups], residuals[groups + 1 :]
    channels = 1 if spec.sampling is None else 3
    by_channel = xp.concat([(inside & (1 << channel)) != 0 for channel in range(channels)], axis=-3)
    masks = (
        xp.reshape(xp.stack([(bits & (1 << bit)) != 0 for bit in range(BLOCK)], axis=-1), a.shape)
        for bits, a in zip(in_range, u, strict=False)
    )
    return (*u, by_channel, *masks)
