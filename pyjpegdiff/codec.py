"""The pipeline: stages composed into encode, decode and code, each a forward and its VJP.

A *group* is a tuple over the groups of planes, luma (..., 1, h, w) and chroma (..., 2, h, w). Coefficients stay in
place and, once divided, in units of their step: ``u`` before rounding, ``k`` after. A forward returns its output and
the residuals that its VJP needs; the rest the VJP computes again from ``u``, which takes half the memory of the image.

The exact pipeline is the hard one with libjpeg's fixed-point constants in place of the real ones, and its DCT's two
rounding shifts. The VJPs know nothing of it: they are those of the hard pipeline, at the exact residuals.
"""

from typing import NamedTuple

from pyjpegdiff.devices import constant_like, for_exact_products, limit
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted
from pyjpegdiff.stages import color, quantization, sampling
from pyjpegdiff.stages.dct import dct, idct, islow_dct, islow_idct
from pyjpegdiff.stages.surrogates import clip, clip_vjp, is_inside, rounding_surrogate

Group = tuple[Array, ...]
Size = tuple[int, int]
Halo = tuple[Array | None, Array | None]

DARKEST, BRIGHTEST = -color.LEVEL, 255 - color.LEVEL
# Half up for luma; for chroma libjpeg stays one unit of its fixed point below, so that pure blue and red give 255.
COLOR_BIAS = (0.5, 0.5 - 2.0**-16, 0.5 - 2.0**-16)
# Half up. Blocks of DC alone are whole eighths and often ties, which the last bit of a real DCT must not decide.
SAMPLE_BIAS = 0.5 + 2.0**-12


class Gradients(NamedTuple):
    """Cotangents of an image and of operands; None where not wanted."""

    image: Array | None
    operands: Operands


# --- encode: image -> u -----------------------------------------------------------------------------------------------


def encode(xp: Namespace, spec: Spec, operands: Operands, image: Array) -> Group:
    """Image (..., 3, H, W), or (..., 1, H, W) of gray -> coefficients in units of their step, not yet rounded."""
    forward_dct = islow_dct if spec.exact else dct
    planes = to_planes(xp, spec, operands, image)
    return tuple(
        quantization.divide(xp, forward_dct(xp, sampling.downsample(xp, group, factors, spec.hard)), steps)
        for group, factors, steps in zip(planes, spec.samplings, operands.steps, strict=True)
    )


def to_planes(xp: Namespace, spec: Spec, operands: Operands, image: Array) -> Group:
    """Image -> luma and chroma of full size, centered."""
    dtype = image.dtype
    if spec.exact:
        # What saving the image would store. Derivative: the identity.
        image = for_exact_products(xp, limit(xp, xp.round(image), 0, 255))
    if spec.sampling is None:
        planes = image - (color.LEVEL - COLOR_BIAS[0] if spec.hard else color.LEVEL)
    else:
        matrix, shift = operands.matrix, operands.shift
        if spec.exact:
            matrix, shift = constant_like(xp, color.FIXED_MATRIX, image), constant_like(xp, color.FIXED_SHIFT, image)
        if spec.hard:
            shift = shift + constant_like(xp, COLOR_BIAS, image)
        planes = color.mix(xp, matrix, shift, image)
    return _split(spec, xp.astype(xp.floor(planes), dtype, copy=False) if spec.hard else planes)


def encode_vjp(
    xp: Namespace, spec: Spec, operands: Operands, image: Array | None, size: Size, u: Group, g_coefficients: Group,
    wanted: Wanted, k: Group | None = None,
) -> Gradients:  # fmt: skip
    """Cotangents from those of the rounded coefficients, given in coefficient units (that is, over their step).

    ``image`` is needed for color alone. With ``k``, the rounded coefficients, the cotangents of the steps hold what
    they get as factors in `reconstruct`, too.
    """
    derivative = rounding_surrogate(spec.rounding).derivative
    g_steps: Group = ()
    g_planes: Group = ()
    multiplied = k or (None,) * len(u)
    for a, b, g, steps, factors in zip(u, multiplied, g_coefficients, operands.steps, spec.samplings, strict=True):
        slope = derivative(xp, a)
        if wanted.steps:
            share = -slope * a if b is None else b - slope * a
            g_steps += (quantization.steps_cotangent(xp, g, share, steps.shape),)
        if wanted.image or wanted.color:
            g_planes += (sampling.downsample_vjp(xp, idct(xp, g * slope), factors, size),)
    g_matrix = g_shift = g_image = None
    if g_planes:
        g_ycc = xp.concat(g_planes, axis=-3)
        if wanted.image:
            g_image = g_ycc if spec.sampling is None else color.mix_vjp(xp, operands.matrix, g_ycc)
        if wanted.color:
            g_matrix, g_shift = color.mix_vjp_parameters(xp, operands.matrix, operands.shift, image, g_ycc)
    return Gradients(g_image, Operands(g_steps, g_matrix, g_shift, None, None))


# --- decode: k -> image -----------------------------------------------------------------------------------------------


def reconstruct(
    xp: Namespace, spec: Spec, operands: Operands, k: Group, masks: bool = True
) -> tuple[Group, tuple[Array, ...]]:
    """Quantized coefficients -> planes of whole blocks, and where they were in range, if hard and asked for."""
    inverse_dct = islow_idct if spec.exact else idct
    planes = tuple(
        inverse_dct(xp, quantization.multiply(xp, group, steps)) for group, steps in zip(k, operands.steps, strict=True)
    )
    if not spec.hard:
        return planes, ()
    if not spec.exact:
        planes = tuple(xp.floor(group + SAMPLE_BIAS) for group in planes)
    in_range = tuple(is_inside(group, DARKEST, BRIGHTEST) for group in planes) if masks else ()
    return tuple(clip(xp, group, DARKEST, BRIGHTEST, hard=True) for group in planes), in_range


def reconstruct_vjp(
    xp: Namespace, operands: Operands, k: Group, in_range: Group, g_planes: Group, wanted: Wanted
) -> tuple[Group, Group]:
    """Cotangents of the coefficients, in coefficient units, and of the steps; a mask that is None is true all over."""
    if in_range:
        pairs = zip(g_planes, in_range, strict=True)
        g_planes = tuple(g if inside is None else clip_vjp(xp, g, inside) for g, inside in pairs)
    g_coefficients = tuple(dct(xp, g) for g in g_planes)
    g_steps: Group = ()
    if wanted.steps:
        g_steps = tuple(
            quantization.steps_cotangent(xp, g, group, steps.shape)
            for g, group, steps in zip(g_coefficients, k, operands.steps, strict=True)
        )
    return g_coefficients, g_steps


def upsample(xp: Namespace, spec: Spec, planes: Group, size: Size, beyond: Halo = (None, None)) -> Array:
    """Planes of whole blocks -> YCbCr (..., 3, H, W), still centered.

    ``beyond`` are the rows of chroma above and below, where this is a strip of an image.
    """
    height, width = size
    full: Group = ()
    for group, factors in zip(planes, spec.samplings, strict=True):
        h, w = sampling.sample_size(size, factors)
        group = group[..., :h, :w]
        if factors[0] == 2:
            group = sampling.halo(xp, group, -2, *(None if row is None else row[..., :w] for row in beyond))
        full += (sampling.upsample(xp, group, factors, spec.hard)[..., :height, :width],)
    return xp.concat(full, axis=-3)


def upsample_vjp(xp: Namespace, spec: Spec, g_ycc: Array, size: Size, beyond: Halo = (None, None)) -> Group:
    """Cotangents of the planes of whole blocks; ``beyond`` are cotangents of rows of chroma above and below."""
    g_planes: Group = ()
    for g, factors in zip(_split(spec, g_ycc), spec.samplings, strict=True):
        h, w = sampling.sample_size(size, factors)
        g = _fill_zeros(xp, g, h * factors[0], w * factors[1])
        if factors[0] == 2:
            g = sampling.halo(xp, g, -2, *(_fill_zeros(xp, row, 1, w * factors[1]) for row in beyond))
        g_planes += (_fill_zeros(xp, sampling.upsample_vjp(xp, g, factors), *sampling.padded_size(size, factors)),)
    return g_planes


def to_rgb(
    xp: Namespace, spec: Spec, operands: Operands, ycc: Array, masks: bool = True
) -> tuple[Array, tuple[Array, ...]]:
    """YCbCr -> image, and where it was in range, if asked for."""
    bias, dtype = 0.5 if spec.hard else 0.0, ycc.dtype
    if spec.sampling is None:
        image = ycc + (color.LEVEL + bias)
    else:
        inverse, unshift = operands.inverse, operands.unshift
        if spec.exact:
            ycc = for_exact_products(xp, ycc)
            inverse, unshift = constant_like(xp, color.FIXED_INVERSE, ycc), constant_like(xp, color.FIXED_UNSHIFT, ycc)
        image = color.mix(xp, inverse, unshift + bias, ycc)
    if spec.hard:
        image = xp.astype(xp.floor(image), dtype, copy=False)
    return clip(xp, image, 0, 255, spec.hard), (is_inside(image, 0, 255),) if masks else ()


def to_rgb_vjp(
    xp: Namespace, spec: Spec, operands: Operands, inside: Array | None, g_image: Array
) -> tuple[Array, Array]:
    """Cotangents of the image before its range limit, and of YCbCr; a mask that is None is true all over."""
    g_rgb = g_image if inside is None else clip_vjp(xp, g_image, inside)
    return g_rgb, g_rgb if spec.sampling is None else color.mix_vjp(xp, operands.inverse, g_rgb)


def decode(
    xp: Namespace, spec: Spec, operands: Operands, k: Group, size: Size, masks: bool = True
) -> tuple[Array, tuple[Array, ...]]:
    """Quantized coefficients -> image, and the masks of what was in range, if asked for."""
    planes, in_range = reconstruct(xp, spec, operands, k, masks)
    image, inside = to_rgb(xp, spec, operands, upsample(xp, spec, planes, size), masks)
    return image, (*inside, *in_range)


def decode_vjp(
    xp: Namespace, spec: Spec, operands: Operands, k: Group, masks: tuple[Array, ...], g_image: Array, wanted: Wanted
) -> tuple[Group, Operands]:
    """Cotangents of the coefficients, in coefficient units, and of the operands."""
    inside, *in_range = masks
    size = (g_image.shape[-2], g_image.shape[-1])
    g_rgb, g_ycc = to_rgb_vjp(xp, spec, operands, inside, g_image)
    g_inverse = g_unshift = None
    if wanted.color:
        planes, _ = reconstruct(xp, spec, operands, k, masks=False)
        ycc = upsample(xp, spec, planes, size)
        g_inverse, g_unshift = color.mix_vjp_parameters(xp, operands.inverse, operands.unshift, ycc, g_rgb)
    g_planes = upsample_vjp(xp, spec, g_ycc, size)
    g_coefficients, g_steps = reconstruct_vjp(xp, operands, k, tuple(in_range), g_planes, wanted)
    return g_coefficients, Operands(g_steps, None, None, g_inverse, g_unshift)


# --- code: image -> image ---------------------------------------------------------------------------------------------


def rounded(xp: Namespace, spec: Spec, u: Group) -> Group:
    """The quantized coefficients."""
    return tuple(quantization.round_(xp, a, spec.rounding, spec.hard) for a in u)


def code(
    xp: Namespace, spec: Spec, operands: Operands, image: Array, residuals: bool = True
) -> tuple[Array, tuple[Array, ...]]:
    """Image -> image, and (u..., masks...), if asked for."""
    u = encode(xp, spec, operands, image)
    size = (image.shape[-2], image.shape[-1])
    coded, masks = decode(xp, spec, operands, rounded(xp, spec, u), size, residuals)
    return coded, (*u, *masks) if residuals else ()


def code_vjp(
    xp: Namespace, spec: Spec, operands: Operands, image: Array | None, residuals: tuple[Array, ...], g_image: Array,
    wanted: Wanted,
) -> Gradients:  # fmt: skip
    """Cotangents of the image and the operands; ``image`` is needed for color alone."""
    groups = len(operands.steps)
    u, masks = residuals[:groups], residuals[groups:]
    size = (g_image.shape[-2], g_image.shape[-1])
    k = rounded(xp, spec, u) if wanted.steps or wanted.color else u
    g_coefficients, after = decode_vjp(xp, spec, operands, k, masks, g_image, wanted._replace(steps=False))
    g, before = encode_vjp(xp, spec, operands, image, size, u, g_coefficients, wanted, k)
    return Gradients(g, before._replace(inverse=after.inverse, unshift=after.unshift))


# --- planes -----------------------------------------------------------------------------------------------------------


def _split(spec: Spec, planes: Array) -> Group:
    return (planes,) if spec.sampling is None else (planes[..., :1, :, :], planes[..., 1:, :, :])


def _fill_zeros(xp: Namespace, x: Array | None, height: int, width: int) -> Array | None:
    """Zero rows and columns below and to the right: the adjoint of cropping."""
    if x is None:
        return None
    for axis, missing in ((-1, width - x.shape[-1]), (-2, height - x.shape[-2])):
        if missing:
            shape = (*x.shape[:-1], missing) if axis == -1 else (*x.shape[:-2], missing, x.shape[-1])
            x = xp.concat((x, xp.zeros(shape, dtype=x.dtype, device=x.device)), axis=axis)
    return x
