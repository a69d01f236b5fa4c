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
from pyjpegdiff.study.settings import Settings

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
    with Image.open(io.BytesIO(plots.figure_png(plots.rate_distortion(curves, plots.LIGHT)))) as picture:
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
    (legend,) = plots.rate_distortion(dict.fromkeys(names, NOISE), plots.LIGHT).legends
    assert [text.get_text() for text in legend.get_texts()] == names
    plots.figure_png(plots.rate_distortion({"_": NOISE}, plots.DARK))


def test_lines_are_the_measurements_and_their_median():
    figure = plots.rate_distortion({str(number): NOISE if number % 3 else TINY for number in range(15)}, plots.LIGHT)
    *_, median = figure.axes[0].lines
    np.testing.assert_array_equal(median.get_ydata(), [m.psnr for m in NOISE])
    (line,) = plots.rate_distortion({"a": NOISE}, plots.LIGHT).axes[2].lines
    np.testing.assert_array_equal(line.get_xdata(), [m.bits_per_pixel for m in NOISE])
    np.testing.assert_array_equal(line.get_ydata(), [m.psnr_b for m in NOISE])


def drawn(curves, measure="psnr"):
    ax = Figure(figsize=(4.8, 3.7)).subplots()
    plots.curve(ax, measure, curves, plots.LIGHT)
    return ax


def test_tiny_images_do_not_stretch_the_axes():
    large = study(np.tile(IMAGE, (4, 4, 1)), (10, 50, 90))
    assert (plots.tiny(TINY), plots.tiny(NOISE), plots.tiny(large)) == (True, True, False)
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


def test_summary_is_of_medians():
    flat_tiny = study(np.full((3, 3), 128, np.uint8), (10, 50, 90))
    found = plots.summary({"a": NOISE, "b": NOISE, "c": flat_tiny})
    assert [row["quality"] for row in found] == [10, 50, 90]
    for row, want in zip(found, NOISE, strict=True):
        assert (row["psnr"], row["ssim"], row["psnr_b"]) == (want.psnr, want.ssim, want.psnr_b)
        assert row["bits_per_pixel"] == want.bits_per_pixel
    (row, *_) = plots.summary({"c": flat_tiny})
    assert (row["psnr"], math.isnan(row["ssim"])) == (math.inf, True)


def test_maps_say_how_many_steps_are_clamped():
    settings = Settings()
    for quality in (1, 5, 10, 13, 50, 100):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        want = [sum((entry * scale + 50) // 100 > 255 for row in table for entry in row)
                for table in (settings.luma, settings.chroma)]  # fmt: skip
        assert settings.clamped(quality) == tuple(want)
    error, luma, chroma = plots.frequency_maps([(24 * 32, NOISE)], [10, 90], settings)
    assert [shown.note(1) for shown in (error, luma, chroma)] == ["", "", ""]
    assert error.note(0) == ""
    assert luma.note(0) == f"{settings.clamped(10)[0]} steps clamped to 255"
    assert luma._replace(clamped=[1, 0]).note(0) == "1 step clamped to 255"


@pytest.mark.parametrize("theme", [plots.LIGHT, plots.DARK])
def test_heat_maps_name_both_frequencies_and_nothing_is_cut_off(theme):
    for qualities in ([10], [10, 90], [10, 50, 90]):
        figure = plots.heat_maps(plots.frequency_maps([(24 * 32, NOISE)], qualities, Settings()), qualities, theme)
        FigureCanvasAgg(figure)
        figure.draw_without_rendering()
        labels = [ax.get_xlabel() for ax in figure.axes] + [ax.get_ylabel() for ax in figure.axes]
        assert sum(label.startswith("horizontal frequency") for label in labels) == 3 * len(qualities)
        assert sum(label.endswith("vertical frequency") for label in labels) == 3
        box = figure.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.get_figwidth()
        assert box.y1 <= figure.get_figheight()
        assert to_hex(figure.get_facecolor()) == theme.paper


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
    maps = plots.frequency_maps([(24 * 32, NOISE), (9, TINY)], [10, 90], Settings())
    energy, luma, chroma = maps
    want = (NOISE[2].error_energy / (24 * 32) + TINY[2].error_energy / 9) / 2
    np.testing.assert_allclose(energy.tables[1], want, rtol=1e-12)
    np.testing.assert_allclose(luma.tables[0], (NOISE[0].sensitivity_y + TINY[0].sensitivity_y) / 2, rtol=1e-12)
    np.testing.assert_allclose(chroma.tables[0], (NOISE[0].sensitivity_c + TINY[0].sensitivity_c) / 2, rtol=1e-12)
    largest = max(table.max() for table in luma.tables)
    place = next((i, j, k) for i, table in enumerate(luma.tables) for j, k in np.argwhere(table == largest))
    assert luma.colors()[place[0]][place[1:]] == to_hex((0.987053, 0.991438, 0.749504))  # where magma ends
    plots.figure_png(plots.heat_maps(maps, [10, 90], plots.LIGHT))


def test_maps_without_error():
    maps = plots.frequency_maps([(24 * 32, FLAT)], [50], Settings())
    assert not any(table.any() for shown in maps for table in shown.tables)
    plots.figure_png(plots.heat_maps(maps, [50], plots.DARK))
    assert {color for shown in maps for table in shown.colors() for color in table.ravel()} == {"#000004"}
    assert math.isinf(FLAT[0].psnr)
