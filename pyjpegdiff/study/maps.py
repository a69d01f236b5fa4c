"""Maps of the 64 frequencies: means over the images of a study."""

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LogNorm, to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.plots import LIGHT
from pyjpegdiff.study.settings import Settings

MAP_COLORS = "magma"
SIDE, COLUMN, ROW, TOP, LEFT, RIGHT = 1.85, 2.1, 2.9, 0.55, 0.4, 1.5
"""Of a map, from map to map in both directions, and above and beside the maps; in inches."""


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

    def ends(self) -> tuple[float, float]:
        """Lowest and highest value of the color scale: four decades, for all qualities."""
        largest = max(float(table.max()) for table in self.tables)
        largest = largest if largest > 0 else 1.0
        return largest / 1e4, largest

    def scale(self) -> ScalarMappable:
        """The color scale, which is logarithmic."""
        return ScalarMappable(LogNorm(*self.ends(), clip=True), MAP_COLORS)

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


def labels(values: Sequence[float]) -> list[str]:
    """The values with two digits each, all with exponents or none."""
    if min(values) >= 1e-5 and max(values) < 1e6:
        return [np.format_float_positional(value, 2, fractional=False, trim="-") for value in values]
    return [f"{value:.1e}" for value in values]


def heat_maps(maps: Sequence[FrequencyMap], qualities: Sequence[int]) -> Figure:
    """One row per map, one column per quality."""
    width, height = LEFT + COLUMN * len(qualities) + RIGHT, ROW * len(maps)
    figure = Figure(figsize=(width, height), facecolor=LIGHT.paper)
    # One plane in inches: an axes for each map and scale would take five times as long.
    plane = figure.add_axes((0, 0, 1, 1))
    plane.set_axis_off()
    for number, shown in enumerate(maps):
        _row(plane, shown, qualities, number * ROW + TOP)
    plane.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _row(plane: Axes, shown: FrequencyMap, qualities: Sequence[int], top: float) -> None:
    """The maps of one kind, and their color scale."""

    def paint(values: NDArray[Any], x: float, wide: float) -> None:
        colors = rgb(scale, values)
        plane.imshow(colors, extent=(x, x + wide, top + SIDE, top), aspect="auto", interpolation="nearest")

    scale, middle = shown.scale(), top + SIDE / 2
    down: dict[str, Any] = {"rotation": 90, "va": "center", "color": LIGHT.soft}
    plane.text(0.1, top - 0.45, shown.title, va="top", size=11, weight="bold", color=LIGHT.ink)
    plane.text(LEFT - 0.06, middle, "\u2190 vertical frequency", ha="right", size=8, **down)
    for place, (table, quality) in enumerate(zip(shown.tables, qualities, strict=True)):
        start = LEFT + COLUMN * place
        paint(table, start, SIDE)
        center = start + SIDE / 2
        plane.text(center, top - 0.05, f"quality {quality}", ha="center", size=9, color=LIGHT.ink)
        below = "" if place else "horizontal frequency \u2192"
        below += f"\n{shown.note(place)}"
        plane.text(center, top + SIDE + 0.06, below, ha="center", va="top", size=8, color=LIGHT.soft)
    start = LEFT + COLUMN * len(qualities)
    low, high = shown.ends()
    paint(np.geomspace(high, low, 256)[:, np.newaxis], start, 0.1)
    *above, last = labels(np.geomspace(high, low, 5).tolist())
    for place, label in enumerate((*above, f"\u2264 {last}")):
        plane.text(start + 0.16, top + SIDE * place / 4, label, va="center", size=7, color=LIGHT.soft)
    plane.text(start + 0.8, middle, textwrap.fill(shown.text, 36), size=7, **down)
