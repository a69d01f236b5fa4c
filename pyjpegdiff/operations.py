"""Code, encode and decode as operations: what goes in, what comes out, and what the VJP reads.

An operation takes a flat tuple of arrays and gives one, so that a framework can treat it as a single opaque function.
Images are as the caller holds them (`pyjpegdiff.layout.Layout`), parameters in any dtype. Whoever executes an
operation, a backend or an adapter around one, has two functions:

``forward(operation, plan, size, xp, inputs, needs) -> (outputs, residuals)``
    ``needs`` tells of each input whether its gradient is needed.
``vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs) -> one cotangent or None per input``
    Of the inputs it reads only those that `Operation.vjp_reads` names; the others may be None.

Grayscale has the same inputs and outputs up to the first one of chroma, and no more.
"""

from typing import NamedTuple

from pyjpegdiff.arrays import result_dtype, to_dtype
from pyjpegdiff.results import CodingGradients
from pyjpegdiff.spec import Needs, Plan
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.types import Array, ArrayType, Cotangents, Namespace, Shape, Size, Types

COEFFICIENTS = ("y", "steps_y", "cb", "cr", "steps_c")
COLOR = ("color_matrix", "color_offset")
CORE_SHAPES: dict[str, Shape] = {
    "jpeg_quality": (), "quantization_table_y": (8, 8), "quantization_table_c": (8, 8), "color_matrix": (3, 3),
    "color_offset": (3,), "steps_y": (8, 8), "steps_c": (8, 8),
}  # fmt: skip
"""Core dimensions of parameters and steps; any before those are batch axes."""
IMAGES = ("image_rgb", "image")
BLOCKS = ("y", "cb", "cr")
"""Arrays (..., rows, columns, 8, 8)."""


class Operation(NamedTuple):
    """A function of arrays with its VJP."""

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def needs(self, needs: tuple[bool, ...]) -> Needs:
        """The kinds of gradients that are needed, from those of each input."""
        needed = {name for name, need in zip(self.inputs, needs, strict=False) if need}
        image = not needed.isdisjoint((*IMAGES, *BLOCKS))
        color = not needed.isdisjoint(COLOR)
        return Needs(image, bool(needed.difference(IMAGES, BLOCKS, COLOR)), color)

    def vjp_reads(self, needs: tuple[bool, ...]) -> tuple[bool, ...]:
        """Whether the VJP reads each input: all parameters, images for color alone, blocks for steps and color."""
        kinds = self.needs(needs)
        skipped = (() if kinds.color else IMAGES) + (() if kinds.color or kinds.steps else BLOCKS)
        return tuple([name not in skipped for name, _ in zip(self.inputs, needs, strict=False)])

    def core_ndims(self, plan: Plan, names: tuple[str, ...]) -> list[int]:
        """Core dimensions of inputs or outputs."""
        known = dict.fromkeys(IMAGES, plan.layout.core_ndim) | dict.fromkeys(BLOCKS, 4)
        return [known[name] if name in known else len(CORE_SHAPES[name]) for name in names]

    def cotangents(
        self, xp: Namespace, plan: Plan, inputs: Cotangents, needs: tuple[bool, ...], found: dict[str, Array | None]
    ) -> Cotangents:
        """One cotangent per input, in the input's dtype; None where it is not needed."""
        cotangents: list[Array | None] = []
        for name, x, need in zip(self.inputs, inputs, needs, strict=False):
            g = found[name] if need else None
            if g is not None:
                g = to_dtype(xp, g, plan.layout.dtype if x is None else result_dtype(x.dtype))
            cotangents.append(g)
        return tuple(cotangents)

    def output_types(self, plan: Plan, size: Size, inputs: Types) -> Types:
        """Shapes and dtypes of the outputs. Sizes may be symbols of a compiler, so nothing branches on them."""
        layout = plan.layout
        if self.name == "code":
            return (ArrayType(inputs[0].shape, layout.dtype),)
        if self.name == "decode":
            canonical = (*inputs[0].shape[:-4], 1 if plan.spec.sampling is None else 3, *size)
            return (ArrayType(layout.shape(canonical), layout.dtype),)
        batch_shape = layout.canonical_shape(inputs[0].shape)[:-3]
        types: Types = ()
        for group, factors in enumerate(plan.spec.samplings):
            height, width = padded_size(size, factors)
            blocks = ArrayType((*batch_shape, height // 8, width // 8, 8, 8), layout.compute_dtype)
            table = inputs[2 + group].shape
            steps = ArrayType((*_broadcast(inputs[1].shape, table[:-2]), 8, 8), layout.compute_dtype)
            types += (blocks, steps) if group == 0 else (blocks, blocks, steps)
        return types

    def cotangent_types(
        self, plan: Plan, size: Size, inputs: tuple[ArrayType | None, ...], batch_shape: Shape
    ) -> Types:
        """Shapes and dtypes of the inputs' cotangents; those of images and blocks need no input."""
        layout, found = plan.layout, []
        for name, type_ in zip(self.inputs, inputs, strict=False):
            if name in IMAGES:
                channels = 1 if plan.spec.sampling is None else 3
                found.append(ArrayType(layout.shape((*batch_shape, channels, *size)), layout.dtype))
            elif name in BLOCKS:
                height, width = padded_size(size, plan.spec.samplings[0 if name == "y" else 1])
                dtype = layout.dtype if type_ is None or not _is_floating(type_.dtype) else type_.dtype
                found.append(ArrayType((*batch_shape, height // 8, width // 8, 8, 8), dtype))
            else:
                assert type_ is not None, "parameters are always there"
                found.append(type_ if _is_floating(type_.dtype) else ArrayType(type_.shape, "float32"))
        return tuple(found)


CODE = Operation("code", CodingGradients._fields, ("image",))
ENCODE = Operation("encode", CodingGradients._fields, COEFFICIENTS)
DECODE = Operation("decode", (*COEFFICIENTS, *COLOR), ("image",))
OPERATIONS = {operation.name: operation for operation in (CODE, ENCODE, DECODE)}


def _broadcast(a: Shape, b: Shape) -> Shape:
    """The broadcast shape of two that fit."""
    longer, shorter = (a, b) if len(a) >= len(b) else (b, a)
    added = len(longer) - len(shorter)
    return (*longer[:added], *[n if m == 1 else m for n, m in zip(longer[added:], shorter, strict=True)])


def _is_floating(dtype: str) -> bool:
    return "float" in dtype
