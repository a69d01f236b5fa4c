"""The evaluation measures what it says, and its result files are what the manual reads."""

import io
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("evaluation", reason="the evaluation is not part of a distribution")
torch = pytest.importorskip("torch")
from PIL import Image  # noqa: E402
from skimage.metrics import peak_signal_noise_ratio  # noqa: E402

from evaluation import attack, codecs, forward, slopes, watermark  # noqa: E402
from evaluation.bootstrap import interval  # noqa: E402
from evaluation.photos import CHOOSE, NAMES, REPORT, load, through_file  # noqa: E402
from evaluation.rows import append_row, read_rows  # noqa: E402
from pyjpegdiff import diff_jpeg_coding, jpeg_encode  # noqa: E402
from pyjpegdiff.stages import elastic  # noqa: E402
from pyjpegdiff.stages.dct import from_blocks  # noqa: E402
from pyjpegdiff.tables import ZIGZAG  # noqa: E402
from tests.samples import noisy_ramp  # noqa: E402

RESULTS = Path(slopes.__file__).parent / "results"


def test_halves_share_no_photo():
    assert set(CHOOSE) | set(REPORT) == set(NAMES)
    assert not set(CHOOSE) & set(REPORT)


@pytest.mark.parametrize("quality", [1, 40, 97])
def test_through_file_is_the_real_codec_in_4_2_0(quality):
    image = noisy_ramp(0, 33, 48)
    want = diff_jpeg_coding(image.astype(np.float64), quality, arithmetic="libjpeg", channel_axis=-1)
    np.testing.assert_array_equal(through_file(image, quality), want)


def test_interval_of_a_mean():
    values = np.random.default_rng(1).standard_normal(400)
    # The mean of n normal values lies within 1.96 / sqrt(n); 2000 draws leave its ends uncertain by a tenth.
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(interval(values), values.mean() + np.array([-half, half]), rtol=0, atol=0.1 * half)
    assert interval(np.full(4, 0.25)) == (0.25, 0.25)


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


def _error_of_file(image, quality, subsampling):
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, "JPEG", quality=quality, subsampling=subsampling)
    return np.mean((np.asarray(Image.open(file)) - image) ** 2)


@pytest.mark.parametrize("subsampling", slopes.SUBSAMPLINGS)
def test_gradient_of_quality_is_near_the_slope(subsampling):
    """By the same code as the whole evaluation, on one small photo at one quality, and files of Pillow's."""
    image = load("chelsea")[:96, :96].astype(np.float64)
    groups = slopes.groups_of(image, 50, subsampling)
    stored = jpeg_encode(image, 50, arithmetic="libjpeg", subsampling=subsampling, channel_axis=-1)
    np.testing.assert_array_equal(groups[0].k, stored.y)
    errors = [_error_of_file(image, 50 + int(d), subsampling) for d in slopes.AROUND]
    slope = np.polyfit(slopes.AROUND, errors, 1)[0]
    found = slopes.of_quality(groups, list(map(slopes.elastic, groups)), 50)
    assert 0.5 < found / slope < 1.5


# --- forward ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quality", [1, 3, 50, 95])
def test_with_all_details_it_is_the_smooth_variant(quality):
    image = noisy_ramp(0, 32, 48).astype(np.float64)
    want = diff_jpeg_coding(image, quality, channel_axis=-1)
    np.testing.assert_allclose(codecs.of_details(codecs.Details())(image, quality), want, rtol=0, atol=1e-9)


def test_identity_without_any_detail_loses_only_chroma():
    """No rounding, no floor, no clip: what is left is the mean of four chroma samples, repeated."""
    image = noisy_ramp(2, 32, 48).astype(np.float64)
    result = codecs.of_details(codecs.PLAIN._replace(rounding="identity", subsamples=False))(image, 7)
    np.testing.assert_allclose(result, image, rtol=0, atol=1e-3)  # the color matrices are inverse to so many digits
    luma = np.array([0.299, 0.587, 0.114])
    subsampled = codecs.of_details(codecs.EARLIER["identity"])(image.clip(60, 190), 7)
    np.testing.assert_allclose(subsampled @ luma, image.clip(60, 190) @ luma, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("name", "quality"), [
    # Where each detail counts: a fractional table or scale, a step beyond 255, colors, samples out of range.
    ("steps are real numbers", 33), ("the floor is not shifted", 33), ("steps may leave 1..255", 5),
    ("chroma is not averaged", 50), ("chroma is repeated", 50), ("the image is clipped hard", 5),
])  # fmt: skip
def test_each_detail_counts(name, quality):
    image = np.where(noisy_ramp(1, 32, 48) < 128, 0.0, 255.0)
    smooth = diff_jpeg_coding(image, quality, channel_axis=-1)
    assert abs(codecs.of_details(codecs.ABLATION[name])(image, quality) - smooth).max() > 1e-2


@pytest.mark.parametrize("quality", [50, 75])
def test_where_no_step_leaves_its_bounds_their_clip_changes_nothing(quality):
    """One detail is taken away at a time, and nothing else with it."""
    image = noisy_ramp(1, 32, 48).astype(np.float64)
    smooth = diff_jpeg_coding(image, quality, channel_axis=-1)
    result = codecs.of_details(codecs.ABLATION["steps may leave 1..255"])(image, quality)
    np.testing.assert_allclose(result, smooth, rtol=0, atol=1e-9)


def test_the_mask_keeps_the_first_of_the_zigzag():
    kept = codecs._masked(np.ones((1, 8, 16)), 9)[0]
    assert {(int(row), int(column)) for row, column in np.argwhere(kept[:, :8])} == set(ZIGZAG[:9])
    np.testing.assert_array_equal(kept[:, :8], kept[:, 8:])


def test_distances_are_those_of_scikit_image():
    a, b = (noisy_ramp(seed, 32, 48).astype(np.float64) for seed in (0, 1))
    psnr, ssim, l1 = forward.distances(a, b)
    assert psnr == pytest.approx(peak_signal_noise_ratio(b, a, data_range=255))
    assert l1 == pytest.approx(np.abs(a - b).mean())
    assert ssim < 1
    assert forward.distances(a, a) == (np.inf, 1, 0)


def test_rows_that_are_done_are_not_measured_again():
    image = noisy_ramp(1, 32, 48)
    rows = list(forward.rows_of("ramp", image, (5,)))
    keys = [forward.key_of(row) for row in rows]
    assert len(set(keys)) == len(rows)
    done = set(keys[::3])
    assert list(forward.rows_of("ramp", image, (5,), done)) == [
        row for row, key in zip(rows, keys, strict=True) if key not in done
    ]


def test_a_line_that_was_cut_short_is_removed(tmp_path):
    path = tmp_path / "build" / "rows.jsonl"
    assert read_rows(path) == []
    append_row(path, {"psnr": np.inf})
    with path.open("a") as file:
        file.write('{"psnr": 4')
    assert read_rows(path) == [{"psnr": np.inf}]
    append_row(path, {"psnr": 42})
    assert read_rows(path) == [{"psnr": np.inf}, {"psnr": 42}]


def test_summary_is_of_files_that_differ():
    rows = [
        {"kind": "k", "codec": "c", "quality": quality, "psnr": psnr, "ssim": 1.0, "l1": 0.0}
        for quality, psnr in ((1, 20.0), (1, np.inf), (2, 30.0), *product(forward.EVEN[1:], (40.0,)))
    ]
    found = forward.summary(rows)["c"]
    assert found["1..99"]["count"] == len(forward.EVEN) + 1  # 2 is not among them
    assert found["1..99"]["equal"] == pytest.approx(1 / (len(forward.EVEN) + 1))
    assert found["1..99"]["psnr"] == pytest.approx((20 + 40 * (len(forward.EVEN) - 1)) / len(forward.EVEN))
    assert found["1..10"]["psnr"] == pytest.approx((20 + 30 + 3 * 40) / 5)  # 4, 7, 10
    assert found["psnr by quality"] == [20, *[40] * (len(forward.EVEN) - 1)]


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


@pytest.mark.parametrize("name", list(watermark.CHOICES))
def test_every_choice_gives_whole_pixels(monkeypatch, name):
    monkeypatch.setattr(watermark, "STEPS", 2)
    images = watermark.crops(("chelsea",))
    marked = watermark.marked(images, torch.ones(1, watermark.BITS), watermark.patterns(), watermark.CHOICES[name])
    assert torch.equal(marked, marked.round().clamp(0, 255))
    assert not torch.equal(marked, images)


# --- attack -----------------------------------------------------------------------------------------------------------


def test_an_attack_stays_within_eps_and_finds_the_loss_through_files():
    """On a linear network, whose loss one can raise by hand."""
    weights = torch.tensor(np.random.default_rng(0).standard_normal((2, 3 * 16 * 16)) / 255, dtype=torch.float32)
    x, labels = torch.full((2, 3, 16, 16), 100.0), torch.tensor([0, 1])
    found = attack.attacked(lambda images: images.flatten(1) @ weights.T, lambda images, _: images, x, labels, 50)
    # Without a codec the sign of the gradient never changes, and all four steps to the bound are taken.
    for image, sign in zip(found, (1, -1), strict=True):
        np.testing.assert_array_equal(image.flatten(), 100 + sign * torch.sign(weights[1] - weights[0]))
    (first, second), read = attack.through_files(found, 90), attack.through_files
    np.testing.assert_array_equal(first, read(found[:1], 90)[0])
    np.testing.assert_array_equal(second.permute(1, 2, 0), through_file(found[1].permute(1, 2, 0).byte().numpy(), 90))


def test_summary_of_an_attack_is_paired_and_beside_the_best_rival_of_each_quality():
    rng = np.random.default_rng(0)
    base = {quality: rng.uniform(1, 9, 40) for quality in (10, 90)}
    shift = {"kornia": (0, 2), "Diff-JPEG, smooth": (1, 0), "smooth cubic": (1.5, 1)}
    losses = {(name, q): base[q] + more[q == 90] for name, more in shift.items() for q in base}
    found = attack.summary(losses)
    # The same crops, so differences have no spread, however far losses are from each other.
    np.testing.assert_allclose(found["smooth cubic"]["more than the best rival"], [[0.5] * 3, [-1] * 3])
    np.testing.assert_allclose(found["smooth cubic"]["more on average"], [-0.25] * 3)
    np.testing.assert_allclose(found["kornia"]["losses"], [base[10].mean(), base[90].mean() + 2])
    alone = attack.summary({key: value for key, value in losses.items() if key[0] == "smooth cubic"})
    assert set(alone["smooth cubic"]) == {"losses"}


# --- results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["slopes", "forward", "watermark"])
def test_results_have_their_command_and_photos(name):
    found = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    assert found["command"] == f"python -m evaluation.{name}"
    photos = found["photos"] if name == "forward" else found["report"]["photos"]
    assert photos == list(REPORT)


def test_rows_of_the_forward_result_are_measured_again():
    """Within 0.1 dB, as the manual says: sums may be in another order on another machine."""
    result = json.loads((RESULTS / "forward.json").read_text(encoding="utf-8"))
    name, qualities = forward.REPEATED
    rows = {(row["codec"], row["quality"]): row for row in result["repeated"]}
    found = {
        name: code for kind, of_kind in codecs.codecs().items() for name, code in of_kind.items() if "other" not in kind
    }
    assert {key[0] for key in rows} >= set(found)
    photo, quality = forward.whole_groups(name), qualities[1]
    real = through_file(photo, quality).astype(np.float64)
    for codec, code in found.items():
        psnr, ssim, l1 = forward.distances(code(photo.astype(np.float64), quality), real)
        row = rows[codec, quality]
        assert psnr == (np.inf if row["psnr"] is None else pytest.approx(row["psnr"], abs=0.1)), codec
        assert (ssim, l1) == pytest.approx((row["ssim"], row["l1"]), rel=1e-2), codec


def test_results_have_what_the_manual_reads():
    forward_, slopes_, watermark_ = (
        json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
        for name in ("forward", "slopes", "watermark")
    )
    for name, row in forward_["codecs"].items():
        assert row["1..99"]["count"] == len(REPORT) * len(forward_["qualities"]), name
        assert row["1..10"]["count"] == len(REPORT) * len(forward_["strong"]), name
        assert len(row["psnr by quality"]) == len(forward_["qualities"]), name
    for kind, by_estimate in slopes_["report"].items():
        if kind != "photos":
            assert set(by_estimate) == set(slopes.ESTIMATES)
            assert all(
                {"count", "right signs", "median ratio", "median error"} == set(row) for row in by_estimate.values()
            )
    for name in watermark.CHOICES:
        row = watermark_["report"][name]
        assert len(row["bits right"]) == len(watermark_["qualities"])
        assert row["mean"] == pytest.approx(np.mean(row["bits right"]))
        low, high = row["less than ste=True"]
        mean = watermark_["report"]["ste=True"]["mean"] - row["mean"]
        assert low <= mean <= high
