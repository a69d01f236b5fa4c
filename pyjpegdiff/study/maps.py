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
from pyjpegdiff.study.plots import Theme
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
        return [np.array([[hexadecimal(scale, x) for x in row] for row in table]) for table in self.tables]


def hexadecimal(scale: ScalarMappable, value: float) -> str:
    """The color of a value."""
    red, green, blue, _ = scale.to_rgba(np.array([max(value, 0.0)]))[0]
    return to_hex((red, green, blue))


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
