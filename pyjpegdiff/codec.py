"""The stages composed, each composition a forward and its VJP: of whole images, or of a strip of rows.

A *group* is one entry of a tuple over the groups of planes: luma (..., 1, h, w) and chroma (..., 2, h, w). Coefficients
stay in place and, once divided, in units of their step: ``u`` before rounding, ``k`` after.

libjpeg's pipeline is the hard one with libjpeg's fixed-point constants in place of the real ones, and the two rounding
shifts of its DCT. The VJPs do not know of it: they are those of the hard pipeline, at libjpeg's residuals.
"""

from pyjpegdiff.arrays import add_to, constant_like, for_exact_products, hard_clip
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages import color, quantization, sampling
from pyjpegdiff.stages.dct import dct, idct, islow_dct, islow_idct
from pyjpegdiff.stages.surrogates import clip_vjp, is_inside
from pyjpegdiff.types import Array, Namespace, Size

Group = tuple[Array, ...]

DARKEST, BRIGHTEST = -color.LEVEL, 255 - color.LEVEL
# Half up for luma; for chroma libjpeg stays one unit of its fixed point below, so that pure blue and red give 255.
COLOR_BIAS = (0.5, 0.5 - 2.0**-16, 0.5 - 2.0**-16)
# Half up. Blocks of DC alone are whole eighths and often ties, which the last bit of a real DCT must not decide.
SAMPLE_BIAS = 0.5 + 2.0**-12


# --- encode: image -> u -----------------------------------------------------------------------------------------------


def encode(xp: Namespace, spec: Spec, operands: Operands, image: Array) -> Group:
    """Image (..., 3, H, W), or (..., 1, H, W) of gray -> coefficients in units of their step, not yet rounded."""
    forward_dct = islow_dct if spec.libjpeg else dct
    u: Group = ()
    planes = split(spec, to_ycc(xp, spec, operands, image))
    for group, factors, steps in zip(planes, spec.samplings, operands.steps, strict=True):
        samples = sampling.downsample(xp, group, factors, spec.hard)
        u += (quantization.divide(xp, forward_dct(xp, samples), steps),)
    return u


def encode_vjp(xp: Namespace, spec: Spec, g_coefficients: Group, size: Size) -> Array:
    """Cotangent of YCbCr from those of the coefficients before they are divided by their step."""
    g_planes = [
        sampling.downsample_vjp(xp, idct(xp, g), factors, size)
        for g, factors in zip(g_coefficients, spec.samplings, strict=True)
    ]
    return g_planes[0] if len(g_planes) == 1 else xp.concat(g_planes, axis=-3)


def to_ycc(xp: Namespace, spec: Spec, operands: Operands, image: Array) -> Array:
    """Image -> YCbCr of full size, centered."""
    dtype = image.dtype
    if spec.libjpeg:
        # What saving the image would store. Derivative: the identity.
        image = for_exact_products(xp, hard_clip(xp, xp.round(image), 0, 255))
    if operands.matrix is None or operands.shift is None:
        ycc = image - (color.LEVEL - COLOR_BIAS[0] if spec.hard else color.LEVEL)
    else:
        matrix, shift = operands.matrix, operands.shift
        if spec.libjpeg:
            matrix, shift = constant_like(xp, color.FIXED_MATRIX, image), constant_like(xp, color.FIXED_SHIFT, image)
        if spec.hard:
            shift = shift + constant_like(xp, COLOR_BIAS, image)
        ycc = color.mix(xp, matrix, shift, image)
    return xp.astype(xp.floor(ycc), dtype, copy=False) if spec.hard else ycc


# --- quantize: u -> k -------------------------------------------------------------------------------------------------


def quantize(xp: Namespace, spec: Spec, operands: Operands, u: Group) -> Group:
    """The quantized coefficients."""
    return tuple(
        [
            quantization.round_(xp, group, steps, spec.rounding, spec.hard)
            for group, steps in zip(u, operands.steps, strict=True)
        ]
    )


def slopes(xp: Namespace, spec: Spec, operands: Operands, u: Group) -> Group:
    """The derivative of `quantize`."""
    return tuple(
        [quantization.slope(xp, group, steps, spec.rounding) for group, steps in zip(u, operands.steps, strict=True)]
    )


def falls(xp: Namespace, spec: Spec, operands: Operands, u: Group, slopes: Group) -> Group:
    """By how much quantized coefficients fall per relative growth of their step."""
    return tuple(
        [
            quantization.fall(xp, group, slope, steps, spec.rounding)
            for group, slope, steps in zip(u, slopes, operands.steps, strict=True)
        ]
    )


# --- decode: k -> image -----------------------------------------------------------------------------------------------


def reconstruct(xp: Namespace, spec: Spec, operands: Operands, k: Group) -> Group:
    """Quantized coefficients -> planes of whole blocks, where hard whole numbers, not yet clipped."""
    inverse_dct = islow_idct if spec.libjpeg else idct
    planes = [
        inverse_dct(xp, quantization.multiply(xp, group, steps)) for group, steps in zip(k, operands.steps, strict=True)
    ]
    if spec.hard and not spec.libjpeg:
        planes = [xp.floor(add_to(xp, group, SAMPLE_BIAS)) for group in planes]
    return tuple(planes)


def planes_in_range(spec: Spec, planes: Group) -> Group:
    """The masks of what the decoder's clip leaves as it is; the smooth variant does not clip planes."""
    return tuple([is_inside(group, DARKEST, BRIGHTEST) for group in planes]) if spec.hard else ()


def clip_planes(xp: Namespace, spec: Spec, planes: Group) -> Group:
    """The decoder's clip."""
    return tuple([hard_clip(xp, group, DARKEST, BRIGHTEST) for group in planes]) if spec.hard else planes


def crop(spec: Spec, planes: Group, size: Size) -> Group:
    """Planes of whole blocks -> those of the component's samples."""
    return tuple(
        [
            group[..., : -(-size[0] // rows), : -(-size[1] // columns)]
            for group, (rows, columns) in zip(planes, spec.samplings, strict=True)
        ]
    )


def crop_vjp(xp: Namespace, spec: Spec, g_samples: Group, size: Size) -> Group:
    """The adjoint of `crop`."""
    return tuple(
        [
            fill_zeros(xp, g, sampling.padded_size(size, factors))
            for g, factors in zip(g_samples, spec.samplings, strict=True)
        ]
    )


def with_halo(
    xp: Namespace, spec: Spec, planes: Group, above: Array | None = None, below: Array | None = None
) -> Group:
    """Chroma with one more row on either side, where upsampling doubles rows: the neighbor's, or a replicated one."""
    if spec.samplings[-1][0] == 1:
        return planes
    return (planes[0], sampling.halo(xp, planes[1], -2, above, below))


def upsample(xp: Namespace, spec: Spec, samples: Group, size: Size) -> Array:
    """Samples `with_halo` -> YCbCr (..., 3, H, W), still centered."""
    full = [
        sampling.upsample(xp, group, factors, spec.hard)[..., : size[0], : size[1]]
        for group, factors in zip(samples, spec.samplings, strict=True)
    ]
    return full[0] if len(full) == 1 else xp.concat(full, axis=-3)


def upsample_vjp(xp: Namespace, spec: Spec, g_ycc: Group) -> Group:
    """Cotangents of the samples from those of YCbCr, `uncrop`ped and `with_halo`."""
    return tuple([sampling.upsample_vjp(xp, g, factors) for g, factors in zip(g_ycc, spec.samplings, strict=True)])


def uncrop(xp: Namespace, spec: Spec, g_ycc: Group, size: Size) -> Group:
    """Cotangents of YCbCr by group, with zeros where the last samples reach beyond the image."""
    return tuple(
        [
            fill_zeros(xp, g, (-(-size[0] // rows) * rows, -(-size[1] // columns) * columns))
            for g, (rows, columns) in zip(g_ycc, spec.samplings, strict=True)
        ]
    )


def to_rgb(xp: Namespace, spec: Spec, operands: Operands, ycc: Array) -> Array:
    """YCbCr -> image, where hard whole numbers, not yet clipped."""
    bias, dtype = 0.5 if spec.hard else 0.0, ycc.dtype
    if operands.inverse is None or operands.unshift is None:
        rgb = ycc + (color.LEVEL + bias)
    else:
        inverse, unshift = operands.inverse, operands.unshift
        if spec.libjpeg:
            ycc = for_exact_products(xp, ycc)
            inverse, unshift = constant_like(xp, color.FIXED_INVERSE, ycc), constant_like(xp, color.FIXED_UNSHIFT, ycc)
        rgb = color.mix(xp, inverse, unshift + bias, ycc)
    return xp.astype(xp.floor(rgb), dtype, copy=False) if spec.hard else rgb


# --- decode of whole images -------------------------------------------------------------------------------------------


def decode(xp: Namespace, spec: Spec, operands: Operands, k: Group, size: Size) -> tuple[Group, Array]:
    """Quantized coefficients -> planes of whole blocks and RGB, both not yet clipped."""
    planes = reconstruct(xp, spec, operands, k)
    return planes, to_rgb(xp, spec, operands, _upsampled(xp, spec, planes, size))


def decode_vjp(xp: Namespace, spec: Spec, operands: Operands, masks: Group, g_image: Array) -> tuple[Group, Array]:
    """Cotangents of the reconstructed coefficients, and of the image before its clip."""
    inside, *in_range = masks
    size = (g_image.shape[-2], g_image.shape[-1])
    g_rgb = clip_vjp(xp, g_image, inside)
    g_ycc = g_rgb if operands.inverse is None else color.mix_vjp(xp, operands.inverse, g_rgb)
    filled = with_halo(xp, spec, uncrop(xp, spec, split(spec, g_ycc), size))
    g_planes = crop_vjp(xp, spec, upsample_vjp(xp, spec, filled), size)
    if in_range:
        g_planes = tuple([clip_vjp(xp, g, mask) for g, mask in zip(g_planes, in_range, strict=True)])
    return tuple([dct(xp, g) for g in g_planes]), g_rgb


def decoded_ycc(xp: Namespace, spec: Spec, operands: Operands, k: Group, size: Size) -> Array:
    """YCbCr as `decode` has it on its way: gradients of the color conversion need it."""
    return _upsampled(xp, spec, reconstruct(xp, spec, operands, k), size)


def _upsampled(xp: Namespace, spec: Spec, planes: Group, size: Size) -> Array:
    samples = crop(spec, clip_planes(xp, spec, planes), size)
    return upsample(xp, spec, with_halo(xp, spec, samples), size)


# --- planes -----------------------------------------------------------------------------------------------------------


def split(spec: Spec, planes: Array) -> Group:
    """Luma and chroma of YCbCr; gray has luma alone."""
    return (planes,) if spec.sampling is None else (planes[..., :1, :, :], planes[..., 1:, :, :])


def fill_zeros(xp: Namespace, x: Array, size: Size) -> Array:
    """Zero rows and columns below and to the right: the adjoint of cropping."""
    height, width = size
    for axis, missing in ((-1, width - x.shape[-1]), (-2, height - x.shape[-2])):
        if missing:
            shape = (*x.shape[:-1], missing) if axis == -1 else (*x.shape[:-2], missing, x.shape[-1])
            x = xp.concat((x, xp.broadcast_to(xp.zeros_like(x[..., :1, :1]), shape)), axis=axis)
    return x
