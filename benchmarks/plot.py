"""The report as a picture: time over Pillow's, one panel per size, one bar per contestant."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contestants import CONTESTANTS, GROUPS, PILLOW
from benchmarks.results import Report, SizeReport

OURS = "#2a6f97"
PEER = "#c77b4a"
INK = "#333333"
FAINT = "#999999"


def draw(report: Report, path: Path) -> None:
    """Write a PNG file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    sizes = list(report["sizes"].values())
    rows = _rows(report)
    height = 1.5 + 0.3 * len(rows)
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(max(8.4, 3.2 + 2.6 * len(sizes)), height), sharex=True, sharey=True, squeeze=False
    )
    for axis, size in zip(axes[0], sizes, strict=True):
        _panel(axis, size, rows)
    _name(axes[0][0], rows)
    slowest = max(measured["ratio"] for size in sizes for measured in size["measured"].values())
    fastest = min(measured["ratio"] for size in sizes for measured in size["measured"].values())
    axes[0][0].set_xlim(0.8 * fastest, 3 * slowest)  # room for the numbers beside the bars
    figure.suptitle(
        f"JPEG at quality {report['quality']}, {report['subsampling']}: time over Pillow's encode + decode",
        x=0.012, ha="left", fontsize=13, color=INK,
    )  # fmt: skip
    handles = [Patch(color=OURS, label="pyjpegdiff"), Patch(color=PEER, label="others")]
    figure.legend(handles=handles, loc="upper right", ncols=2, frameon=False, labelcolor=INK)
    figure.text(0.012, 0.012, _caption(report), fontsize=7.5, color=FAINT)
    figure.tight_layout(rect=(0, 0.03, 1, 0.99))
    figure.savefig(path, dpi=150)
    plt.close(figure)


def _rows(report: Report) -> list[str]:
    """The names from top to bottom, each group after its title."""
    measured = {name for size in report["sizes"].values() for name in size["measured"]} - {PILLOW.name}
    rows: list[str] = []
    for group in GROUPS:
        names = [name for name, its_group in report["groups"].items() if its_group == group and name in measured]
        rows += [group, *names] if names else []
    return rows


def _panel(axis: Any, size: SizeReport, rows: Sequence[str]) -> None:
    for place, name in enumerate(rows):
        if name not in size["measured"]:
            continue
        ratio = size["measured"][name]["ratio"]
        color = PEER if name in CONTESTANTS and CONTESTANTS[name].is_peer else OURS
        # The bar starts at Pillow's time, so that bars of faster contestants go to the left.
        axis.barh(place, ratio - 1, left=1, height=0.72, color=color)
        axis.annotate(
            f"{ratio:.{2 if ratio < 1 else 1 if ratio < 10 else 0}f}", (max(ratio, 1), place), (4, 0),
            textcoords="offset points", va="center", fontsize=9, color=INK,
        )  # fmt: skip
    pillow = size["measured"][PILLOW.name]
    axis.set_title(size["label"], fontsize=11, color=INK, loc="left", pad=20)
    axis.text(
        0, 1.015, f"Pillow: {pillow['milliseconds']:.3g} ms, {pillow['megapixels_per_second']:.0f} MP/s",
        transform=axis.transAxes, fontsize=8.5, color=FAINT,
    )  # fmt: skip
    axis.axvline(1, color=INK, linewidth=1)
    axis.set_xscale("log")
    axis.xaxis.set_major_formatter("{x:g}")
    axis.grid(axis="x", which="major", color="#e5e5e5")
    axis.set_axisbelow(True)
    axis.tick_params(colors=INK, which="both", length=0, labelsize=9)
    axis.spines[:].set_visible(False)


def _name(axis: Any, rows: Sequence[str]) -> None:
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.4, -0.6)
    for label in axis.get_yticklabels():
        if label.get_text() in GROUPS:
            label.set_fontweight("bold")


def _caption(report: Report) -> str:
    described = report["environment"]
    packages = ", ".join(f"{name} {version}" for name, version in described["packages"].items() if version)
    return f"{described['processor']}, {described['cpus_allowed']} CPUs; Python {described['python']}, {packages}"
