"""What the public functions and every adapter differentiate: code, encode and decode as pure functions of arrays.

Each `Transform` takes a flat tuple of arrays and gives one, all in the compute dtype and in canonical layout, so that a
framework can treat it as a single opaque operation:

``forward(xp, spec, size, inputs, asked) -> (outputs, residuals)``
    ``asked`` says of each input whether its gradient is. Residuals alias neither inputs nor outputs.
``vjp(xp, spec, size, inputs, residuals, cotangents, asked) -> one cotangent or None an input``
    Of the inputs it reads only those that `needs` names; the others may be None.

Grayscale has the same inputs and outputs up to the first one of chroma, and no more.
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

CODING_INPUTS = {
    "image_rgb": 3, "jpeg_quality": 0, "quantization_table_y": 2,
    "quantization_table_c": 2, "color_matrix": 2, "color_offset": 1,
}  # fmt: skip
"""Inputs of code and encode, by their number of own axes; any before those are leading axes."""
COEFFICIENTS = {"y": 4, "steps_y": 2, "cb": 4, "cr": 4, "steps_c": 2}
"""Outputs of encode, likewise."""
DECODING_INPUTS = {**COEFFICIENTS, "color_matrix": 2, "color_offset": 1}


class Transform(NamedTuple):
    """A function of arrays with its VJP."""

    inputs: dict[str, int]
    outputs: dict[str, int]
    forward: Callable[..., tuple[Arrays, Arrays]]
    vjp: Callable[..., Cotangents]
    needs: Callable[[Asked], Asked]


def _only_asked(asked: Asked, *cotangents: Array | None) -> Cotangents:
    return tuple(cotangent if wish else None for cotangent, wish in zip(cotangents, asked, strict=False))


# --- code and encode: image, parameters -> image, or coefficients -----------------------------------------------------


def _parameters(inputs: Arrays) -> Parameters:
    _, quality, table_y, *chroma = inputs
    table_c, matrix, offset = chroma or (None,) * 3
    return Parameters(quality, (table_y, table_c) if chroma else (table_y,), matrix, offset)


def _wanted(asked: Asked) -> Wanted:
    return Wanted(asked[0], any(asked[1:4]), any(asked[4:]))


def _coding_needs(asked: Asked) -> Asked:
    return (_wanted(asked).color, *(True for _ in asked[1:]))


def _coding_cotangents(asked: Asked, g_image: Array | None, g: Parameters) -> Cotangents:
    g_table_y, g_table_c = (*g.tables, None, None)[:2]
    return _only_asked(asked, g_image, g.quality, g_table_y, g_table_c, g.matrix, g.offset)


def _code(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    backend, image = backends.select(xp, spec, inputs[0]), inputs[0]
    operands = backends.prepared(backend, xp, spec, _parameters(inputs), image.shape[:-3])
    image, residuals = backend.code(xp, spec, operands, image, _wanted(asked))
    return (image,), residuals


def _code_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    parameters, wanted = _parameters(inputs), _wanted(asked)
    cotangent: Array = cotangents[0]
    backend, leading = backends.select(xp, spec, cotangent), cotangent.shape[:-3]
    operands = backends.prepared(backend, xp, spec, parameters, leading, wanted)
    g_image, g = backend.code_vjp(xp, spec, operands, inputs[0], residuals, cotangent, wanted)
    return _coding_cotangents(asked, g_image, backends.prepared_vjp(backend, xp, spec, parameters, g, leading, wanted))


def _encode(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    operands = prepare(xp, spec, _parameters(inputs))
    u = codec.encode(xp, spec, operands, inputs[0])
    outputs = _by_name(_to_blocks(xp, codec.rounded(xp, spec, u)), operands.steps)
    return outputs, u if any(asked) else ()


def _encode_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    parameters, wanted = _parameters(inputs), _wanted(asked)
    operands = prepare(xp, spec, parameters)
    blocks, g_steps_out = _by_group(cotangents)
    zeros = _to_blocks(xp, tuple(xp.zeros_like(group) for group in residuals))
    g_k = _from_blocks(xp, tuple(zero if g is None else g for g, zero in zip(blocks, zeros, strict=True)))
    in_units = tuple(quantization.divide(xp, g, steps) for g, steps in zip(g_k, operands.steps, strict=True))
    g_image, g = codec.encode_vjp(xp, spec, operands, inputs[0], size, residuals, in_units, wanted)
    if g.steps:
        own_and_out = zip(g.steps, g_steps_out, strict=True)
        g = g._replace(steps=tuple(own if out is None else own + out for own, out in own_and_out))
    return _coding_cotangents(asked, g_image, prepare_vjp(xp, spec, parameters, g))


# --- decode: coefficients, color -> image -----------------------------------------------------------------------------


def _decoding_wanted(asked: Asked) -> Wanted:
    blocks, steps = _by_group(asked[:5])
    return Wanted(any(blocks), any(steps), any(asked[5:]))


def _decoding_needs(asked: Asked) -> Asked:
    wanted = _decoding_wanted(asked)
    is_block = (own == 4 for own in DECODING_INPUTS.values())
    return tuple(wanted.steps or wanted.color or not block for block, _ in zip(is_block, asked, strict=False))


def _decoding_operands(xp: Namespace, inputs: Arrays) -> Operands:
    matrix, offset = (*inputs[5:], None, None)[:2]
    return color_operands(xp, matrix, offset)._replace(steps=_by_group(inputs[:5])[1])


def _decode(xp: Namespace, spec: Spec, size: Size, inputs: Arrays, asked: Asked) -> tuple[Arrays, Arrays]:
    k = _from_blocks(xp, _by_group(inputs[:5])[0])
    image, masks = codec.decode(xp, spec, _decoding_operands(xp, inputs), k, size, any(asked))
    return (image,), masks


def _decode_vjp(
    xp: Namespace, spec: Spec, size: Size, inputs: Arrays, residuals: Arrays, cotangents: Cotangents, asked: Asked
) -> Cotangents:
    operands, wanted = _decoding_operands(xp, inputs), _decoding_wanted(asked)
    k: Arrays = operands.steps
    if wanted.steps or wanted.color:
        k = _from_blocks(xp, _by_group(inputs[:5])[0])
    g_coefficients, g = codec.decode_vjp(xp, spec, operands, k, residuals, cotangents[0], wanted)
    g_blocks: Cotangents = (None,) * (1 if spec.sampling is None else 3)
    if wanted.image:
        by_group = zip(g_coefficients, operands.steps, strict=True)
        g_blocks = _to_blocks(xp, tuple(quantization.multiply(xp, g, steps) for g, steps in by_group))
    matrix, offset = (*inputs[5:], None, None)[:2]
    g_color = color_operands_vjp(xp, matrix, offset, g)
    g_steps = g.steps or (None,) * len(operands.steps)
    return _only_asked(asked, *_by_name(g_blocks, g_steps), *g_color)


# --- y, steps_y, cb, cr, steps_c <-> blocks and steps; blocks <-> groups of planes ------------------------------------


def _by_group(values: Cotangents) -> tuple[Cotangents, Cotangents]:
    y, steps_y, *chroma = values
    if not chroma:
        return (y,), (steps_y,)
    cb, cr, steps_c = chroma
    return (y, cb, cr), (steps_y, steps_c)


def _by_name(blocks: Cotangents, steps: Cotangents) -> Cotangents:
    return (blocks[0], steps[0], *blocks[1:], *steps[1:])


def _to_blocks(xp: Namespace, groups: Arrays) -> Arrays:
    return tuple(dct.to_blocks(xp, group[..., plane, :, :]) for group in groups for plane in range(group.shape[-3]))


def _from_blocks(xp: Namespace, blocks: Arrays) -> Arrays:
    luma, *chroma = (dct.from_blocks(xp, plane) for plane in blocks)
    groups = ((luma,), chroma) if chroma else ((luma,),)
    return tuple(xp.stack(group, axis=-3) for group in groups)


IMAGE = {"image": 3}
TRANSFORMS = {
    "code": Transform(CODING_INPUTS, IMAGE, _code, _code_vjp, _coding_needs),
    "encode": Transform(CODING_INPUTS, COEFFICIENTS, _encode, _encode_vjp, _coding_needs),
    "decode": Transform(DECODING_INPUTS, IMAGE, _decode, _decode_vjp, _decoding_needs),
}
