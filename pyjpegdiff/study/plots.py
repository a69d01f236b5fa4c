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
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from pyjpegdiff.study.measurement import Measurement, spread
from pyjpegdiff.study.settings import Settings

COLORS = ("#4e79a7", "#f28e2b", "#e15759", "#4aa7a2", "#59a14f", "#c9a227", "#b07aa1", "#e77f9c", "#9c755f", "#8c8c8c")
CURVES = {"psnr": "PSNR in dB", "ssim": "SSIM", "psnr_b": "PSNR-B in dB"}
MAP_COLORS = "magma"
LABEL = 40
"""The most characters of a name in a legend."""
TINY = 64 * 64
"""Images of fewer pixels, whose bits are mostly those of headers, do not stretch the axes if there are others."""
OTHERS = "#8c8c8c"
"""The color of single images where there are too many for a color each."""

Curves = dict[str, list[Measurement]]
"""Measurements of each image; the keys are the image names to show."""


class Theme(NamedTuple):
    """Colors of text, of what is less important, of grid lines and background."""

    ink: str
    soft: str
    faint: str
    paper: str


LIGHT = Theme("#1c1e21", "#5c636c", "#d9dce1", "#ffffff")
DARK = Theme("#e8eaed", "#a2a9b3", "#3a3f46", "#181a1d")


class FrequencyMap(NamedTuple):
    """One row of maps."""

    title: str
    text: str
    tables: list[NDArray[Any]]
    """The mean over images, (8, 8), for each quality."""
    clamped: list[int]
    """How many steps the quality would have above 255; empty for a map that is not of steps."""

    def note(self, place: int) -> str:
        """What to know of the map at one quality; empty if nothing."""
        count = self.clamped[place] if self.clamped else 0
        return f"{count} {'step' if count == 1 else 'steps'} clamped to 255" if count else ""

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


def tiny(measurements: Sequence[Measurement]) -> bool:
    """Whether an image has so few pixels that its file is mostly headers."""
    return 8 * measurements[0].file_bytes < TINY * measurements[0].bits_per_pixel


def curve(ax: Axes, measure: str, curves: Curves, theme: Theme) -> None:
    """A measure over bits per pixel, one line per image; for many images the median is emphasized."""
    few = one_by_one(curves)
    for place, measurements in enumerate(curves.values()):
        x, y = (_finite([getattr(m, key) for m in measurements]) for key in ("bits_per_pixel", measure))
        style: dict[str, Any] = {"color": OTHERS, "alpha": min(0.6, max(0.12, 20 / len(curves))), "lw": 1}
        if few:
            style = {"color": COLORS[place], "marker": "o", "ms": 3}
        ax.plot(x, y, visible=not tiny(measurements), **style)
    if not few:
        x, y = (_finite(medians(curves, key)) for key in ("bits_per_pixel", measure))
        ax.plot(x, y, color=COLORS[2], marker="o", ms=4, lw=2)
    if not few or len(curves) == 1:
        _label_points(ax, x, y, next(iter(curves.values())), theme)
    finite = [line for line in ax.lines if np.isfinite(line.get_ydata()).any()]
    if any(line.get_visible() for line in finite):
        ax.relim(visible_only=True)
        ax.autoscale_view()
    for line in ax.lines:
        line.set_visible(True)
    if not finite:
        ax.annotate("no finite value", (0.5, 0.5), xycoords="axes fraction", ha="center", color=theme.ink)
    _scale_bits(ax)
    ax.set_xlabel("bits per pixel", color=theme.ink)
    ax.set_title(CURVES[measure], color=theme.ink, loc="left", weight="bold")
    ax.set_facecolor("none")
    ax.grid(color=theme.faint, which="major")
    ax.tick_params(colors=theme.ink, which="both", length=0)
    ax.spines[:].set_visible(False)


def _label_points(
    ax: Axes, x: Sequence[float], y: Sequence[float], measurements: Sequence[Measurement], theme: Theme
) -> None:
    """Name the quality of some points."""
    for place in spread(range(len(x)), 6):
        if math.isfinite(x[place]) and math.isfinite(y[place]):
            ax.annotate(
                f"{measurements[place].quality}", (x[place], y[place]), (4, -4), textcoords="offset points",
                va="top", size=8, color=theme.ink, annotation_clip=True,
            )  # fmt: skip


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


def medians(curves: Curves, key: str) -> list[float]:
    """The median over all images at each quality; NaN where no image has a value."""
    with warnings.catch_warnings():
        # Where no value is there, NaN is the right median; the mean of two infinite ones is right, too.
        warnings.simplefilter("ignore", RuntimeWarning)
        table = np.array([[getattr(m, key) for m in measurements] for measurements in curves.values()])
        return [float(value) for value in np.nanmedian(table, axis=0)]


def summary(curves: Curves) -> list[dict[str, float]]:
    """The medians of all measures, one dict per quality."""
    found = {key: medians(curves, key) for key in ("quality", "bits_per_pixel", *CURVES)}
    return [dict(zip(found, row, strict=True)) for row in zip(*found.values(), strict=True)]


def legend(curves: Curves) -> list[tuple[str, str]]:
    """The lines of a figure of curves: names and colors."""
    if one_by_one(curves):
        return list(zip(curves, COLORS, strict=False))
    return [(f"each of {len(curves)} images", OTHERS), ("median, its points labeled with the quality", COLORS[2])]


def rate_distortion(curves: Curves, theme: Theme) -> Figure:
    """All curves side by side."""
    # The names are not those of the lines: Matplotlib hides a line whose name begins with an underscore.
    names, colors = zip(*legend(curves), strict=True)
    labels = [name if len(name) <= LABEL + 10 else f"...{name[3 - LABEL :]}" for name in names]
    columns = max(1, min(len(labels), 130 // max(12, max(len(label) for label in labels))))
    foot = 0.65 + 0.24 * math.ceil(len(labels) / columns)  # inches
    figure = Figure(figsize=(15, 4.5 + foot), facecolor=theme.paper)
    axes = figure.subplots(1, len(CURVES))
    figure.subplots_adjust(0.04, foot / (4.5 + foot), 0.99, 0.94, wspace=0.14)
    for ax, measure in zip(axes, CURVES, strict=True):
        curve(ax, measure, curves, theme)
    handles = [Line2D([], [], color=color, lw=2) for color in colors]
    found = figure.legend(handles, labels, loc="lower center", ncols=columns, frameon=False, labelcolor=theme.ink)
    for text in found.get_texts():
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


def frequency_maps(
    images: Sequence[tuple[int, list[Measurement]]], qualities: Sequence[int], settings: Settings
) -> list[FrequencyMap]:
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
    luma, chroma = (list(counts) for counts in zip(*map(settings.clamped, qualities), strict=True))
    clamped = {"error_energy": [], "sensitivity_y": luma, "sensitivity_c": chroma}
    return [
        FrequencyMap(title, text, [mean(name, quality, name == "error_energy") for quality in qualities], clamped[name])
        for name, (title, text) in texts.items()
    ]


def heat_maps(maps: Sequence[FrequencyMap], qualities: Sequence[int], theme: Theme) -> Figure:
    """One row per map, one column per quality."""
    width, row, bar = 2.1 * len(qualities) + 2, 2.9, 1.4  # inches
    height = row * len(maps)
    figure = Figure(figsize=(width, height), facecolor=theme.paper)
    for number, shown in enumerate(maps):
        top = 1 - number * row / height
        bottom = top - row / height
        figure.text(0.1 / width, top - 0.1 / height, shown.title, va="top", size=11, weight="bold", color=theme.ink)
        grid = figure.add_gridspec(
            1, len(qualities), left=0.4 / width, right=1 - bar / width, wspace=0.08,
            bottom=bottom + 0.55 / height, top=top - 0.5 / height,
        )  # fmt: skip
        scale = shown.scale()
        for place, (table, quality) in enumerate(zip(shown.tables, qualities, strict=True)):
            ax = figure.add_subplot(grid[place])
            ax.imshow(scale.to_rgba(np.maximum(table, 0)))
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            ax.set_title(f"quality {quality}", size=9, color=theme.ink, pad=3)
            ax.set_xlabel(f"horizontal frequency \u2192\n{shown.note(place)}", size=8, color=theme.soft)
            if place == 0:
                ax.set_ylabel("\u2190 vertical frequency", size=8, color=theme.soft)
        colors = figure.add_axes((1 - 0.95 * bar / width, bottom + 0.6 / height, 0.1 / width, (row - 1.15) / height))
        found = figure.colorbar(scale, cax=colors, extend="min")
        found.set_label(textwrap.fill(shown.text, 36), size=7, color=theme.soft)
        found.outline.set_visible(False)
        colors.tick_params(labelsize=7, colors=theme.soft)
    return figure


def figure_png(figure: Figure) -> bytes:
    """The figure as a PNG file; characters that the font does not have are drawn as boxes."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(file, format="png", dpi=130)
    return file.getvalue()
