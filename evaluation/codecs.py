"""The differentiable JPEGs that `evaluation.forward` compares, as functions of an image and a quality.

Earlier approaches are what they do beside this package's stages: another rounding, steps that are neither floored nor
clipped, chroma that is repeated where libjpeg filters, an image that is clipped hard. The ablation takes one detail at
a time away from the smooth variant.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evaluation import peers
from pyjpegdiff import codec, diff_jpeg_coding, parameters
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages import quantization, sampling
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.dct import dct
from pyjpegdiff.stages.surrogates import FLOOR_AT_INTEGERS, clip, floor
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE, ZIGZAG
from pyjpegdiff.types import Rounding

Floats = NDArray[np.float64]
Codec = Callable[[Floats, int], Floats]
"""From an image (H, W, 3), 0..255, and a quality to the image."""


class Details(NamedTuple):
    """What a differentiable JPEG does; as this package's smooth variant by default."""

    rounding: Rounding | None = "rational"
    """None: coefficients are masked instead."""
    floors_steps: bool = True
    shifts_floor: bool = True
    """The scale gets the 1/8 that the smooth floor misses at integers."""
    clips_steps: bool = True
    subsamples: bool = True
    means: bool = True
    """Chroma samples are means of four pixels, not every fourth."""
    filters: bool = True
    """Chroma is interpolated, not repeated."""
    clips_softly: bool = True


# --- earlier approaches -----------------------------------------------------------------------------------------------

PLAIN = Details(floors_steps=False, clips_steps=False, filters=False, clips_softly=False)
"""What most have in common."""


def _only_at_zero(u: Any) -> Any:
    return np.where(abs(u) < 0.5, u**3, u)


def _unused(u: Any) -> Any:
    raise NotImplementedError("nothing is differentiated here")


def _noisy(u: Any) -> Any:
    return u + np.random.default_rng(0).uniform(-0.5, 0.5, u.shape)


EARLIER = {
    "Shin & Song 2017: cubic": PLAIN._replace(rounding="cubic"),
    "rounds only at zero": PLAIN._replace(rounding=(_only_at_zero, _unused)),
    "sine": PLAIN._replace(rounding="sine"),
    "Fourier": PLAIN._replace(rounding="fourier"),
    "identity": PLAIN._replace(rounding="identity"),
    "uniform noise": PLAIN._replace(rounding=(_noisy, _unused)),
    "HiDDeN: mask of frequencies": PLAIN._replace(rounding=None, subsamples=False),
}
ABLATION = {
    "steps are real numbers": Details(floors_steps=False),
    "the floor is not shifted": Details(shifts_floor=False),
    "steps may leave 1..255": Details(clips_steps=False),
    "chroma is not averaged": Details(means=False),
    "chroma is repeated": Details(filters=False),
    "the image is clipped hard": Details(clips_softly=False),
}


def of_details(details: Details) -> Codec:
    """The smooth codec with these details, composed of the stages."""
    spec = Spec(
        hard=False,
        rounding=details.rounding or "identity",
        flooring="cubic",
        sampling=(2, 2) if details.subsamples else (1, 1),
    )

    def code(image: Floats, quality: int) -> Floats:
        operands, size = _operands(spec, quality, details), image.shape[:2]
        canonical: Any = np.moveaxis(image, -1, -3)
        ycc: Any = codec.to_ycc(xp, spec, operands, canonical)
        if not details.means:
            ycc[1:] = _repeated(ycc[1:, ::2, ::2], size)
        samples = [
            sampling.downsample(xp, planes, factors, hard=False)
            for planes, factors in zip(codec.split(spec, ycc), spec.samplings, strict=True)
        ]
        u = tuple(
            [quantization.divide(xp, dct(xp, x), steps) for x, steps in zip(samples, operands.steps, strict=True)]
        )
        k = codec.quantize(xp, spec, operands, u) if details.rounding else (_masked(u[0], 25), _masked(u[1], 9))
        planes: Any = codec.crop(spec, codec.reconstruct(xp, spec, operands, k), size)
        if details.filters or not details.subsamples:
            decoded: Any = codec.upsample(xp, spec, codec.with_halo(xp, spec, planes), size)
        else:
            decoded = np.concatenate([planes[0], _repeated(planes[1], size)])
        rgb = clip(xp, codec.to_rgb(xp, spec, operands, decoded), 0, 255, hard=not details.clips_softly)
        return np.moveaxis(np.asarray(rgb), -3, -1)

    return code


def _operands(spec: Spec, quality: int, details: Details) -> Operands:
    percent: Any = np.float64(5000 / quality if quality < 50 else 200 - 2 * quality)
    if details.floors_steps:
        percent = floor(xp, percent, spec.flooring, hard=False)[0]
        percent = percent - FLOOR_AT_INTEGERS[spec.flooring] if details.shifts_floor else percent
    found = []
    for table in (LUMINANCE, CHROMINANCE):
        steps: Any = np.array(table) * percent / 100
        if details.floors_steps:
            steps = floor(xp, steps + 0.5, spec.flooring, hard=False)[0]
        # No step is zero: at quality 100, without a clip, all would be.
        found.append(clip(xp, steps, 1, 255, hard=False) if details.clips_steps else np.maximum(steps, 1e-3))
    matrix, offset = (np.array(x, np.float64) for x in (MATRIX, OFFSET))
    return parameters.color_operands(xp, matrix, offset)._replace(steps=tuple(found))


def _repeated(samples: Any, size: tuple[int, ...]) -> Any:
    return samples.repeat(2, -1).repeat(2, -2)[..., : size[0], : size[1]]


def _masked(u: Any, kept: int) -> Any:
    """The lowest frequencies, in the order of the zigzag."""
    mask = np.zeros((8, 8))
    mask[tuple(np.transpose(ZIGZAG[:kept]))] = 1
    return u * np.tile(mask, (u.shape[-2] // 8, u.shape[-1] // 8))


# --- all of them ------------------------------------------------------------------------------------------------------


def _ours(**choices: Any) -> Codec:
    def code(image: Floats, quality: int) -> Floats:
        return np.asarray(diff_jpeg_coding(image, quality, channel_axis=-1, **choices))

    return code


def _of_tensors(code_tensors: peers.Codec) -> Codec:
    torch = importlib.import_module("torch")

    def code(image: Floats, quality: int) -> Floats:
        batch = torch.tensor(np.moveaxis(image, -1, 0)[None], dtype=torch.float32)
        result: Floats = code_tensors(batch, quality)[0].movedim(0, -1).double().numpy()
        return result

    return code


def codecs() -> dict[str, dict[str, Codec]]:
    """By kind and name; those of other packages where they are installed."""
    others = {
        name: _of_tensors(code) for name, (code, module) in peers.PEERS.items() if importlib.util.find_spec(module)
    }
    return {
        "earlier": {name: of_details(details) for name, details in EARLIER.items()},
        "other packages": others,
        "pyjpegdiff": {
            "smooth": _ours(), "ste=True": _ours(ste=True), 'arithmetic="libjpeg"': _ours(arithmetic="libjpeg"),
        },
        "smooth, but": {name: of_details(details) for name, details in ABLATION.items()},
    }  # fmt: skip
