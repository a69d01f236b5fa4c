"""Figures of few images, of many, and of images without error: drawn without a warning, from the right data."""

import dataclasses
import io
import itertools
import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from PIL import Image

from pyjpegdiff.study import plots, study

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
NOISE = study(IMAGE, (10, 50, 90))
FLAT = study(np.full((24, 32), 128, np.uint8), (10, 50, 90))
TINY = study(IMAGE[:3, :3], (10, 50, 90))


@pytest.mark.parametrize(
    "curves",
    [
        {"one": NOISE},
        {"a $b_{2}$ <&>": NOISE, "flat": FLAT, "tiny": TINY, "日本.png": NOISE},
        {"flat": FLAT},
        {f"image {number}": NOISE for number in range(15)},
        {f"image {number}": FLAT for number in range(15)},
    ],
)
def test_rate_and_distortion(curves):
    with Image.open(io.BytesIO(plots.figure_png(plots.rate_distortion(curves)))) as picture:
        picture.load()
        assert picture.format == "PNG"
    for measure in plots.CURVES:
        for theme in (plots.LIGHT, plots.DARK):
            svg = plots.curve_svg(measure, curves, theme)
            assert ET.fromstring(svg).tag.endswith("svg")
            assert theme.ink in svg.decode()
            assert svg == plots.curve_svg(measure, curves, theme)


def test_a_legend_names_every_image_as_it_is():
    names = ["_DSC0001.JPG", "_MG_2.jpg", "$x_1$", "$", r"a\$b", "^_{", "日本"]
    (legend,) = plots.rate_distortion(dict.fromkeys(names, NOISE)).legends
    assert [text.get_text() for text in legend.get_texts()] == names
    plots.figure_png(plots.rate_distortion({"_": NOISE}))


def test_lines_are_the_measurements_and_their_median():
    figure = plots.rate_distortion({str(number): NOISE if number % 3 else TINY for number in range(15)})
    *_, median = figure.axes[0].lines
    np.testing.assert_array_equal(median.get_ydata(), [m.psnr for m in NOISE])
    (line,) = plots.rate_distortion({"a": NOISE}).axes[2].lines
    np.testing.assert_array_equal(line.get_xdata(), [m.bits_per_pixel for m in NOISE])
    np.testing.assert_array_equal(line.get_ydata(), [m.psnr_b for m in NOISE])


@pytest.mark.parametrize(("low", "high"), [(5048, 5048), (5040, 5056), (2, 5), (0.11, 0.5), (1.7, 11), (0.05, 5056)])
def test_labels_of_bits_do_not_overlap(low, high):
    """There are at least two."""
    ends = [dataclasses.replace(NOISE[0], bits_per_pixel=bits) for bits in (low, high)]
    figure = Figure(figsize=(4.8, 3.7))
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    plots.curve(ax, "psnr", {"image": ends}, plots.LIGHT)
    figure.draw_without_rendering()
    left, right = (ax.transData.transform((bits, 0))[0] for bits in ax.get_xlim())
    labels = [label.get_window_extent() for label in ax.get_xticklabels(which="both") if label.get_text()]
    shown = sorted((box.x0, box.x1) for box in labels if left - 1 <= (box.x0 + box.x1) / 2 <= right + 1)
    assert len(shown) >= 2
    assert all(end + 3 < begin for (_, end), (begin, _) in itertools.pairwise(shown))


def test_maps_are_means_over_images():
    maps = plots.frequency_maps([(24 * 32, NOISE), (9, TINY)], [10, 90])
    energy, luma, chroma = maps
    want = (NOISE[2].error_energy / (24 * 32) + TINY[2].error_energy / 9) / 2
    np.testing.assert_allclose(energy.tables[1], want, rtol=1e-12)
    np.testing.assert_allclose(luma.tables[0], (NOISE[0].sensitivity_y + TINY[0].sensitivity_y) / 2, rtol=1e-12)
    np.testing.assert_allclose(chroma.tables[0], (NOISE[0].sensitivity_c + TINY[0].sensitivity_c) / 2, rtol=1e-12)
    largest = max(table.max() for table in luma.tables)
    place = next((i, j, k) for i, table in enumerate(luma.tables) for j, k in np.argwhere(table == largest))
    assert luma.colors()[place[0]][place[1:]] == to_hex((0.987053, 0.991438, 0.749504))  # where magma ends
    plots.figure_png(plots.heat_maps(maps, [10, 90]))


def test_maps_without_error():
    maps = plots.frequency_maps([(24 * 32, FLAT)], [50])
    assert not any(table.any() for shown in maps for table in shown.tables)
    plots.figure_png(plots.heat_maps(maps, [50]))
    assert {color for shown in maps for table in shown.colors() for color in table.ravel()} == {"#000004"}
    assert math.isinf(FLAT[0].psnr)
