"""Figures of few images, of many, and of images without error: drawn without a warning, from the right data."""

import dataclasses
import io
import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pyjpegdiff.study import plots, study
from pyjpegdiff.study.summary import CURVES, tiny

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
    for content in plots.themed_pngs(plots.rate_distortion(curves)):
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert picture.info["dpi"] == pytest.approx((plots.DPI, plots.DPI), rel=1e-3)
    for measure in CURVES:
        svg = plots.curve_svg(measure, curves)
        assert ET.fromstring(svg).tag.endswith("svg")
        assert svg == plots.curve_svg(measure, curves)


@pytest.mark.parametrize("count", [1, 3, 15])
def test_dark_figures_are_as_if_drawn_in_dark_colors(count, monkeypatch):
    curves = {f"image {number}": NOISE for number in range(count)}

    def drawn():
        return *plots.themed_pngs(plots.rate_distortion(curves)), plots.curve_svg("psnr", curves)

    def without_names(svg):
        """Names are made from all attributes of what they stand for."""
        return re.sub(rb"\b[mp][0-9a-f]{10}\b", b"", svg)

    light, dark, svg = drawn()
    recolored = plots.in_dark(svg)
    assert (light, svg) != (dark, recolored)
    monkeypatch.setattr(plots, "LIGHT", plots.DARK)
    first, second, svg = drawn()
    assert first == second == dark
    assert without_names(svg) == without_names(recolored)


def test_a_legend_names_every_image_as_it_is():
    names = ["_DSC0001.JPG", "_MG_2.jpg", "$x_1$", "$", r"a\$b", "^_{", "日本"]
    (legend,) = plots.rate_distortion(dict.fromkeys(names, NOISE)).legends
    assert [text.get_text() for text in legend.get_texts()] == names
    plots.themed_pngs(plots.rate_distortion({"_": NOISE}))


def test_lines_are_the_measurements_and_their_median():
    figure = plots.rate_distortion({str(number): NOISE if number % 3 else TINY for number in range(15)})
    *_, median = figure.axes[0].lines
    np.testing.assert_array_equal(median.get_ydata(), [m.psnr for m in NOISE])
    (line,) = plots.rate_distortion({"a": NOISE}).axes[2].lines
    np.testing.assert_array_equal(line.get_xdata(), [m.bits_per_pixel for m in NOISE])
    np.testing.assert_array_equal(line.get_ydata(), [m.psnr_b for m in NOISE])


def drawn(curves, measure="psnr"):
    ax = Figure(figsize=(4.8, 3.7)).subplots()
    plots.curve(ax, measure, curves)
    return ax


def test_tiny_images_do_not_stretch_the_axes():
    large = study(np.tile(IMAGE, (4, 4, 1)), (10, 50, 90))
    assert (tiny(TINY), tiny(NOISE), tiny(large)) == (True, True, False)
    alone, together = drawn({"large": large}), drawn({"tiny": TINY, "large": large})
    assert together.get_xlim() == alone.get_xlim()
    assert together.get_ylim() == alone.get_ylim()
    assert all(line.get_visible() for line in together.lines)
    low, high = drawn({"tiny": TINY, "noise": NOISE}).get_xlim()
    assert low < NOISE[0].bits_per_pixel < TINY[0].bits_per_pixel < high  # there are no others


@pytest.mark.parametrize("count", [1, 5, 15])
def test_points_of_the_median_and_of_a_single_image_are_labeled(count):
    ax = drawn({str(number): NOISE for number in range(count)})
    labels = {text.get_text(): text.xy for text in ax.texts}
    points = {str(m.quality): (m.bits_per_pixel, m.psnr) for m in NOISE}
    assert labels == ({} if count == 5 else points)


def test_legends_are_complete():
    for count in (1, 10, 11, 500):
        names = [name for name, _ in plots.legend(dict.fromkeys(map(str, range(count)), NOISE))]
        both = [f"each of {count} images", "median, its points labeled with the quality"]
        assert names == (both if count > 10 else list(map(str, range(count))))


@pytest.mark.parametrize(("low", "high"), [(5048, 5048), (5040, 5056), (2, 5), (0.11, 0.5), (1.7, 11), (0.05, 5056)])
def test_labels_of_bits_do_not_overlap(low, high):
    """There are at least two."""
    ends = [dataclasses.replace(NOISE[0], bits_per_pixel=bits) for bits in (low, high)]
    figure = Figure(figsize=(4.8, 3.7))
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    plots.curve(ax, "psnr", {"image": ends})
    figure.draw_without_rendering()
    left, right = (ax.transData.transform((bits, 0))[0] for bits in ax.get_xlim())
    labels = [label.get_window_extent() for label in ax.get_xticklabels(which="both") if label.get_text()]
    shown = sorted((box.x0, box.x1) for box in labels if left - 1 <= (box.x0 + box.x1) / 2 <= right + 1)
    assert len(shown) >= 2
    assert all(end + 3 < begin for (_, end), (begin, _) in itertools.pairwise(shown))
