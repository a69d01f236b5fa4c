"""The figures of a study: curves of rate and distortion, and maps of the 64 frequencies."""

import io
import math
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyjpegdiff.study.measurement import Measurement

COLORS = ("#4e79a7", "#f28e2b", "#e15759", "#4aa7a2", "#59a14f", "#c9a227", "#b07aa1", "#e77f9c", "#9c755f", "#8c8c8c")
CURVES = {"psnr": "PSNR in dB", "ssim": "SSIM", "psnr_b": "PSNR-B in dB"}
MAP_COLORS = "magma"
LABEL = 40
"""The most characters of a name in a legend."""

Curves = dict[str, list[Measurement]]
"""Measurements of each image; the keys are the image names to show."""


class Theme(NamedTuple):
    """Colors of text, grid lines and background."""

    ink: str
    faint: str
    paper: str


LIGHT = Theme("#1c1e21", "#d9dce1", "#ffffff")
DARK = Theme("#e8eaed", "#3a3f46", "#181a1d")


class FrequencyMap(NamedTuple):
    """One row of maps."""

    title: str
    text: str
    tables: list[NDArray[Any]]
    """The mean over images, (8, 8), for each quality."""

    def scale(self) -> ScalarMappable:
        """One logarithmic color scale for all qualities, over four decades."""
        largest = max(float(table.max()) for table in self.tables)
        largest = largest if largest > 0 else 1.0
        return ScalarMappable(LogNorm(largest / 1e4, largest, clip=True), MAP_COLORS)

    def colors(self) -> list[NDArray[Any]]:
        """A hexadecimal color for each entry."""
        scale = self.scale()
        return [np.array([[hexadecimal(scale, x) for x in row] for row in table]) for table in self.tables]


def hexadecimal(scale: ScalarMappable, value: float) -> str:
    """The color of a value."""
    red, green, blue, _ = scale.to_rgba(np.array([max(value, 0.0)]))[0]
    return to_hex((red, green, blue))


def one_by_one(curves: Curves) -> bool:
    """Whether there are enough colors to give each curve its own."""
    return len(curves) <= len(COLORS)


def curve(ax: Axes, measure: str, curves: Curves, theme: Theme) -> None:
    """A measure over bits per pixel, one line per image; for many images the median is emphasized."""
    few = one_by_one(curves)
    for place, measurements in enumerate(curves.values()):
        x, y = (_finite([getattr(m, key) for m in measurements]) for key in ("bits_per_pixel", measure))
        style: dict[str, Any] = {"color": "0.55", "alpha": 0.6, "lw": 1}
        if few:
            style = {"color": COLORS[place], "marker": "o", "ms": 3}
        ax.plot(x, y, **style)
    if not few:
        x, y = (_median(curves, key) for key in ("bits_per_pixel", measure))
        ax.plot(x, y, color=COLORS[2], marker="o", ms=4, lw=2)
    if not any(np.isfinite(line.get_ydata()).any() for line in ax.lines):
        ax.annotate("no finite value", (0.5, 0.5), xycoords="axes fraction", ha="center", color=theme.ink)
    _scale_bits(ax)
    ax.set_xlabel("bits per pixel", color=theme.ink)
    ax.set_title(CURVES[measure], color=theme.ink, loc="left", weight="bold")
    ax.set_facecolor("none")
    ax.grid(color=theme.faint, which="major")
    ax.tick_params(colors=theme.ink, which="both", length=0)
    ax.spines[:].set_visible(False)


def _scale_bits(ax: Axes) -> None:
    """Logarithmic, with as many labels as fit; linear where the range is too small for two logarithmic labels."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high < 3 * low:
        ax.set_xscale("linear")
        ax.xaxis.set_major_locator(MaxNLocator(5))
    elif high < 200 * low:
        ax.xaxis.set_minor_formatter(lambda x, _: f"{x:g}" if f"{x:.0e}"[0] in "25" else "")
    else:
        ax.xaxis.set_minor_formatter("")
    ax.xaxis.set_major_formatter("{x:g}")


def _finite(values: Sequence[float]) -> list[float]:
    return [value if math.isfinite(value) else math.nan for value in values]


def _median(curves: Curves, key: str) -> list[float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # where no value is finite, NaN is the right median
        table = np.array([_finite([getattr(m, key) for m in measurements]) for measurements in curves.values()])
        return [float(value) for value in np.nanmedian(table, axis=0)]


def rate_distortion(curves: Curves) -> Figure:
    """All curves side by side."""
    figure = Figure(figsize=(15, 5.2), facecolor=LIGHT.paper, layout="constrained")
    for ax, measure in zip(figure.subplots(1, len(CURVES)), CURVES, strict=True):
        curve(ax, measure, curves, LIGHT)
    # Names are handed to the legend, not to the lines: Matplotlib hides lines whose name begins with an underscore.
    handles, labels = figure.axes[0].lines, list(curves)
    if not one_by_one(curves):
        handles, labels = handles[-2:], [f"each of {len(curves)} images", "median"]
    labels = [label if len(label) <= LABEL else f"...{label[3 - LABEL :]}" for label in labels]
    columns = max(1, min(len(handles), 130 // max(12, max(len(label) for label in labels))))
    legend = figure.legend(
        handles, labels, loc="outside lower center", ncols=columns, frameon=False, labelcolor=LIGHT.ink
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    return figure


def curve_svg(measure: str, curves: Curves, theme: Theme) -> bytes:
    """One panel of curves for the report, as SVG."""
    figure = Figure(figsize=(4.8, 3.7))
    figure.subplots_adjust(0.1, 0.14, 0.97, 0.92)
    curve(figure.subplots(), measure, curves, theme)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pyjpegdiff"}):  # otherwise the file would differ from run to run
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def frequency_maps(images: Sequence[tuple[int, list[Measurement]]], qualities: Sequence[int]) -> list[FrequencyMap]:
    """Means over images, each given as (pixels, measurements), at some of their qualities."""

    def mean(name: str, quality: int, per_pixel: bool) -> NDArray[Any]:
        tables = [
            getattr(measurement, name) / (pixels if per_pixel else 1)
            for pixels, measurements in images
            for measurement in measurements
            if measurement.quality == quality
        ]
        return np.asarray(np.mean(tables, axis=0))

    gradient = "gradient of the mean squared error with respect to each entry"
    unit = "in squared pixel values per unit of the entry"
    texts = {
        "error_energy": ("Error of luma", "squared pixel values per pixel at each frequency"),
        "sensitivity_y": ("Sensitivity to the luma table", f"{gradient}, {unit}"),
        "sensitivity_c": (
            "Sensitivity to the chroma table",
            f"{gradient} of the table that both chroma planes share, {unit}",
        ),
    }
    return [
        FrequencyMap(title, text, [mean(name, quality, name == "error_energy") for quality in qualities])
        for name, (title, text) in texts.items()
    ]


def heat_maps(maps: Sequence[FrequencyMap], qualities: Sequence[int]) -> Figure:
    """One row per map, one column per quality."""
    figure = Figure(figsize=(2.1 * len(qualities) + 1.8, 8.4), facecolor=LIGHT.paper, layout="constrained")
    parts: Any = figure.subfigures(len(maps), 1)
    for part, shown in zip(parts, maps, strict=True):
        axes: Any = part.subplots(1, len(qualities), squeeze=False)[0]
        scale = shown.scale()
        for ax, table, quality in zip(axes, shown.tables, qualities, strict=True):
            ax.imshow(np.maximum(table, 0), norm=scale.norm, cmap=scale.cmap)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_xlabel(f"quality {quality}", size=9, color="0.3")
        axes[0].set_ylabel("vertical frequency, down", size=8, color="0.3")
        part.suptitle(shown.title, x=0.01, ha="left", size=11, weight="bold", color=LIGHT.ink)
        bar = part.colorbar(scale, ax=axes.tolist(), extend="min", shrink=0.9, pad=0.01)
        bar.set_label(textwrap.fill(shown.text, 44), size=8, color="0.3")
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=7, colors="0.4")
    return figure


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG file; characters that the font does not have are drawn as boxes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(file, format="png", dpi=130)
    return file.getvalue()
