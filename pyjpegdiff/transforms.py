"""What the public functions and every adapter differentiate: code, encode and decode as pure functions of arrays.

Each `Transform` takes a flat tuple of arrays and gives one, both in the compute dtype and in canonical layout, so that
a framework can treat it as a single opaque operation: ``forward(xp, spec, size, inputs, asked) -> (outputs,
residuals)`` and ``vjp(xp, spec, size, inputs, residuals, cotangents, asked) -> one cotangent or None an input``.
``asked`` says of each input whether its gradient is. Residuals alias neither inputs nor outputs. Of the inputs the VJP
reads only those that `needs` names; the others may be None then.
"""

from collections.abc import Callable
from typing import NamedTuple

from pyjpegdiff import backends, codec
from pyjpegdiff.parameters import Parameters, color_operands, color_operands_vjp, prepare, prepare_vjp
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted
from pyjpegdiff.stages import dct, quantization

Arrays = tuple[Array, ...]
Asked = tuple[bool, ...]
Cotangents = tuple[Array | None, ...]
Size = tuple[int, int]


class Transform(NamedTuple):
    """A function of arrays with its VJP."""

    inputs: tuple[str, ...]
    """Names, in order."""
    own_ndim: tuple[int, ...]
    """Axes of each input that are its own; those before them are leading axes."""
    output_ndim: tuple[int, ...]
    forward: Callable[..., tuple[Arrays, Arrays]]
    vjp: Callable[..., Cotangents]
    needs: Callable[[Asked], Asked]


# --- image, parameters -> image, or coefficients and steps ------------------------------------------------------------


def _parameters(inputs: Arrays) -> Parameters:
    _, quality, table_y, table_c, matrix, offset = inputs
    return Parameters(quality, (table_y, table_c), matrix, offset)


def _wanted(asked: Asked) -> Wanted:
    image, *scale_and_tables, matrix, offset = asked
    return Wanted(image, any(scale_and_tables), matrix or offset)


def _coding_needs(asked: Asked) -> Asked:
    return (_wanted(asked).color, *(True for _ in asked[1:]))


def _coding_cotangents(asked: Asked, g_image: Array | None, g: Parameters) -> Cotangents:
    tables = g.tables or (None, None)
    every = (g_image, g.quality, *tables, g.matrix, g.offset)
    return tuple(cotangent if wish else None for cotangent, wish in zip(every, asked, strict=True))


def _code(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    operands = prepare(xp, spec, _parameters(inputs))
    image, residuals = backends.select(xp).code(xp, spec, operands, inputs[0], _wanted(asked))
    return (image,), residuals


def _code_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    parameters = _parameters(inputs)
    operands = prepare(xp, spec, parameters)
    g_image, g_operands = backends.select(xp).code_vjp(
        xp, spec, operands, inputs[0], residuals, cotangents[0], _wanted(asked)
    )
    return _coding_cotangents(asked, g_image, prepare_vjp(xp, spec, parameters, g_operands))


def _encode(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    operands = prepare(xp, spec, _parameters(inputs))
    u = codec.encode(xp, spec, operands, inputs[0])
    blocks = _to_blocks(xp, codec.rounded(xp, spec, u))
    return (*blocks, *operands.steps), (u if any(asked) else ())


def _encode_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    parameters = _parameters(inputs)
    operands = prepare(xp, spec, parameters)
    blocks, g_steps_out = _or_zeros(xp, cotangents[:3], residuals), cotangents[3:]
    in_units = tuple(
        quantization.divide(xp, g, steps)
        for g, steps in zip(_from_blocks(xp, blocks), operands.steps, strict=True)
    )
    g_image, g = codec.encode_vjp(xp, spec, operands, inputs[0], size, residuals, in_units, _wanted(asked))
    if g.steps:
        g_steps = (a if b is None else a + b for a, b in zip(g.steps, g_steps_out, strict=True))
        g = g._replace(steps=tuple(g_steps))
    return _coding_cotangents(asked, g_image, prepare_vjp(xp, spec, parameters, g))


# --- coefficients, steps, color -> image ------------------------------------------------------------------------------


def _decoding_wanted(asked: Asked) -> Wanted:
    y, cb, cr, steps_y, steps_c, matrix, offset = asked
    return Wanted(y or cb or cr, steps_y or steps_c, matrix or offset)


def _decoding_needs(asked: Asked) -> Asked:
    wanted = _decoding_wanted(asked)
    return (*(wanted.steps or wanted.color,) * 3, *(True for _ in asked[3:]))


def _decoding_operands(xp: Namespace, inputs: Arrays) -> Operands:
    steps_y, steps_c, matrix, offset = inputs[3:]
    return color_operands(xp, matrix, offset)._replace(steps=(steps_y, steps_c))


def _decode(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    k = _from_blocks(xp, inputs[:3])
    image, masks = codec.decode(xp, spec, _decoding_operands(xp, inputs), k, size)
    return (image,), (masks if any(asked) else ())


def _decode_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    operands = _decoding_operands(xp, inputs)
    wanted = _decoding_wanted(asked)
    k = _from_blocks(xp, inputs[:3]) if wanted.steps or wanted.color else ((),) * len(operands.steps)
    g_coefficients, g_operands = codec.decode_vjp(xp, spec, operands, k, residuals, cotangents[0], wanted)
    g_blocks: Cotangents = (None,) * 3
    if wanted.image:
        g_k = tuple(
            quantization.multiply(xp, g, steps) for g, steps in zip(g_coefficients, operands.steps, strict=True)
        )
        g_blocks = _to_blocks(xp, g_k)
    g_color = color_operands_vjp(xp, inputs[5], inputs[6], g_operands)
    every = (*g_blocks, *(g_operands.steps or (None, None)), *g_color)
    return tuple(cotangent if wish else None for cotangent, wish in zip(every, asked, strict=True))


# --- planes with coefficients in place <-> blocks ---------------------------------------------------------------------


def _to_blocks(xp: Namespace, groups: Arrays) -> Arrays:
    return tuple(
        dct.to_blocks(xp, group[..., plane, :, :]) for group in groups for plane in range(group.shape[-3])
    )


def _from_blocks(xp: Namespace, blocks: Arrays) -> Arrays:
    luma, *chroma = (dct.from_blocks(xp, plane) for plane in blocks)
    return xp.stack((luma,), axis=-3), xp.stack(tuple(chroma), axis=-3)


def _or_zeros(xp: Namespace, blocks: Cotangents, groups: Arrays) -> Arrays:
    """Cotangents of blocks, zeros where there is none."""
    planes = (group[..., plane, :, :] for group in groups for plane in range(group.shape[-3]))
    return tuple(
        dct.to_blocks(xp, xp.zeros_like(plane)) if g is None else g for g, plane in zip(blocks, planes, strict=True)
    )


_CODING_INPUTS = (
    "image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c", "color_matrix", "color_offset",
)  # fmt: skip
_CODING_NDIM = (3, 0, 2, 2, 2, 1)
_COEFFICIENTS = ("y", "cb", "cr", "steps_y", "steps_c")
_COEFFICIENTS_NDIM = (4, 4, 4, 2, 2)

CODE = Transform(_CODING_INPUTS, _CODING_NDIM, (3,), _code, _code_vjp, _coding_needs)
ENCODE = Transform(_CODING_INPUTS, _CODING_NDIM, _COEFFICIENTS_NDIM, _encode, _encode_vjp, _coding_needs)
DECODE = Transform(
    (*_COEFFICIENTS, "color_matrix", "color_offset"), (*_COEFFICIENTS_NDIM, 2, 1), (3,), _decode, _decode_vjp,
    _decoding_needs,
)  # fmt: skip
TRANSFORMS = {"code": CODE, "encode": ENCODE, "decode": DECODE}
