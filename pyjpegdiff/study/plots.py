"""Curves of rate and distortion, and the colors of all figures of a study.

Figures are drawn in light colors, and then recolored for dark pages.
"""

import io
import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from PIL import Image

from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.summary import CURVES, Curves, medians, spread, tiny

COLORS = ("#4e79a7", "#f28e2b", "#e15759", "#4aa7a2", "#59a14f", "#c9a227", "#b07aa1", "#e77f9c", "#9c755f", "#8c8c8c")
LABEL = 40
"""The most characters of a name in a legend."""
OTHERS = "#8c8c8c"
"""The color of single images where there are too many for a color each."""


class Theme(NamedTuple):
    """Colors of text, of what is less important, of grid lines and background."""

    ink: str
    soft: str
    faint: str
    paper: str


LIGHT = Theme("#1c1e21", "#5c636c", "#d9dce1", "#ffffff")
DARK = Theme("#e8eaed", "#a2a9b3", "#3a3f46", "#181a1d")
DARK_FOR = dict(zip(LIGHT, DARK, strict=True))
DPI = 130


def one_by_one(curves: Curves) -> bool:
    """Whether there are enough colors to give each curve its own."""
    return len(curves) <= len(COLORS)


def curve(ax: Axes, measure: str, curves: Curves) -> None:
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
        _label_points(ax, x, y, next(iter(curves.values())))
    finite = [line for line in ax.lines if np.isfinite(line.get_ydata()).any()]
    if any(line.get_visible() for line in finite):
        ax.relim(visible_only=True)
        ax.autoscale_view()
    for line in ax.lines:
        line.set_visible(True)
    if not finite:
        ax.annotate("no finite value", (0.5, 0.5), xycoords="axes fraction", ha="center", color=LIGHT.ink)
    _scale_bits(ax)
    ax.set_xlabel("bits per pixel", color=LIGHT.ink)
    # With a y of its own, Matplotlib does not look for what the title could cover, which takes long.
    ax.set_title(CURVES[measure], color=LIGHT.ink, loc="left", weight="bold", y=1)
    ax.set_facecolor("none")
    ax.grid(color=LIGHT.faint, which="major")
    ax.tick_params(colors=LIGHT.ink, which="both", length=0)
    ax.spines[:].set_visible(False)


def _label_points(ax: Axes, x: Sequence[float], y: Sequence[float], measurements: Sequence[Measurement]) -> None:
    """Name the quality of some points."""
    for place in spread(range(len(x)), 6):
        if math.isfinite(x[place]) and math.isfinite(y[place]):
            ax.annotate(
                f"{measurements[place].quality}", (x[place], y[place]), (4, -4), textcoords="offset points",
                va="top", size=8, color=LIGHT.ink, annotation_clip=True,
            )  # fmt: skip


def _scale_bits(ax: Axes) -> None:
    """Logarithmic, with as many labels as fit; linear where the range is too small for two logarithmic labels."""
    ax.set_xscale("log")
    low, high = ax.get_xlim()
    if high < 3 * low:
        ax.set_xscale("linear")
        ax.xaxis.set_major_locator(MaxNLocator(5))
    elif high < 200 * low:
        ax.xaxis.set_minor_locator(LogLocator(subs=(2, 5)))
        ax.xaxis.set_minor_formatter("{x:g}")
    else:
        ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")


def _finite(values: Sequence[float]) -> list[float]:
    return [value if math.isfinite(value) else math.nan for value in values]


def legend(curves: Curves) -> list[tuple[str, str]]:
    """The lines of a figure of curves: names and colors."""
    if one_by_one(curves):
        return list(zip(curves, COLORS, strict=False))
    return [(f"each of {len(curves)} images", OTHERS), ("median, its points labeled with the quality", COLORS[2])]


def rate_distortion(curves: Curves) -> Figure:
    """All curves side by side."""
    # The names are not those of the lines: Matplotlib hides a line whose name begins with an underscore.
    names, colors = zip(*legend(curves), strict=True)
    labels = [name if len(name) <= LABEL + 10 else f"...{name[3 - LABEL :]}" for name in names]
    columns = max(1, min(len(labels), 130 // max(12, max(len(label) for label in labels))))
    foot = 0.65 + 0.24 * math.ceil(len(labels) / columns)  # inches
    figure = Figure(figsize=(15, 4.5 + foot), facecolor=LIGHT.paper)
    axes = figure.subplots(1, len(CURVES))
    figure.subplots_adjust(0.04, foot / (4.5 + foot), 0.99, 0.94, wspace=0.14)
    for ax, measure in zip(axes, CURVES, strict=True):
        curve(ax, measure, curves)
    handles = [Line2D([], [], color=color, lw=2) for color in colors]
    found = figure.legend(handles, labels, loc="lower center", ncols=columns, frameon=False, labelcolor=LIGHT.ink)
    for text in found.get_texts():
        text.set_parse_math(False)
    return figure


def curve_svg(measure: str, curves: Curves) -> bytes:
    """One panel of curves for the report, as SVG in light colors."""
    figure = Figure(figsize=(4.8, 3.7))
    figure.subplots_adjust(0.1, 0.14, 0.97, 0.92)
    curve(figure.subplots(), measure, curves)
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "pyjpegdiff"}):  # otherwise the file would differ from run to run
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    return file.getvalue()


def in_dark(svg: bytes) -> bytes:
    """An SVG that was drawn in light colors, in dark ones."""
    for light, dark in DARK_FOR.items():
        svg = svg.replace(light.encode(), dark.encode())
    return svg


def themed_pngs(figure: Figure) -> tuple[bytes, bytes]:
    """A figure that was drawn in light colors as PNG files, in these and in dark ones, which it has afterwards."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)  # one for both, since it keeps the sizes of texts
    light = _png(canvas)
    artists: list[Any] = [*figure.findobj(Line2D), *figure.findobj(Text)]
    for artist in artists:
        color = to_hex(artist.get_color())
        if color in DARK_FOR:
            artist.set_color(DARK_FOR[color])
    figure.set_facecolor(DARK.paper)
    return light, _png(canvas)


def _png(canvas: Any) -> bytes:
    """What a canvas shows; characters that the font does not have are boxes."""
    file = io.BytesIO()
    # Without hinting, which bends letters to whole pixels, texts are as sharp at this resolution, and drawn faster.
    with warnings.catch_warnings(), mpl.rc_context({"text.hinting": "none"}):
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        canvas.draw()
    picture = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # A higher level takes twice as long, for files that are a fifth smaller.
    picture.save(file, "PNG", compress_level=1, dpi=(DPI, DPI))
    return file.getvalue()
