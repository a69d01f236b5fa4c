"""Attacks do what their names say, are judged by files, and go on where they were stopped."""

import json

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("evaluation", reason="the evaluation is not part of a distribution")
torch = pytest.importorskip("torch")
from evaluation import attack, attack_matrix  # noqa: E402
from evaluation.attack import Attack  # noqa: E402
from evaluation.attack_matrix import EPS, Case  # noqa: E402
from evaluation.photos import through_file  # noqa: E402
from evaluation.rows import read_rows  # noqa: E402


def linear(classes):
    """A network that classifies by one product, and four images in colors of all kinds, some at the bounds.

    Its logits are so small that float32 has a gradient of every loss, other than 0.
    """
    rng = np.random.default_rng(1)
    weights = torch.tensor(rng.standard_normal((classes, 3 * 16 * 16)) / 2000, dtype=torch.float32)
    x = torch.tensor(rng.uniform(-60, 315, (4, 3, 16, 16)).clip(0, 255).round(), dtype=torch.float32)
    return lambda images: (images - 128).flatten(1) @ weights.T, weights, x


@pytest.mark.parametrize("eps", [1, 3, 8])
def test_fgsm_is_one_step_of_eps_along_the_sign(eps):
    classify, weights, x = linear(2)
    labels = classify(x).argmax(1)
    away = torch.sign(weights[1 - labels] - weights[labels]).reshape(x.shape)
    want = (x + eps * away).clamp(0, 255)
    for classes, targeted in ((labels, False), (1 - labels, True)):
        found = attack.attacked(classify, lambda x, _: x, x, classes, 50, Attack("FGSM", eps, targeted))
        np.testing.assert_array_equal(found, want)


@pytest.mark.parametrize("eps", [3, 8])
@pytest.mark.parametrize("targeted", [False, True])
def test_iterations_stay_within_eps_and_go_on_to_it(eps, targeted):
    """20 steps of eps / 4 in one direction would lead to 5 eps."""
    classify, _, x = linear(3)
    classes = classify(x).argmax(1)
    smooth = attack.CODECS["smooth cubic"][0]
    found = attack.attacked(classify, smooth, x, classes, 30, Attack("I-FGSM", eps, targeted))
    change = (found - x).abs()
    assert change.max() == eps
    assert found.min() >= 0
    assert found.max() <= 255
    assert set(np.unique(change)) > {0, eps / 4, eps}


@pytest.fixture(scope="module")
def measured():
    """The outcomes for quality 50 without an attack, away from labels, and towards targets, and what they are of."""
    classify, weights, x = linear(5)
    labels = classify(x).argmax(1)
    targets = attack_matrix.targets_of(labels, 5)
    attacks = (Attack("none", 0, targeted=True), Attack("I-FGSM", 8), Attack("I-FGSM", 8, targeted=True))
    of = [attack_matrix.measured(Case(a, "smooth cubic", 50), classify, x, labels, targets) for a in attacks]
    return of, classify, weights, x, labels, targets


@pytest.mark.parametrize("quality", [10, 50, 90])
def test_losses_and_classes_are_those_of_files(measured, quality):
    """Attacked for 50, and written at that and at other qualities."""
    (_, _, of_targeted), classify, weights, x, labels, targets = measured
    (codec, _), of_attack = attack.CODECS["smooth cubic"], Attack("I-FGSM", 8, targeted=True)
    images = attack.attacked(classify, codec, x, targets, 50, of_attack)
    read = [through_file(image.round().byte().permute(1, 2, 0).numpy(), quality) for image in images]
    said = (np.moveaxis(read, -1, 1).reshape(4, -1) - 128.0) @ weights.double().T.numpy()
    for name, classes in (("label", labels), ("target", targets)):
        outcome = of_targeted[str(quality)][name]
        assert outcome["share"] == (said.argmax(1) == classes.numpy()).tolist()
        losses = np.log(np.exp(said).sum(1)) - said[range(4), classes]
        # Sums in float32 of 768 products, of size 0.05 on average: eps times their sum of absolute values is 5e-6.
        np.testing.assert_allclose(outcome["loss"], losses, rtol=0, atol=2e-5)


def test_attacks_reach_their_aims_in_files(measured):
    (before, untargeted, targeted), *_ = measured
    assert all(np.greater(untargeted["50"]["label"]["loss"], before["50"]["label"]["loss"]))
    assert all(np.less(targeted["50"]["target"]["loss"], before["50"]["target"]["loss"]))
    assert np.mean(untargeted["50"]["label"]["share"]) < np.mean(before["50"]["label"]["share"])
    assert np.mean(targeted["50"]["target"]["share"]) > np.mean(before["50"]["target"]["share"])
    assert set(untargeted["50"]) == {"label"}


def test_only_some_are_written_at_other_qualities():
    assert attack_matrix.files_of(10) == (10,)
    assert attack_matrix.files_of(50) == attack_matrix.files_of(None) == attack_matrix.FILES
    assert set(attack_matrix.FILES) >= {10, 25, 50, 75, 90}


def test_targets_are_other_classes():
    labels = torch.arange(1000) % 7
    targets = attack_matrix.targets_of(labels, 7)
    assert not (targets == labels).any()
    assert {(int(a), int(b)) for a, b in zip(labels, targets, strict=True)} == {
        (a, b) for a in range(7) for b in range(7) if a != b
    }


def test_an_attacker_who_knows_no_quality_draws_one_for_each_step():
    drawn = []

    def codec(x, quality):
        drawn.append(quality)
        return x

    classify, _, x = linear(2)
    attack.attacked(classify, attack_matrix.drawing(codec), x, torch.zeros(4, dtype=int), 0, Attack("I-FGSM", 3))
    assert len(drawn) == 20
    assert len(set(drawn)) > 10
    assert min(drawn) >= 5
    assert max(drawn) <= 95


def test_cases_of_those_who_ignore_jpeg_and_those_who_do_not_know_it():
    one, many = Attack("FGSM", 3), Attack("I-FGSM", 3, targeted=True)
    first, *others = attack_matrix.cases([one, many], ["none", "kornia"], [5, 50])
    assert first.attack.method == "none"
    assert others == [
        Case(one, "none", None), Case(one, "kornia", 5), Case(one, "kornia", 50),
        Case(many, "none", None), Case(many, "kornia", 5), Case(many, "kornia", 50), Case(many, "kornia", None),
    ]  # fmt: skip
    assert {case.quality for case in attack_matrix.cases([one], ["kornia"])} == {None, *range(5, 100, 10)}


def test_a_stopped_matrix_goes_on(tmp_path):
    path, calls = tmp_path / "rows.jsonl", []

    def measure(case):
        calls.append(case)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"5": {"label": {"loss": [len(calls)], "share": [True]}}}

    wanted = list(attack_matrix.cases([Attack("FGSM", 1)], ["kornia"], [5, 6, 7]))
    with pytest.raises(KeyboardInterrupt):
        attack_matrix.run(wanted, path, measure)
    with path.open("a") as file:
        file.write('{"method": "FG')
    rows = attack_matrix.run(wanted, path, measure)
    assert calls == [*wanted[:3], *wanted[2:]]
    assert list(map(attack_matrix.case_of, rows)) == wanted
    assert read_rows(path) == rows
    assert attack_matrix.run(wanted[:2], path, measure) == rows[:2]


@pytest.mark.parametrize("targeted", [False, True])
def test_means_of_a_matrix_by_what_the_attacker_knew(targeted):
    """A rival's crops are one worse for an attacker at every quality."""
    rng, names = np.random.default_rng(0), ("label", "target") if targeted else ("label",)
    of_attack = Attack("I-FGSM", 3, targeted)
    base, rows = rng.uniform(2, 9, 30), []
    for codec, worse in (("kornia", 1), ("smooth cubic", 0)):
        for quality in (10, 50, None):
            files = {
                str(file): {
                    name: {
                        "loss": list(base + file + (worse if name == "target" else -worse)),
                        "share": [file < 20] * 30,
                    }
                    for name in names
                }
                for file in attack_matrix.files_of(quality)
            }
            rows.append(of_attack._asdict() | {"codec": codec, "quality": quality, "files": files})
    (found,) = attack_matrix.result_of(rows)
    assert {key: found[key] for key in Attack._fields} == of_attack._asdict()
    assert found["known"]["smooth cubic"]["qualities"] == [10, 50]
    assert found["known"]["smooth cubic"]["label share"] == [1, 0]
    for knowledge in ("50", "unknown"):
        assert found[knowledge]["kornia"]["qualities"] == list(attack_matrix.FILES)
    for by_codec in (found["known"], found["50"], found["unknown"]):
        assert by_codec["smooth cubic"]["better on average"] == [1, 1, 1]
        assert by_codec["kornia"]["better on average"] == [0, 0, 0]
        ours = by_codec["smooth cubic"]
        np.testing.assert_allclose(ours["label loss"], base.mean() + np.array(ours["qualities"]), atol=5e-5)  # rounded
        assert ("target loss" in ours) == targeted


def test_the_result_has_what_the_manual_reads():
    matrix = json.loads(attack_matrix.RESULT.read_text(encoding="utf-8"))["report"]
    assert matrix["command"].startswith(f"python -m evaluation.attack_matrix report {matrix['crops']}")
    first, *others = matrix["attacks"]
    assert first["unknown"].keys() == {"none"}
    assert {(row["method"], row["eps"], row["targeted"]) for row in others} == {
        (method, eps, targeted) for method in EPS for eps in EPS[method] for targeted in (False, True)
    }
    for row in others:
        assert row["unknown"]["none"]["qualities"] == list(attack_matrix.FILES)
        assert [*row["known"]] == [name for name in attack_matrix.MAIN if name != "none"]
