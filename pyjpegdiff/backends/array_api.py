"""Any array library, any device: whole images at once, by the array API alone."""

from typing import Any

from pyjpegdiff import codec, parameters
from pyjpegdiff.arrays import to_dtype, unbroadcast
from pyjpegdiff.codec import Group
from pyjpegdiff.operations import Operation
from pyjpegdiff.parameters import Parameters
from pyjpegdiff.spec import Needs, Operands, Plan, Spec
from pyjpegdiff.stages import color, elastic, quantization
from pyjpegdiff.stages.dct import from_blocks, to_blocks
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.stages.surrogates import clip, is_inside
from pyjpegdiff.types import Array, Arrays, ArrayType, Cotangents, Namespace, Size, Types

Found = dict[str, Array | None]


class ArrayAPI:
    """The backend that serves everything."""

    name = "array_api"
    takes_numpy = False
    automatic = True

    def is_available(self) -> bool:
        """Everywhere."""
        return True

    def supports(self, spec: Spec, xp: Namespace, device: Any) -> bool:
        """Everything."""
        return True

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...]
    ) -> tuple[Arrays, Arrays]:
        """As `pyjpegdiff.backends.Backend.forward`."""
        return FORWARD[operation.name](xp, plan, size, inputs, any(needs))

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...],
    ) -> Cotangents:  # fmt: skip
        """As `pyjpegdiff.backends.Backend.vjp`."""
        found = VJP[operation.name](xp, plan, size, inputs, residuals, cotangents, operation.needs(needs))
        return operation.cotangents(xp, plan, inputs, needs, found)

    def residual_types(self, operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
        """Coefficients in units of their step, not rounded; the masks of the image's clip and of the planes'."""
        return residual_types(operation, plan, size, inputs)


def residual_types(operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
    """As `ArrayAPI.residual_types`, which other backends share."""
    spec, layout = plan.spec, plan.layout
    is_decode = operation.name == "decode"
    batch_shape = inputs[0].shape[:-4] if is_decode else layout.canonical_shape(inputs[0].shape)[:-3]
    shapes = [
        (*batch_shape, planes, *padded_size(size, factors))
        for planes, factors in zip((1, 2), spec.samplings, strict=False)
    ]
    u = () if is_decode else tuple([ArrayType(shape, layout.compute_dtype) for shape in shapes])
    if operation.name == "encode":
        return u
    inside = ArrayType((*batch_shape, 1 if spec.sampling is None else 3, *size), "bool")
    return (*u, inside, *([ArrayType(shape, "bool") for shape in shapes] if spec.hard else []))


# --- code: image -> image ---------------------------------------------------------------------------------------------


def _code(xp: Namespace, plan: Plan, size: Size, inputs: Arrays, keep: bool) -> tuple[Arrays, Arrays]:
    image, _, operands = _prepared(xp, plan, inputs)
    u = codec.encode(xp, plan.spec, operands, image)
    result, masks = _decoded(xp, plan, operands, codec.quantize(xp, plan.spec, operands, u), size, keep)
    return (result,), (*u, *masks) if keep else ()


def _code_vjp(
    xp: Namespace, plan: Plan, size: Size, inputs: Cotangents, residuals: Arrays, cotangents: Cotangents, needs: Needs
) -> Found:
    spec, groups = plan.spec, len(plan.spec.samplings)
    u, masks = residuals[:groups], residuals[groups:]
    image, params, operands = _prepared(xp, plan, inputs)
    g, g_rgb = codec.decode_vjp(xp, spec, operands, masks, _canonical_cotangent(xp, plan, cotangents))
    k = codec.quantize(xp, spec, operands, u) if needs.steps or needs.color else ()
    slopes = codec.slopes(xp, spec, operands, u)
    g_steps: Group = ()
    if needs.steps and spec.elastic:
        g_steps = _elastic_cotangents(xp, operands, g, u, k, decodes=True)
    elif needs.steps:
        # A step divides before rounding and multiplies after it: both shares in one sum.
        shares = [a - b for a, b in zip(k, codec.falls(xp, spec, operands, u, slopes), strict=True)]
        g_steps = _steps_cotangents(xp, operands, g, shares)
    g_coefficients = tuple([a * slope for a, slope in zip(g, slopes, strict=True)])
    g_image, g_matrix, g_shift = _encode_vjp_part(xp, plan, operands, image, g_coefficients, size, needs)
    g_inverse = g_unshift = None
    if needs.color:
        g_inverse, g_unshift = _inverse_cotangents(xp, spec, operands, k, size, g_rgb)
    return {"image_rgb": g_image} | parameters.cotangents(
        xp, spec, params, Operands(g_steps, g_matrix, g_shift, g_inverse, g_unshift)
    )


# --- encode: image -> coefficients ------------------------------------------------------------------------------------


def _encode(xp: Namespace, plan: Plan, size: Size, inputs: Arrays, keep: bool) -> tuple[Arrays, Arrays]:
    image, _, operands = _prepared(xp, plan, inputs)
    u = codec.encode(xp, plan.spec, operands, image)
    blocks = _to_blocks(xp, codec.quantize(xp, plan.spec, operands, u))
    return (blocks[0], operands.steps[0], *blocks[1:], *operands.steps[1:]), u if keep else ()


def _encode_vjp(
    xp: Namespace, plan: Plan, size: Size, inputs: Cotangents, u: Arrays, cotangents: Cotangents, needs: Needs
) -> Found:
    spec = plan.spec
    image, params, operands = _prepared(xp, plan, inputs)
    g_blocks, g_steps_out = by_group(in_compute_dtype(xp, plan, cotangents))
    zeros = _to_blocks(xp, tuple([xp.zeros_like(group) for group in u]))
    g_k = _from_blocks(xp, [zero if g is None else g for g, zero in zip(g_blocks, zeros, strict=True)])
    g = tuple([quantization.divide(xp, a, steps) for a, steps in zip(g_k, operands.steps, strict=True)])
    slopes = codec.slopes(xp, spec, operands, u)
    g_coefficients = tuple([a * slope for a, slope in zip(g, slopes, strict=True)])
    g_steps: Group = ()
    if needs.steps:
        if spec.elastic:
            g_steps = _elastic_cotangents(xp, operands, g, u, codec.quantize(xp, spec, operands, u), decodes=False)
        else:
            g_steps = _steps_cotangents(xp, operands, g, [-a for a in codec.falls(xp, spec, operands, u, slopes)])
        # Steps are outputs, too.
        pairs = zip(g_steps, g_steps_out, strict=True)
        g_steps = tuple([a if g_out is None else a + g_out for a, g_out in pairs])
    g_image, g_matrix, g_shift = _encode_vjp_part(xp, plan, operands, image, g_coefficients, size, needs)
    return {"image_rgb": g_image} | parameters.cotangents(
        xp, spec, params, Operands(g_steps, g_matrix, g_shift, None, None)
    )


# --- decode: coefficients -> image ------------------------------------------------------------------------------------


def _decode(xp: Namespace, plan: Plan, size: Size, inputs: Arrays, keep: bool) -> tuple[Arrays, Arrays]:
    blocks, _, operands = decoding_inputs(xp, plan, inputs)
    result, masks = _decoded(xp, plan, operands, _from_blocks(xp, blocks), size, keep)
    return (result,), masks


def _decode_vjp(
    xp: Namespace, plan: Plan, size: Size, inputs: Cotangents, masks: Arrays, cotangents: Cotangents, needs: Needs
) -> Found:
    blocks, color_inputs, operands = decoding_inputs(xp, plan, inputs)
    g, g_rgb = codec.decode_vjp(xp, plan.spec, operands, masks, _canonical_cotangent(xp, plan, cotangents))
    k = _from_blocks(xp, blocks) if needs.steps or needs.color else ()
    found: Found = {}
    if needs.image:
        g_k = tuple([quantization.multiply(xp, a, steps) for a, steps in zip(g, operands.steps, strict=True)])
        found |= zip(("y", "cb", "cr"), _to_blocks(xp, g_k), strict=False)
    if needs.steps:
        found |= zip(("steps_y", "steps_c"), _steps_cotangents(xp, operands, g, k), strict=False)
    if needs.color:
        g_map = Operands((), None, None, *_inverse_cotangents(xp, plan.spec, operands, k, size, g_rgb))
        found |= parameters.color_cotangents(xp, *color_inputs, g_map)
    return found


FORWARD = {"code": _code, "encode": _encode, "decode": _decode}
VJP = {"code": _code_vjp, "encode": _encode_vjp, "decode": _decode_vjp}


# --- inputs -----------------------------------------------------------------------------------------------------------


def _prepared(xp: Namespace, plan: Plan, inputs: Cotangents) -> tuple[Array, Parameters, Operands]:
    """The canonical image (None where it is not read), the parameters, and the operands of code and encode."""
    params = parameters.of_coding(xp, inputs, plan.layout.compute_dtype)
    image: Any = None if inputs[0] is None else plan.layout.to_canonical(xp, inputs[0])
    return image, params, parameters.prepare(xp, plan.spec, params)


def decoding_inputs(
    xp: Namespace, plan: Plan, inputs: Cotangents
) -> tuple[Any, tuple[Array | None, Array | None], Operands]:
    """Blocks (of each component, None where not read), color matrix and offset, and the operands of decode."""
    cast = in_compute_dtype(xp, plan, inputs)
    blocks, steps = by_group(cast[:5])
    matrix, offset = (*cast[5:], None, None)[:2]
    return blocks, (matrix, offset), parameters.color_operands(xp, matrix, offset)._replace(steps=steps)  # type: ignore[arg-type]


def in_compute_dtype(xp: Namespace, plan: Plan, values: Cotangents) -> Cotangents:
    """Arrays in the dtype that images are computed in."""
    return tuple([None if x is None else to_dtype(xp, x, plan.layout.compute_dtype) for x in values])


def by_group(values: Cotangents) -> tuple[Cotangents, Cotangents]:
    """(y, steps_y, cb, cr, steps_c), or the first two of gray -> blocks and steps."""
    y, steps_y, *chroma = values
    if not chroma:
        return (y,), (steps_y,)
    cb, cr, steps_c = chroma
    return (y, cb, cr), (steps_y, steps_c)


def _canonical_cotangent(xp: Namespace, plan: Plan, cotangents: Cotangents) -> Array:
    assert cotangents[0] is not None, "an image has a cotangent wherever its VJP is called"
    return plan.layout.from_canonical_vjp(xp, cotangents[0])


# --- parts ------------------------------------------------------------------------------------------------------------


def _decoded(xp: Namespace, plan: Plan, operands: Operands, k: Group, size: Size, keep: bool) -> tuple[Array, Group]:
    """The caller's image, and the masks that the VJP needs."""
    spec = plan.spec
    planes, rgb = codec.decode(xp, spec, operands, k, size)
    image = plan.layout.from_canonical(xp, clip(xp, rgb, 0, 255, spec.hard))
    return image, (is_inside(rgb, 0, 255), *codec.planes_in_range(spec, planes)) if keep else ()


def _encode_vjp_part(
    xp: Namespace, plan: Plan, operands: Operands, image: Array, g_coefficients: Group, size: Size, needs: Needs
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents of the caller's image, and of color matrix and shift on the way from RGB to YCbCr."""
    if not (needs.image or needs.color):
        return None, None, None
    g_ycc = codec.encode_vjp(xp, plan.spec, g_coefficients, size)
    g_image = g_matrix = g_shift = None
    if needs.image:
        g_rgb = g_ycc if operands.matrix is None else color.mix_vjp(xp, operands.matrix, g_ycc)
        g_image = plan.layout.to_canonical_vjp(xp, g_rgb)
    if needs.color and operands.matrix is not None and operands.shift is not None:
        g_matrix, g_shift = color.mix_vjp_parameters(xp, operands.matrix, operands.shift, image, g_ycc)
    return g_image, g_matrix, g_shift


def _inverse_cotangents(
    xp: Namespace, spec: Spec, operands: Operands, k: Group, size: Size, g_rgb: Array
) -> tuple[Array | None, Array | None]:
    """Cotangents of color matrix and shift on the way from YCbCr to RGB."""
    if operands.inverse is None or operands.unshift is None:
        return None, None
    ycc = codec.decoded_ycc(xp, spec, operands, k, size)
    return color.mix_vjp_parameters(xp, operands.inverse, operands.unshift, ycc, g_rgb)


def _steps_cotangents(xp: Namespace, operands: Operands, g_coefficients: Any, factors: Any) -> Group:
    return tuple(
        [
            quantization.steps_cotangent(xp, g, factor, steps.shape)
            for g, factor, steps in zip(g_coefficients, factors, operands.steps, strict=True)
        ]
    )


def _elastic_cotangents(xp: Namespace, operands: Operands, g: Group, u: Group, k: Group, decodes: bool) -> Group:
    sums = [elastic.sums(xp, *group, decodes) for group in zip(g, u, k, strict=True)]
    return tuple(
        [
            unbroadcast(xp, elastic.steps_cotangent(xp, of_group), steps.shape)
            for of_group, steps in zip(sums, operands.steps, strict=True)
        ]
    )


def _to_blocks(xp: Namespace, groups: Arrays) -> Arrays:
    """Coefficients in place -> blocks of each component."""
    return tuple([to_blocks(xp, group[..., plane, :, :]) for group in groups for plane in range(group.shape[-3])])


def _from_blocks(xp: Namespace, blocks: Any) -> Arrays:
    """The inverse of `_to_blocks`."""
    luma, *chroma = [from_blocks(xp, component) for component in blocks]
    groups = ((luma,), chroma) if chroma else ((luma,),)
    return tuple([xp.stack(group, axis=-3) for group in groups])
