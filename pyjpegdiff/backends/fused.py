"""Fused CUDA kernels: two forward, one backward, and what prepares their operands, for whatever launches them.

What lies between the stages stays in shared memory and registers. Forward, the first kernel goes from the image to the
decoded planes, the second from those to the coded image, since upsampling looks beyond a block; backward, one kernel
does it all, since the cotangents that upsampling looks for can be had again from the coded image's by a pixel's work.

Bytes a pixel of float32 in 4:2:0, u the coefficients in units of their step, of which there are 3/2 a pixel:

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

A result without residuals takes 27 or 36 bytes a pixel, where copying its image takes 24; with its VJP 66 or 75, where
two copies take 48. In memory are at most, over the batch: image, result, cotangent, its result, u, bits: 4.6.

Operands are prepared by a kernel of their own, and pulled back by another: as array operations those are dozens of
launches, each of which takes microseconds. Where every rounding is performed, decoded planes are bytes, and samples
that are no numbers come out as some.

A tile's sums of the step sizes' cotangents are taken in a fixed order, and so are the sums of those, by the library:
results are the same every time.

Launched by CuPy these kernels have not yet run on a GPU: see tests/backends/cuda/emulator.py for where they have. To be
launched, each needs to have been compiled for the device, which its first call does.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from pyjpegdiff.backends import whole
from pyjpegdiff.backends.cuda import BLOCK, Options
from pyjpegdiff.codec import Gradients, Group
from pyjpegdiff.devices import is_for_shapes_alone
from pyjpegdiff.parameters import Parameters
from pyjpegdiff.reduce import by_sample, sum_to_shape
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted
from pyjpegdiff.stages.sampling import padded_size

Residuals = tuple[Array, ...]
Launch = Callable[[Options, str, int, tuple[Array | int | None, ...], Array], None]
"""``launch(options, kernel, thread_blocks, arguments, like)``: integers are 64 bits wide, arrays and None pointers; on
the device and the current stream of the array ``like``, without waiting for it."""


def serves(spec: Spec) -> bool:
    """Whether the kernels know these choices: all but a caller's own surrogates."""
    return isinstance(spec.rounding, str)


class Fused(NamedTuple):
    """The pair of functions, on a launcher."""

    launch: Launch

    def prepare(self, xp: Namespace, spec: Spec, parameters: Parameters, leading: tuple[int, ...]) -> Operands:
        """As `pyjpegdiff.parameters.prepare`, but that all have the leading axes of the image where any has some."""
        own = _own_leading(parameters, leading)
        steps = tuple(_empty_like(xp, (*own, BLOCK, BLOCK), parameters.quality) for _ in spec.samplings)
        color: tuple[Array | None, ...] = (None, None, None)
        if parameters.matrix is not None:
            color = tuple(_empty_like(xp, (*own, *shape), parameters.quality) for shape in ((3,), (3, 3), (3,)))
        arguments = (
            *_flat_parameters(xp, parameters, own), *_flat(xp, parameters.matrix, 2, own),
            *_flat(xp, parameters.offset, 1, own), int(spec.flooring == "cubic"), *_pair(*steps), *color,
        )  # fmt: skip
        self._run(_options(xp, spec, parameters.quality), "prepare", math.prod(own), arguments, parameters.quality)
        shift, inverse, unshift = color
        return Operands(steps, parameters.matrix, shift, inverse, unshift)

    def prepare_vjp(
        self, xp: Namespace, spec: Spec, parameters: Parameters, cotangents: Operands, leading: tuple[int, ...]
    ) -> Parameters:
        """As `pyjpegdiff.parameters.prepare_vjp`, of step sizes alone."""
        if not cotangents.steps:
            return Parameters(None, (), None, None)
        own = _own_leading(parameters, leading)
        g_steps = xp.stack(cotangents.steps, axis=-3)
        g_quality = _empty_like(xp, own, parameters.quality)
        g_tables = tuple(_empty_like(xp, (*own, BLOCK, BLOCK), parameters.quality) for _ in spec.samplings)
        arguments = (
            *_flat_parameters(xp, parameters, own), int(spec.flooring == "cubic"), g_steps, g_quality,
            *_pair(*g_tables),
        )  # fmt: skip
        self._run(_options(xp, spec, parameters.quality), "prepare_vjp", math.prod(own), arguments, parameters.quality)
        tables = zip(g_tables, parameters.tables, strict=True)
        return Parameters(
            sum_to_shape(xp, g_quality, parameters.quality.shape),
            tuple(sum_to_shape(xp, g, table.shape) for g, table in tables), None, None,
        )  # fmt: skip

    def code(
        self, xp: Namespace, spec: Spec, operands: Operands, image: Array, wanted: Wanted
    ) -> tuple[Array, Residuals]:
        """As `whole.code`, but that masks are packed."""
        options, leading, size = _options(xp, spec, image), image.shape[:-3], image.shape[-2:]
        planes, in_range = _per_group(xp, spec, leading, size, xp.int8 if spec.hard else image.dtype, image)
        u: Group = ()
        inside = None
        if any(wanted):
            u, _ = _per_group(xp, spec, leading, size, image.dtype, image)
            inside = xp.empty((*leading, 1, *size), dtype=xp.uint8, device=image.device)
        else:
            in_range = ()
        coded = xp.empty(image.shape, dtype=image.dtype, device=image.device)
        matrix, shift = _flat(xp, operands.matrix, 2, leading), _flat(xp, operands.shift, 1, leading)
        inverse, unshift = _flat(xp, operands.inverse, 2, leading), _flat(xp, operands.unshift, 1, leading)
        steps = _pair(*(_flat(xp, each, 2, leading) for each in operands.steps), default=(None, 0))
        encode = (
            _contiguous(xp, image), *matrix, *shift, *steps[0], *steps[1], *size, *_pair(*planes), *_pair(*u),
            *_pair(*in_range),
        )  # fmt: skip
        tiles = math.prod(leading) * options.tiles(size)
        self._run(options, "encode_reconstruct", tiles, encode, image)
        convert = (*_pair(*planes), *inverse, *unshift, *size, coded, inside)
        self._run(options, "upsample_convert", tiles, convert, image)
        return coded, () if inside is None else (*u, inside, *in_range)

    def code_vjp(
        self, xp: Namespace, spec: Spec, operands: Operands, image: Array | None, residuals: Residuals,
        g_image: Array, wanted: Wanted,
    ) -> Gradients:  # fmt: skip
        """As `whole.code_vjp`, which also serves where color gradients are wanted."""
        if wanted.color:
            return whole.code_vjp(xp, spec, operands, image, _unpacked(xp, spec, residuals), g_image, wanted)
        options, leading, size = _options(xp, spec, g_image), g_image.shape[:-3], g_image.shape[-2:]
        groups = len(spec.samplings)
        u, inside, in_range = residuals[:groups], residuals[groups], residuals[groups + 1 :]
        pulled = g_steps = None
        if wanted.image:
            pulled = xp.empty(g_image.shape, dtype=g_image.dtype, device=g_image.device)
        if wanted.steps:
            shape = (math.prod(leading), options.tiles(size), groups, BLOCK, BLOCK)
            g_steps = xp.empty(shape, dtype=g_image.dtype, device=g_image.device)
        matrix, inverse = _flat(xp, operands.matrix, 2, leading), _flat(xp, operands.inverse, 2, leading)
        u, in_range = (tuple(_contiguous(xp, each) for each in group) for group in (u, in_range))
        arguments = (
            _contiguous(xp, g_image), _contiguous(xp, inside), *_pair(*u), *_pair(*in_range), *matrix, *inverse,
            *size, pulled, g_steps,
        )  # fmt: skip
        self._run(options, "code_vjp", math.prod(leading) * options.tiles(size), arguments, g_image)
        sums = () if g_steps is None else _summed(xp, g_steps, operands, leading)
        return Gradients(pulled, Operands(sums, None, None, None, None))

    def _run(
        self, options: Options, kernel: str, blocks: int, arguments: tuple[Array | int | None, ...], like: Array
    ) -> None:
        if blocks and not is_for_shapes_alone():
            self.launch(options, kernel, blocks, arguments, like)


# --- arguments --------------------------------------------------------------------------------------------------------


def _options(xp: Namespace, spec: Spec, like: Array) -> Options:
    real = "double" if like.dtype == xp.float64 else "float"
    return Options(real, spec.hard, spec.exact, str(spec.rounding), spec.sampling)


def _own_leading(parameters: Parameters, leading: tuple[int, ...]) -> tuple[int, ...]:
    """Those of the image if any parameter has leading axes, else none."""
    quality, tables, matrix, offset = parameters
    own = [(quality, 0), *((table, 2) for table in tables), (matrix, 2), (offset, 1)]
    return leading if any(array is not None and array.ndim > axes for array, axes in own) else ()


def _flat_parameters(xp: Namespace, parameters: Parameters, leading: tuple[int, ...]) -> tuple[Array | int | None, ...]:
    tables = _pair(*(_flat(xp, table, 2, leading) for table in parameters.tables), default=(None, 0))
    return (*_flat(xp, parameters.quality, 0, leading), *tables[0], *tables[1])


def _empty_like(xp: Namespace, shape: tuple[int, ...], like: Array) -> Array:
    return xp.empty(shape, dtype=like.dtype, device=like.device)


def _per_group(
    xp: Namespace, spec: Spec, leading: tuple[int, ...], size: tuple[int, int], dtype: object, like: Array
) -> tuple[Group, Group]:
    """Planes of whole blocks for each group, and the bits of their range, a byte a row of a block, if hard."""
    planes: Group = ()
    bits: Group = ()
    for count, factors in zip((1, 2), spec.samplings, strict=False):
        height, width = padded_size(size, factors)
        planes += (xp.empty((*leading, count, height, width), dtype=dtype, device=like.device),)
        if spec.hard:
            bits += (xp.empty((*leading, count, height, width // BLOCK), dtype=xp.uint8, device=like.device),)
    return planes, bits


def _flat(xp: Namespace, operand: Array | None, own: int, leading: tuple[int, ...]) -> tuple[Array | None, int]:
    """An operand, and its elements from sample to sample: 0 where all share it."""
    if operand is None:
        return None, 0
    if operand.ndim == own:
        return _contiguous(xp, operand), 0
    every = _contiguous(xp, by_sample(xp, operand, own, leading))
    return every, math.prod(every.shape[1:])


def _contiguous(xp: Namespace, array: Array) -> Array:
    # The standard has no word for it.
    return array.contiguous() if hasattr(array, "contiguous") else xp.ascontiguousarray(array)


def _pair(*groups: Any, default: Any = None) -> tuple[Any, ...]:
    """For luma and chroma; kernels of grayscale, and those who want nothing, leave arguments empty."""
    return (*groups, default, default)[:2]


# --- results ----------------------------------------------------------------------------------------------------------


def _summed(xp: Namespace, parts: Array, operands: Operands, leading: tuple[int, ...]) -> Group:
    """Cotangents of step sizes from those of tiles (samples, tiles, groups, 8, 8)."""
    sums: Group = ()
    for group, steps in enumerate(operands.steps):
        by_sample = xp.reshape(xp.sum(parts[:, :, group, :, :], axis=1), (*leading, BLOCK, BLOCK))
        sums += (sum_to_shape(xp, by_sample, steps.shape),)
    return sums


def _unpacked(xp: Namespace, spec: Spec, residuals: Residuals) -> Residuals:
    """The residuals of `whole`: masks of a byte a sample."""
    groups = len(spec.samplings)
    u, inside, in_range = residuals[:groups], residuals[groups], residuals[groups + 1 :]
    channels = 1 if spec.sampling is None else 3
    by_channel = xp.concat([(inside & (1 << channel)) != 0 for channel in range(channels)], axis=-3)
    masks = (
        xp.reshape(xp.stack([(bits & (1 << bit)) != 0 for bit in range(BLOCK)], axis=-1), a.shape)
        for bits, a in zip(in_range, u, strict=False)
    )
    return (*u, by_channel, *masks)
