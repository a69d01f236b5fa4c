"""Figures in the page's own colors: pages import this in a hidden cell, and draw with plain matplotlib.

A figure becomes an SVG without background whose ink is the text color of the page, light or dark. Every figure has an
alternative text: what ``figure.set_label`` was given.
"""

import html
import io
import re
from typing import Any

from cycler import cycler
from IPython.core.getipython import get_ipython
from matplotlib import style
from matplotlib.figure import Figure

INK = "#1a2b3c"
"""Stands for the color of text; anything that no figure uses otherwise."""
COLORS = ["#3b8bc4", "#e07b39", "#4aa564", "#a373d1", "#e0457b", "#8a8a8a"]
"""Legible on white and on near black."""

STYLE: dict[str, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.facecolor": "none",
    "figure.figsize": (7.2, 3.2),
    "figure.constrained_layout.use": True,
    "font.size": 9.5,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "savefig.dpi": 160,
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def to_html(figure: Figure) -> str:
    """The figure as an inline SVG."""
    if not figure.get_label():
        raise ValueError("a figure of the manual needs figure.set_label(alternative text)")
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata={"Date": None})
    svg = file.getvalue()
    head, _, rest = svg[svg.index("<svg") :].replace(INK, "currentColor").partition(">")
    points = re.search(r' width="([\d.]+)pt"', head)
    width = float(points[1]) * 4 / 3 if points else 700
    # The viewBox keeps the proportions; the style sheet decides the width.
    head = re.sub(r' (width|height)="[\d.]+pt"', "", head)
    label = html.escape(str(figure.get_label()))
    return f'<div class="figure" style="--width: {width:.0f}px">{head} role="img" aria-label="{label}">{rest}</div>'


def install() -> None:
    """Set the style, and let IPython display figures by `to_html` alone."""
    shell: Any = get_ipython()
    shell.run_line_magic("matplotlib", "inline")
    style.use(STYLE)  # over what the inline backend set
    shell.run_line_magic("config", "InlineBackend.figure_formats = set()")
    shell.run_line_magic("config", "InlineBackend.print_figure_kwargs = {}")
    shell.display_formatter.formatters["text/html"].for_type(Figure, to_html)
    shell.display_formatter.formatters["text/plain"].for_type(Figure, lambda figure, *_: figure.get_label())


install()
