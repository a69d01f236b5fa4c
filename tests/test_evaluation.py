"""The evaluation measures what it says, and its result files are what the manual reads."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("evaluation", reason="the evaluation is not part of a distribution")
torch = pytest.importorskip("torch")

from evaluation import attack, forward, slopes, watermark  # noqa: E402
from evaluation.photos import CHOOSE, NAMES, REPORT, load  # noqa: E402
from pyjpegdiff import diff_jpeg_coding, jpeg_encode  # noqa: E402
from pyjpegdiff.stages import elastic  # noqa: E402
from pyjpegdiff.stages.dct import from_blocks  # noqa: E402
from pyjpegdiff.tables import ZIGZAG  # noqa: E402
from tests.samples import noisy_ramp  # noqa: E402

RESULTS = Path(slopes.__file__).parent / "results"


def test_halves_share_no_photo():
    assert set(CHOOSE) | set(REPORT) == set(NAMES)
    assert not set(CHOOSE) & set(REPORT)


# --- slopes -----------------------------------------------------------------------------------------------------------


def test_estimates_of_the_slope_of_a_squared_error():
    """Of the squared error of coefficients itself: the identity's is 2 E / Q, the elastic one is the package's."""
    rng = np.random.default_rng(0)
    u, steps = rng.laplace(0, 1, (2, 6, 5, 8, 8)), rng.uniform(5, 50, (8, 8))
    k = np.round(u)
    group = slopes.Group(u, k, 2 * (k - u) * steps, steps)
    error = ((k - u) ** 2).sum((0, 1, 2)) * steps**2
    np.testing.assert_allclose(slopes.ESTIMATES["identity"](group), 2 * error / steps)
    in_place = [from_blocks(np, x) for x in (group.g, u, k)]
    want = elastic.steps_cotangent(np, elastic.sums(np, *in_place, decodes=True))
    np.testing.assert_allclose(slopes.elastic(group), want)
    np.testing.assert_allclose(slopes.exact_to(np.inf)(group), (group.g * k).sum((0, 1, 2)))


@pytest.mark.parametrize("subsampling", slopes.SUBSAMPLINGS)
def test_gradient_of_quality_is_near_the_slope(subsampling):
    """By the same code as the whole evaluation, on one small photo at one quality."""
    image = load("chelsea")[:96, :96].astype(np.float64)
    groups = slopes.groups_of(image, 50, subsampling)
    stored = jpeg_encode(image, 50, arithmetic="libjpeg", subsampling=subsampling, channel_axis=-1)
    np.testing.assert_array_equal(groups[0].k, stored.y)
    errors = [slopes._error(image, subsampling, 50 + int(d)) for d in slopes.AROUND]
    slope = np.polyfit(slopes.AROUND, errors, 1)[0]
    found = slopes.of_quality(groups, list(map(slopes.elastic, groups)), 50)
    assert 0.5 < found / slope < 1.5


# --- forward ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [3, 50, 95])
def test_with_all_details_it_is_the_smooth_variant(quality):
    image = noisy_ramp(0, 32, 48).astype(np.float64)
    want = diff_jpeg_coding(image, quality, channel_axis=-1)
    np.testing.assert_allclose(forward.of_details(forward.Details())(image, quality), want, rtol=0, atol=1e-9)


def test_each_detail_changes_something_and_whole_files_are_equal():
    image = noisy_ramp(1, 32, 48)
    rows = list(forward.rows_of("ramp", image, (5, 80)))
    found = forward.summary([{**row, "quality": 1} if row["quality"] == 5 else row for row in rows[: len(rows) // 2]])
    smooth, l1 = found["smooth"]["1..10"]["psnr"], {name: row["1..10"]["l1"] for name, row in found.items()}
    assert len({l1[name] for name in forward.ABLATION}) == len(forward.ABLATION)
    assert found['arithmetic="libjpeg"']["1..10"]["equal"] == 1
    assert all(found[name]["1..10"]["psnr"] < smooth for name in ("identity", "uniform noise"))


def test_the_mask_keeps_the_first_of_the_zigzag():
    kept = forward._masked(np.ones((1, 8, 16)), 9)[0]
    assert {(int(row), int(column)) for row, column in np.argwhere(kept[:, :8])} == set(ZIGZAG[:9])
    np.testing.assert_array_equal(kept[:, :8], kept[:, 8:])


# --- watermark --------------------------------------------------------------------------------------------------------


def test_a_mark_is_as_small_as_it_says_and_is_read_from_the_file(monkeypatch):
    monkeypatch.setattr(watermark, "STEPS", 30)
    of = watermark.patterns()
    np.testing.assert_allclose(of.norm(dim=1).numpy(), 1, rtol=1e-5)
    images = watermark.crops(("chelsea", "coffee"))
    bits = torch.tensor(np.random.default_rng(0).choice([-1.0, 1.0], (2, watermark.BITS)), dtype=torch.float32)
    marked = watermark.marked(images, bits, of, {"ste": True})
    psnr = 10 * np.log10(255**2 / ((marked - images) ** 2).mean((1, 2, 3)).numpy())
    assert (psnr > watermark.DECIBELS - 0.2).all()  # pixels are rounded after that
    right = (watermark.read(marked, 75, of) == bits).double().mean()
    assert right > (watermark.read(images, 75, of) == bits).double().mean() + 0.2


def test_interval_of_a_mean():
    low, high = watermark.interval(np.array([1.0, 2, 3, 4, 5]))
    assert 1 < low < 3 < high < 5
    assert watermark.interval(np.full(4, 0.25)) == (0.25, 0.25)


@pytest.mark.parametrize(("height", "power"), [(0.5, 6), (1, 4)])
def test_derivative_of_staircases(height, power):
    value, derivative = attack.staircase(height, power)
    x = torch.tensor(np.random.default_rng(0).uniform(-3, 3, 99))
    step = 1e-6
    difference = (value(x + step) - value(x - step)) / (2 * step)
    np.testing.assert_allclose(derivative(x), difference, rtol=1e-5, atol=1e-8)


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slopes", "forward", "watermark"])
def test_results_have_their_command_and_photos(name):
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert found["command"] == f"python -m evaluation.{name}"
    photos = found["photos"] if name == "forward" else found["report"]["photos"]
    assert photos == list(REPORT)
