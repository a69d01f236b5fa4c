"""Maps of the 64 frequencies: means over the images of a study."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.plots import LIGHT
from pyjpegdiff.study.settings import Settings

MAP_COLORS = "magma"


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
        return [hexadecimal(scale, table) for table in self.tables]


def hexadecimal(scale: ScalarMappable, values: NDArray[Any]) -> NDArray[Any]:
    """The color of each value."""
    return np.array([to_hex(tuple(color)) for color in rgb(scale, values).reshape(-1, 3)]).reshape(values.shape)


def rgb(scale: ScalarMappable, values: NDArray[Any]) -> NDArray[Any]:
    """Red, green and blue of each value, in 0..1, on a last axis; negative values have the color of zero."""
    return np.asarray(scale.to_rgba(np.maximum(values, 0)))[..., :3]


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


def heat_maps(maps: Sequence[FrequencyMap], qualities: Sequence[int]) -> Figure:
    """One row per map, one column per quality."""
    side, column, row, left, right = 1.85, 2.1, 2.9, 0.4, 1.5  # inches
    width, height = left + column * len(qualities) + right, row * len(maps)
    figure = Figure(figsize=(width, height), facecolor=LIGHT.paper)
    # One plane in inches: an axes for each map and scale would take five times as long.
    plane = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
    plane.set_axis_off()

    def paint(colors: NDArray[Any], x: float, y: float, wide: float) -> None:
        plane.imshow(colors, extent=(x, x + wide, y + side, y), aspect="auto", interpolation="nearest")

    for number, shown in enumerate(maps):
        scale, top = shown.scale(), number * row + 0.55
        middle = top + side / 2
        plane.text(0.1, top - 0.45, shown.title, va="top", size=11, weight="bold", color=LIGHT.ink)
        down: dict[str, Any] = {"rotation": 90, "va": "center", "color": LIGHT.soft}
        plane.text(left - 0.06, middle, "\u2190 vertical frequency", ha="right", size=8, **down)
        below: dict[str, Any] = {"y": top + side + 0.06, "ha": "center", "va": "top", "size": 8, "color": LIGHT.soft}
        for place, (table, quality) in enumerate(zip(shown.tables, qualities, strict=True)):
            start = left + column * place
            paint(rgb(scale, table), start, top, side)
            center = start + side / 2
            plane.text(center, top - 0.05, f"quality {quality}", ha="center", size=9, color=LIGHT.ink)
            plane.text(
                center, s="\n".join(("" if place else "horizontal frequency \u2192", shown.note(place))), **below
            )
        start = width - right
        low, high = scale.get_clim()
        paint(rgb(scale, np.geomspace(high, low, 256)[:, np.newaxis]), start, top, 0.1)
        for place, value in enumerate(np.geomspace(high, low, 5)):
            label = f"\u2264 {value:.2g}" if place == 4 else f"{value:.2g}"
            plane.text(start + 0.16, top + side * place / 4, label, va="center", size=7, color=LIGHT.soft)
        plane.text(start + 0.75, middle, textwrap.fill(shown.text, 36), size=7, **down)
    plane.set(xlim=(0, width), ylim=(height, 0))
    return figure
