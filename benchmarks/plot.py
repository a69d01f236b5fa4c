"""The report as a picture: time over Pillow's, one panel per size, one bar per contestant."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.calls import QUALITY, SUBSAMPLING
from benchmarks.contestants import CONTESTANTS, LARGE, MIDDLE, PILLOW
from benchmarks.report import Report, Row
from benchmarks.suite import OVER_PILLOW

OURS, PEER, INK, FAINT = "#2a6f97", "#c77b4a", "#333333", "#999999"
PREFERRED = (MIDDLE.label, LARGE.label)
"""More panels would be too narrow to be read where a page is one column wide."""


def draw(report: Report, path: Path) -> None:
    """Write a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    panels = _panels(report["rows"])
    measured = {name for panel in panels.values() for name in panel} - {PILLOW}
    rows = [name for name in CONTESTANTS if name in measured]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(8.4, 1.4 + 0.26 * len(rows)), sharex=True, sharey=True, squeeze=False
    )
    for axis, (label, panel) in zip(axes[0], panels.items(), strict=True):
        axis.set_title(f"{label}; Pillow: {panel[PILLOW].milliseconds:.3g} ms", fontsize=10, color=INK, loc="left")
        _bars(axis, panel, rows)
    ratios = [row.ratio for panel in panels.values() for row in panel.values()]
    axes[0][0].set_xlim(0.8 * min(ratios), 4 * max(ratios))  # room for the numbers beside the bars
    axes[0][0].set_yticks(range(len(rows)), rows)
    axes[0][0].set_ylim(len(rows) - 0.4, -0.6)
    figure.suptitle(
        f"JPEG at quality {QUALITY}, {SUBSAMPLING}: time over Pillow's encode + decode",
        x=0.012, ha="left", fontsize=12, color=INK,
    )  # fmt: skip
    handles = [
        Patch(color=OURS, label="pyjpegdiff"),
        Patch(color=PEER, label="others"),
        Line2D([], [], color=INK, marker="|", linestyle="", markersize=10, label="target"),
    ]
    figure.legend(handles=handles, loc="lower right", ncols=3, frameon=False, labelcolor=INK, fontsize=9)
    figure.text(0.012, 0.015, report["environment"]["processor"], fontsize=8, color=FAINT)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=200)
    plt.close(figure)


def _panels(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    panels: dict[str, dict[str, Row]] = {}
    for row in rows:
        if row.section.startswith(OVER_PILLOW):
            panels.setdefault(row.section.removeprefix(OVER_PILLOW), {})[row.name] = row
    return {label: panel for label, panel in panels.items() if label in PREFERRED} or panels


def _bars(axis: Any, panel: Mapping[str, Row], rows: list[str]) -> None:
    for place, name in enumerate(rows):
        if name not in panel:
            continue
        ratio, target = panel[name].ratio, panel[name].target
        # The bar starts at Pillow's time, so that bars of faster contestants go to the left.
        color = OURS if name.startswith(("NumPy", "torch", "JAX")) else PEER
        axis.barh(place, ratio - 1, left=1, height=0.72, color=color)
        if target is not None:
            axis.plot([target], [place], color=INK, marker="|", markersize=11, markeredgewidth=1.5)
        axis.annotate(
            f"{ratio:.{2 if ratio < 1 else 1 if ratio < 10 else 0}f}", (max(ratio, 1, target or 0), place), (5, 0),
            textcoords="offset points", va="center", fontsize=9, color=INK,
        )  # fmt: skip
    axis.axvline(1, color=INK, linewidth=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.grid(axis="x", which="major", color="#e5e5e5")
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, which="both", length=0, labelsize=9)
    axis.spines[:].set_visible(False)
