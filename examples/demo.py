"""Show the effect of JPEG on a photo, and the gradients of the error, in a table and a picture.

python examples/demo.py [IMAGE] [--out demo.png]
"""

import argparse
import io
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, PowerNorm, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from PIL import Image

from pyjpegdiff import backends, diff_jpeg_coding, diff_jpeg_coding_vjp
from pyjpegdiff.study.files import UnreadableError, read_image
from pyjpegdiff.study.measures import psnr
from pyjpegdiff.study.pictures import detail, shrink
from pyjpegdiff.whole_file import write_whole

QUALITIES = (5, 25, 50, 75, 95)
WRT = ("image_rgb", "jpeg_quality", "quantization_table_y", "quantization_table_c")
ACCENT, MUTED = "#ff2e88", "0.35"

Pixels = NDArray[np.uint8]
Numbers = NDArray[Any]


@dataclass(frozen=True)
class RoundTrip:
    """A photo after JPEG at one quality, and the gradients of its mean squared error."""

    quality: int
    image: Pixels
    kilobytes: float
    psnr: float
    psnr_to_pillow: float
    unlike_pillow: int
    gradients: dict[str, Numbers]


def fail(message: str, status: int) -> NoReturn:
    """Print what is wrong, and exit."""
    print(f"demo.py: error: {message}", file=sys.stderr)
    raise SystemExit(status)


def read(path: Path | None) -> Pixels:
    """The photo as RGB."""
    if path is None:
        from skimage import data

        astronaut: Callable[[], Pixels] = data.astronaut
        return astronaut()
    pixels = read_image(path).pixels
    return pixels if pixels.ndim == 3 else np.stack([pixels] * 3, axis=-1)


def round_trip(photo: Pixels, quality: int) -> RoundTrip:
    """Compress and decompress a photo as Pillow does, and compute the gradients of the error."""
    original = photo.astype(np.float32)
    result, vjp = diff_jpeg_coding_vjp(original, quality, ste=True, wrt=WRT, channel_axis=-1)
    cotangents = vjp(2 * (result - original) / original.size)
    gradients: dict[str, Numbers] = {name: getattr(cotangents, name) for name in WRT}
    gradients["image_rgb"] = np.linalg.norm(gradients["image_rgb"], axis=-1)

    file = io.BytesIO()
    Image.fromarray(photo).save(file, "JPEG", quality=quality)
    pillow = np.asarray(Image.open(file))
    exact = diff_jpeg_coding(photo, quality, arithmetic="libjpeg", channel_axis=-1)
    unlike, image = int((exact != pillow).sum()), result.round().astype(np.uint8)
    kilobytes = len(file.getvalue()) / 1000
    return RoundTrip(quality, image, kilobytes, psnr(result, photo), psnr(result, pillow), unlike, gradients)


# --- the table --------------------------------------------------------------------------------------------------------


def show(results: list[RoundTrip]) -> None:
    """Print who computed, and one row per quality."""
    without = "" if "cpu_kernels" in backends.available() else ", without compiled kernels"
    print(f"Backend: {backends.available()[0]}{without}\n")
    print("            PSNR in dB to      gradient of the MSE with respect to         samples unlike Pillow")
    print("quality   original   Pillow      quality   |luma table|   |chroma table|    in libjpeg arithmetic")
    for r in results:
        quality, luma, chroma = (r.gradients[name] for name in WRT[1:])
        numbers = f"{float(quality):+11.3e}{np.linalg.norm(luma):15.3e}{np.linalg.norm(chroma):17.3e}"
        print(f"{r.quality:7}{r.psnr:11.2f}{r.psnr_to_pillow:9.2f}  {numbers}{r.unlike_pillow:25}")


def check(photo: Pixels, results: list[RoundTrip]) -> None:
    """Exit if a gradient is zero that must not be zero."""
    # Zero is right where there is no error, and for the chroma table of a photo without chroma coefficients.
    flat, gray = (bool(np.ptp(photo, axis=axis).max() <= 8) for axis in ((0, 1), 2))
    for r in results:
        for name in WRT[1:]:
            may_be_zero = flat or math.isinf(r.psnr) or (gray and name == "quantization_table_c")
            gradient = r.gradients[name]
            if not (np.isfinite(gradient).all() and (may_be_zero or gradient.any())):
                fail(f"bug: at quality {r.quality} the gradient with respect to {name} is zero or not finite", 1)


# --- the picture ------------------------------------------------------------------------------------------------------


def heading(ax: Axes, title: str, text: str) -> None:
    """A title in two lines."""
    ax.set_title(title, size=15, weight="bold", pad=24)
    ax.annotate(text, (0.5, 1), (0, 7), "axes fraction", "offset points", ha="center", size=12, color=MUTED)


def legend(ax: Axes, title: str, text: str, scale: ScalarMappable, **options: Any) -> None:
    """The title of a row, and its color scale."""
    ax.text(0.93, 0.6, title, ha="right", va="bottom", size=14, weight="bold")
    ax.text(0.93, 0.57, text, ha="right", va="top", size=12, color=MUTED, linespacing=1.4)
    bar = ax.inset_axes((0.2, 0.22, 0.73, 0.05))
    ax.figure.colorbar(scale, cax=bar, orientation="horizontal", **options).outline.set_visible(False)
    bar.minorticks_off()


def draw(photo: Pixels, results: list[RoundTrip]) -> Figure:
    """The original and all qualities side by side: the whole, a detail, the error, and the gradients."""
    aspect = float(np.clip(photo.shape[0] / photo.shape[1], 0.6, 1.6))
    heights = [aspect, 1, aspect, aspect, 1]
    figure = Figure(figsize=(18, 3 * sum(heights) + 0.85))
    figure.subplots_adjust(0.005, 0.005, 0.995, 1 - 0.7 / figure.get_figheight(), wspace=0.03, hspace=0.03)
    axes = figure.subplots(5, 1 + len(results), height_ratios=heights)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=False, color=ACCENT, linewidth=2)

    height, width, _ = photo.shape
    window = detail(photo)
    for (whole, part, *_), image in zip(axes.T, (photo, *(r.image for r in results)), strict=True):
        whole.imshow(shrink(image), extent=(0, width, height, 0))
        whole.add_patch(
            Rectangle((window.left, window.top), window.width, window.height, fill=False, color=ACCENT, linewidth=2)
        )
        part.imshow(window.cut(image), interpolation="nearest")
        part.spines[:].set_visible(True)
    heading(axes[0, 0], "original", f"{width} x {height}")
    for ax, r in zip(axes[0, 1:], results, strict=True):
        heading(ax, f"quality {r.quality}", f"{r.psnr:.1f} dB, {r.kilobytes:,.1f} kB")

    maps = [
        [shrink(abs(r.image.astype(np.float32) - photo).mean(axis=-1)) for r in results],
        [shrink(r.gradients["image_rgb"]) for r in results],
        [r.gradients["quantization_table_y"] for r in results],
    ]
    # Error and gradient have a few large outliers; a scale up to their values would leave everything else dark.
    error, gradient, _ = (max(float(np.quantile(m, 0.995)) for m in row) or 1.0 for row in maps)
    step = max(float(abs(m).max()) for m in maps[2]) or 1.0
    scales = [
        ScalarMappable(PowerNorm(0.5, 0, error), "magma"),
        ScalarMappable(LogNorm(gradient / 300, gradient, clip=True), "viridis"),
        ScalarMappable(SymLogNorm(step / 1e4, vmin=-step, vmax=step), "RdBu_r"),
    ]
    for row, images, scale in zip(axes[2:, 1:], maps, scales, strict=True):
        for ax, values in zip(row, images, strict=True):
            ax.imshow(values, norm=scale.norm, cmap=scale.cmap)
    legend(axes[2, 0], "error", "magnitude in pixel values\n(mean over R, G, B)", scales[0], extend="max")
    legend(axes[3, 0], "gradient: image", "of the mean squared error\n(norm over R, G, B)", scales[1], extend="both")
    ticks = 10.0 ** math.floor(math.log10(step)) * np.array([-1, 0, 1])
    text = "of the mean squared error\n(8 x 8 steps); red: a larger\nstep makes the error larger"
    legend(axes[4, 0], "gradient: luma table", text, scales[2], ticks=ticks)
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture completely or not at all."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_whole(path, picture.getvalue())


def main() -> None:
    """Run as a script."""
    parser = argparse.ArgumentParser(description="Show the effect of JPEG on a photo, and the gradients of the error.")
    parser.add_argument(
        "image",
        nargs="?",
        type=Path,
        metavar="IMAGE",
        help="any file that Pillow reads (default: a photo of an astronaut)",
    )
    parser.add_argument("--out", type=Path, default=Path("demo.png"), help="the picture, a PNG (default: %(default)s)")
    given = parser.parse_args()
    start = time.perf_counter()
    try:
        photo = read(given.image)
    except UnreadableError as error:
        fail(f"cannot read {given.image}: {error}", 2)
    if given.image and given.out.exists() and given.out.samefile(given.image):
        fail(f"{given.out} would replace the photo; name another file with --out", 2)
    results = [round_trip(photo, quality) for quality in QUALITIES]
    show(results)
    check(photo, results)
    try:
        save(draw(photo, results), given.out)
    except OSError as error:
        fail(f"cannot write {given.out}: {error.strerror or error}", 2)
    print(f"Wrote {given.out} in {time.perf_counter() - start:.1f} s.")


if __name__ == "__main__":
    main()
