"""How near to the real codec each differentiable JPEG is: ``python -m evaluation.forward``.

Earlier approaches are what they do beside this package's stages: another rounding, steps that are neither floored nor
clipped, chroma that is repeated where libjpeg filters, an image that is clipped hard. The ablation takes one detail at
a time away from the smooth variant. All are compared with what Pillow reads back from the file it wrote, in 4:2:0, on
whole groups of blocks: the published code takes nothing else.
"""

import importlib
import importlib.util
import io
import json
import platform
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.metrics import structural_similarity

import pyjpegdiff
from evaluation.photos import REPORT, load
from pyjpegdiff import codec, diff_jpeg_coding, parameters
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.parameters import Parameters
from pyjpegdiff.spec import Operands, Spec
from pyjpegdiff.stages import quantization, sampling
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.dct import dct
from pyjpegdiff.stages.surrogates import clip
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.types import Rounding

Floats = NDArray[np.float64]
Codec = Callable[[Floats, int], Floats]
"""From an image (H, W, 3), 0..255, and a quality to the image."""

STRONG = tuple(range(1, 11))
QUALITIES = tuple(sorted({*STRONG, *range(1, 100, 3), 99}))
EVEN = tuple(range(1, 100, 3))
GROUP = 16
RESULT = Path(__file__).parent / "results" / "forward.json"


class Details(NamedTuple):
    """What a differentiable JPEG does; as this package's smooth variant by default."""

    rounding: Rounding | None = "cubic"
    """None: coefficients are masked instead."""
    floors_steps: bool = True
    clips_steps: bool = True
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
    "Shin & Song 2017: cubic": PLAIN,
    "rounds only at zero": PLAIN._replace(rounding=(_only_at_zero, _unused)),
    "sine": PLAIN._replace(rounding="sine"),
    "Fourier": PLAIN._replace(rounding="fourier"),
    "identity": PLAIN._replace(rounding="identity"),
    "uniform noise": PLAIN._replace(rounding=(_noisy, _unused)),
    "mask of frequencies (HiDDeN)": PLAIN._replace(rounding=None),
}
ABLATION = {
    "steps are not floored": Details(floors_steps=False),
    "steps are not clipped": Details(clips_steps=False),
    "chroma is not averaged": Details(means=False),
    "chroma is repeated": Details(filters=False),
    "the image is clipped hard": Details(clips_softly=False),
}


def of_details(details: Details) -> Codec:
    """The smooth codec with these details, composed of the stages."""
    spec = Spec(hard=False, rounding=details.rounding or "identity", flooring="cubic")

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
        k = codec.quantize(xp, spec, u) if details.rounding else (_masked(u[0], 25), _masked(u[1], 9))
        planes: Any = codec.crop(spec, codec.reconstruct(xp, spec, operands, k), size)
        if details.filters:
            decoded: Any = codec.upsample(xp, spec, codec.with_halo(xp, spec, planes), size)
        else:
            decoded = np.concatenate([planes[0], _repeated(planes[1], size)])
        rgb = clip(xp, codec.to_rgb(xp, spec, operands, decoded), 0, 255, hard=not details.clips_softly)
        return np.moveaxis(np.asarray(rgb), -3, -1)

    return code


def _operands(spec: Spec, quality: int, details: Details) -> Operands:
    arrays: Any = [np.array(x, np.float64) for x in (quality, LUMINANCE, CHROMINANCE, MATRIX, OFFSET)]
    operands = parameters.prepare(xp, spec, Parameters(arrays[0], tuple(arrays[1:3]), *arrays[3:]))
    if details.floors_steps and details.clips_steps:
        return operands
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    steps: Any = [table * scale / 100 for table in arrays[1:3]]
    if details.floors_steps:
        steps = [np.floor(step + 0.5) for step in steps]
    # No step is zero: at quality 100, without a clip, all would be.
    steps = [np.clip(step, 1, 255) if details.clips_steps else np.maximum(step, 1e-3) for step in steps]
    return operands._replace(steps=tuple(steps))


def _repeated(samples: Any, size: tuple[int, ...]) -> Any:
    return samples.repeat(2, -1).repeat(2, -2)[..., : size[0], : size[1]]


def _masked(u: Any, kept: int) -> Any:
    """The lowest frequencies, in the order of the zigzag."""
    row, column = np.indices((8, 8))
    diagonal = row + column
    order = np.lexsort((np.where(diagonal % 2, row, column).ravel(), diagonal.ravel()))
    mask = np.isin(np.arange(64), order[:kept]).reshape(8, 8)
    return u * np.tile(mask, (u.shape[-2] // 8, u.shape[-1] // 8))


# --- all of them ------------------------------------------------------------------------------------------------------


def _ours(**choices: Any) -> Codec:
    def code(image: Floats, quality: int) -> Floats:
        return np.asarray(diff_jpeg_coding(image, quality, channel_axis=-1, **choices))

    return code


def _of_tensors(module: str, call: Callable[[Any, Any, Any], Any]) -> Codec | None:
    """A codec of tensors (1, 3, H, W) and a quality; None where its module is not installed."""
    if importlib.util.find_spec(module) is None:
        return None
    torch, found = importlib.import_module("torch"), importlib.import_module(module)

    def code(image: Floats, quality: int) -> Floats:
        batch = torch.tensor(np.moveaxis(image, -1, 0)[None], dtype=torch.float32)
        result: Floats = call(found, batch, torch.tensor([float(quality)]))[0].movedim(0, -1).double().numpy()
        return result

    return code


def codecs() -> dict[str, dict[str, Codec]]:
    """By kind and name; those of other packages where they are installed."""
    others = {
        "kornia": _of_tensors(
            "kornia.enhance" if importlib.util.find_spec("kornia") else "kornia",
            lambda kornia, x, quality: 255 * kornia.jpeg_codec_differentiable(x / 255, quality),
        ),
        "Diff-JPEG, smooth": _of_tensors("diff_jpeg", lambda m, x, quality: m.diff_jpeg_coding(x, quality)),
        "Diff-JPEG, STE": _of_tensors("diff_jpeg", lambda m, x, quality: m.diff_jpeg_coding(x, quality, ste=True)),
    }
    return {
        "earlier": {name: of_details(details) for name, details in EARLIER.items()},
        "other packages": {name: code for name, code in others.items() if code},
        "pyjpegdiff": {
            "smooth": _ours(), "ste=True": _ours(ste=True), 'arithmetic="libjpeg"': _ours(arithmetic="libjpeg"),
        },
        "smooth, but": {name: of_details(details) for name, details in ABLATION.items()},
    }  # fmt: skip


# --- measuring --------------------------------------------------------------------------------------------------------


def through_file(image: NDArray[np.uint8], quality: int) -> Floats:
    """What Pillow reads back."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file)).astype(np.float64)


def distances(result: Floats, real: Floats) -> tuple[float, float, float]:
    """PSNR in dB, SSIM, and the mean absolute difference."""
    squared = float(np.mean((result - real) ** 2))
    psnr = 10 * np.log10(255**2 / squared) if squared else np.inf
    ssim = structural_similarity(result, real, channel_axis=-1, data_range=255)  # type: ignore[no-untyped-call]
    return float(psnr), float(ssim), float(np.mean(abs(result - real)))


def rows_of(name: str, image: NDArray[np.uint8], qualities: tuple[int, ...] = QUALITIES) -> Iterator[dict[str, Any]]:
    """Distances of each codec to the file, at each quality."""
    for quality in qualities:
        real = through_file(image, quality)
        for kind, of_kind in codecs().items():
            for codec_name, code in of_kind.items():
                psnr, ssim, l1 = distances(code(image.astype(np.float64), quality), real)
                yield {
                    "photo": name, "quality": quality, "kind": kind, "codec": codec_name,
                    "psnr": psnr, "ssim": ssim, "l1": l1,
                }  # fmt: skip


def summary(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Means over photos and qualities of each codec: over all qualities, and over the lowest ten.

    The mean PSNR is over those files that differ; `equal` is the share of those that do not.
    """
    found: dict[str, dict[str, Any]] = {}
    for kind, codec_name in dict.fromkeys((row["kind"], row["codec"]) for row in rows):
        mine = [row for row in rows if (row["kind"], row["codec"]) == (kind, codec_name)]
        found[codec_name] = {"kind": kind}
        for label, qualities in (("1..99", EVEN), ("1..10", STRONG)):
            part = [row for row in mine if row["quality"] in qualities]
            finite = [row["psnr"] for row in part if np.isfinite(row["psnr"])]
            found[codec_name][label] = {
                "count": len(part), "equal": 1 - len(finite) / len(part),
                "psnr": float(np.mean(finite)) if finite else None,
                "ssim": float(np.mean([row["ssim"] for row in part])),
                "l1": float(np.mean([row["l1"] for row in part])),
            }  # fmt: skip
    return found


def main() -> None:
    """Run as a script; a run that was stopped goes on with the next photo."""
    path = Path("build/evaluation/forward.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []
    done = {row["photo"] for row in rows}
    for number, name in enumerate(REPORT, 1):
        print(f"photo {number} of {len(REPORT)}: {name}", file=sys.stderr)
        if name not in done:
            photo = load(name)
            height, width = (length // GROUP * GROUP for length in photo.shape[:2])
            found = list(rows_of(name, np.ascontiguousarray(photo[:height, :width])))
            with path.open("a", encoding="utf-8") as file:
                file.write("".join(json.dumps(row) + "\n" for row in found))
            rows += found
    report = {
        "command": "python -m evaluation.forward",
        "versions": {
            "pyjpegdiff": pyjpegdiff.__version__, "numpy": np.__version__, "python": platform.python_version(),
        },
        "photos": list(REPORT), "qualities": list(EVEN), "strong": list(STRONG), "codecs": summary(rows),
    }  # fmt: skip
    partial = RESULT.with_suffix(".part")
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partial.replace(RESULT)
    for name, row in report["codecs"].items():  # type: ignore[attr-defined]
        cells = [
            f"{part['psnr'] or np.inf:.2f} dB, {part['ssim']:.4f}, {part['l1']:.3f}, equal {part['equal']:.0%}"
            for part in (row["1..99"], row["1..10"])
        ]
        print(f"{row['kind']} | {name} | {' | '.join(cells)}")


if __name__ == "__main__":
    main()
