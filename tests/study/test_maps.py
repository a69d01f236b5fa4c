"""Maps of frequencies: the right means, colors and notes, and nothing cut off."""

import io
import itertools
import math

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from PIL import Image

from pyjpegdiff.study import maps, plots, study
from pyjpegdiff.study.settings import Settings

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
NOISE = study(IMAGE, (10, 50, 90))
FLAT = study(np.full((24, 32), 128, np.uint8), (10, 50, 90))
TINY = study(IMAGE[:3, :3], (10, 50, 90))


def test_maps_say_how_many_steps_are_clamped():
    settings = Settings()
    for quality in (1, 5, 10, 13, 50, 100):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        want = [sum((entry * scale + 50) // 100 > 255 for row in table for entry in row)
                for table in (settings.luma, settings.chroma)]  # fmt: skip
        assert settings.clamped(quality) == tuple(want)
    error, luma, chroma = maps.frequency_maps([(24 * 32, NOISE)], [10, 90], settings)
    assert [shown.note(1) for shown in (error, luma, chroma)] == ["", "", ""]
    assert error.note(0) == ""
    assert luma.note(0) == f"{settings.clamped(10)[0]} steps clamped to 255"
    assert luma._replace(clamped=[1, 0]).note(0) == "1 step clamped to 255"


@pytest.mark.parametrize("qualities", [[10], [10, 90], [10, 50, 90]])
def test_heat_maps_name_both_frequencies_and_nothing_is_cut_off(qualities):
    found = maps.frequency_maps([(24 * 32, NOISE)], qualities, Settings())
    figure = maps.heat_maps(found, qualities)
    FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    texts = [text.get_text() for ax in figure.axes for text in ax.texts]
    assert sum(text.startswith("horizontal frequency") for text in texts) == 3
    assert sum(text.endswith("vertical frequency") for text in texts) == 3
    for place, quality in enumerate(qualities):
        assert texts.count(f"quality {quality}") == 3
        for shown in found:
            assert sum(text.endswith(shown.note(place)) for text in texts) >= 1
    box = figure.get_tightbbox()
    assert box.x0 >= 0
    assert box.y0 >= 0
    assert box.x1 <= figure.get_figwidth()
    assert box.y1 <= figure.get_figheight()
    boxes = [text.get_window_extent() for ax in figure.axes for text in ax.texts]
    boxes += [image.get_window_extent() for ax in figure.axes for image in ax.images]
    assert not any(a.overlaps(b) for a, b in itertools.combinations([box for box in boxes if box.width], 2))


@pytest.mark.parametrize("qualities", [[10], [10, 50, 90]])
def test_heat_maps_show_each_value_at_its_place(qualities):
    found = maps.frequency_maps([(24 * 32, NOISE)], qualities, Settings())
    figure = maps.heat_maps(found, qualities)
    with Image.open(io.BytesIO(plots.themed_pngs(figure)[0])) as picture:
        pixels = np.asarray(picture)
    for number, shown in enumerate(found):
        top = number * maps.ROW + maps.TOP
        for place, table in enumerate(shown.tables):
            colors = 255 * maps.rgb(shown.scale(), table)
            left = maps.LEFT + place * maps.COLUMN
            for down, across in itertools.product(range(8), repeat=2):
                y, x = (start + (cell + 0.5) * maps.SIDE / 8 for start, cell in ((top, down), (left, across)))
                error = pixels[int(y * plots.DPI), int(x * plots.DPI)] - colors[down, across]
                assert abs(error).max() <= 1  # Matplotlib rounds in another way
        scale = maps.LEFT + len(qualities) * maps.COLUMN + 0.05
        high, low = (pixels[int(y * plots.DPI), int(scale * plots.DPI)] for y in (top + 0.01, top + maps.SIDE - 0.02))
        assert high.min() > 180  # the largest value is on top, and light
        assert low.max() < 20


def test_texts_of_heat_maps_are_beside_what_they_name():
    found = maps.frequency_maps([(24 * 32, NOISE)], [10, 50, 90], Settings())
    places = {}
    for text in maps.heat_maps(found, [10, 50, 90]).axes[0].texts:
        places.setdefault(text.get_text().strip(), []).append(text.get_position())
    centers = [maps.LEFT + maps.SIDE / 2 + place * maps.COLUMN for place in range(3)]
    for center, quality in zip(centers, (10, 50, 90), strict=True):
        assert [x for x, _ in places[f"quality {quality}"]] == [pytest.approx(center)] * 3
    for number, shown in enumerate(found):
        top = number * maps.ROW + maps.TOP
        for center, note in zip(centers[1:], map(shown.note, (1, 2)), strict=True):
            if note:
                assert pytest.approx((center, top + maps.SIDE + 0.06)) in places[note]
        assert shown.note(0) in {text.rpartition("\n")[2] for text in places}
        low, high = maps.labels(shown.ends())
        assert any(y == pytest.approx(top) for _, y in places[high])
        assert any(y == pytest.approx(top + maps.SIDE) for _, y in places[f"\u2264 {low}"])


@pytest.mark.parametrize(
    ("high", "want"),
    [
        (0.8123, ["0.81", "0.081", "0.0081", "0.00081", "0.000081"]),
        (130.4, ["130", "13", "1.3", "0.13", "0.013"]),
        (4e-3, ["4.0e-03", "4.0e-04", "4.0e-05", "4.0e-06", "4.0e-07"]),
        (2e6, ["2.0e+06", "2.0e+05", "2.0e+04", "2.0e+03", "2.0e+02"]),
    ],
)
def test_labels_of_a_scale_have_one_notation(high, want):
    assert maps.labels([high / 10**decade for decade in range(5)]) == want


def test_dark_maps_are_as_if_drawn_in_dark_colors(monkeypatch):
    found = maps.frequency_maps([(24 * 32, NOISE)], [10, 90], Settings())
    light, dark = plots.themed_pngs(maps.heat_maps(found, [10, 90]))
    monkeypatch.setattr(maps, "LIGHT", plots.DARK)
    assert plots.themed_pngs(maps.heat_maps(found, [10, 90]))[0] == dark != light


def test_maps_are_means_over_images():
    found = maps.frequency_maps([(24 * 32, NOISE), (9, TINY)], [10, 90], Settings())
    energy, luma, chroma = found
    want = (NOISE[2].error_energy / (24 * 32) + TINY[2].error_energy / 9) / 2
    np.testing.assert_allclose(energy.tables[1], want, rtol=1e-12)
    np.testing.assert_allclose(luma.tables[0], (NOISE[0].sensitivity_y + TINY[0].sensitivity_y) / 2, rtol=1e-12)
    np.testing.assert_allclose(chroma.tables[0], (NOISE[0].sensitivity_c + TINY[0].sensitivity_c) / 2, rtol=1e-12)
    largest = max(table.max() for table in luma.tables)
    place = next((i, j, k) for i, table in enumerate(luma.tables) for j, k in np.argwhere(table == largest))
    assert luma.colors()[place[0]][place[1:]] == to_hex((0.987053, 0.991438, 0.749504))  # where magma ends
    plots.themed_pngs(maps.heat_maps(found, [10, 90]))


def test_maps_without_error():
    found = maps.frequency_maps([(24 * 32, FLAT)], [50], Settings())
    assert not any(table.any() for shown in found for table in shown.tables)
    plots.themed_pngs(maps.heat_maps(found, [50]))
    assert {color for shown in found for table in shown.colors() for color in table.ravel()} == {"#000004"}
    assert math.isinf(FLAT[0].psnr)
