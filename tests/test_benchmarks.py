"""The benchmark suite works and finds a regression; speed itself is not tested."""

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("PIL")
pytest.importorskip("benchmarks", reason="benchmarks are not part of a distribution")
from benchmarks import calls, compare, contestants, memory, photos, plot, results, rounds, suite, table, workers

SIZES = [photos.Size("64", 5, 16), photos.Size("512", 1, 32)]
NAMES = [name for name, contestant in contestants.CONTESTANTS.items() if not contestant.needs]
GRADIENTS = {
    "NumPy STE + VJP (image)": 1,
    "NumPy STE + VJP (image, quality, tables)": 4,
    "NumPy STE + VJP (all, color too)": 6,
}


@pytest.fixture(scope="module")
def report():
    absent = contestants.Contestant("absent", contestants.FORWARD, build=None, needs=("no_such_module",))
    broken = contestants.Contestant("broken", contestants.FORWARD, build=lambda images: lambda: 1 / 0)
    chosen = [contestants.CONTESTANTS[name] for name in NAMES]
    return suite.run(SIZES, [*chosen, absent, broken], repeat=4, budget=1.0, one_process=True, memory_edge=None)


@pytest.fixture
def files(report, tmp_path):
    """Write reports where ``compare`` finds them."""

    def write(*reports):
        paths = [tmp_path / f"{index}.json" for index in range(len(reports))]
        for path, content in zip(paths, reports, strict=True):
            results.save(content, path)
        return [str(path) for path in paths]

    return write


# --- contestants ------------------------------------------------------------------------------------------------------


def test_batches_are_crops_of_a_mirrored_photo():
    sheet = photos.sheet(600, 1100)
    assert sheet.shape == (3, 600, 1100)
    np.testing.assert_array_equal(sheet[:, 512:], sheet[:, 511:423:-1])
    np.testing.assert_array_equal(sheet[:, :, 512:1024], sheet[:, :, 511::-1])
    crops = photos.batch(photos.Size("", 5, 16))
    assert crops.shape == (5, 3, 16, 16)
    np.testing.assert_array_equal(crops[4], photos.sheet(32, 48)[:, 16:, 16:32])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.label)
def test_contestants_do_the_same_work(size):
    images = photos.batch(size)
    outcomes = {name: contestants.CONTESTANTS[name].build(images)() for name in NAMES}
    assert {"Pillow", "NumPy smooth", "NumPy STE", "NumPy libjpeg", *GRADIENTS} == outcomes.keys()
    pillow = np.stack([np.moveaxis(np.asarray(image), -1, 0) for image in outcomes.pop("Pillow")])
    np.testing.assert_array_equal(outcomes["NumPy libjpeg"], pillow)
    for name, outcome in outcomes.items():
        result = outcome[0] if name in GRADIENTS else outcome
        assert np.sqrt(np.mean((result - pillow) ** 2)) < 3, name
    for name, count in GRADIENTS.items():
        gradients = [g for g in outcomes[name][1] if g is not None]
        assert len(gradients) == count
        assert all(np.any(g) for g in gradients)


def test_choose_always_includes_pillow():
    assert [c.name for c in contestants.choose(["SMOOTH"])] == ["Pillow", "NumPy smooth"]
    assert len(contestants.choose()) == len(contestants.CONTESTANTS)


# --- rounds -----------------------------------------------------------------------------------------------------------


def test_slow_calls_take_part_in_fewer_rounds():
    timers = {"slow": lambda: 10.0, "baseline": lambda: 1.0, "middle": lambda: 4.0}
    timings = rounds.measure(timers, "baseline", repeat=10, budget=20.0)
    assert timings == {"slow": (10, 10, 3), "baseline": (1, 1, 5), "middle": (4, 4, 5)}


def test_the_ratio_is_computed_within_a_round():
    # Times on a machine with other work.
    timers = {"double": iter([2, 100, 12, 14, 180]).__next__, "baseline": iter([1, 50, 6, 7, 90]).__next__}
    timings = rounds.measure(timers, "baseline", repeat=5, budget=1e6)
    assert timings == {"double": (14, 2, 5), "baseline": (7, 1, 5)}


def test_a_worker_measures_time_and_reports_errors():
    with contextlib.closing(workers.Worker("NumPy STE", SIZES[0])) as worker:
        assert worker() > 0
        assert worker() > 0
    with (
        contextlib.closing(workers.Worker("nobody", SIZES[0])) as worker,
        pytest.raises(calls.ContestantError, match="KeyError: 'nobody'"),
    ):
        worker()


# --- report -----------------------------------------------------------------------------------------------------------


def test_report_has_everything_that_was_measured(report, files):
    (path,) = files(report)
    loaded = results.load(Path(path))
    assert loaded == report == json.loads(json.dumps(report))
    assert loaded["environment"]["packages"]["numpy"] == np.__version__
    assert {"processor", "cpus", "python", "libjpeg_turbo", "torch_threads"} <= loaded["environment"].keys()
    assert loaded["missing"] == {"absent": "not installed: no_such_module"}
    assert list(loaded["sizes"]) == ["64", "512"]
    for size in loaded["sizes"].values():
        assert list(size["measured"]) == NAMES
        assert size["failed"] == {"broken": "ZeroDivisionError: division by zero"}
        assert size["measured"]["Pillow"]["ratio"] == 1
        for measured in size["measured"].values():
            assert measured["ratio"] > 0
            assert 3 <= measured["rounds"] <= 4
            milliseconds = 1e-3 * size["count"] * size["edge"] ** 2 / measured["megapixels_per_second"]
            assert milliseconds == pytest.approx(measured["milliseconds"])
    assert len(loaded["derived"]) == 2


def test_table_names_what_did_not_run(report):
    text = table.render(report)
    assert "absent: not installed: no_such_module" in text
    assert "broken FAILED: ZeroDivisionError: division by zero" in text
    assert text.count("NumPy libjpeg") == 3


def test_plot_is_a_picture(report, tmp_path):
    pytest.importorskip("matplotlib")
    from PIL import Image

    results.write_whole(tmp_path / "plot.png", lambda partial: plot.draw(report, partial))
    with Image.open(tmp_path / "plot.png") as image:
        assert image.format == "PNG"


def test_files_are_written_completely_or_not_at_all(report, tmp_path):
    path = tmp_path / "report.json"
    results.save(report, path)
    before = path.read_bytes()

    def fail(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        results.write_whole(path, fail)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# --- comparison -------------------------------------------------------------------------------------------------------


def test_compare_accepts_an_identical_pair(report, files, capsys):
    assert compare.main(files(report, report)) == 0
    assert "none worse" in capsys.readouterr().out


def test_compare_finds_only_regressions_of_the_ratio(report, files, capsys):
    slower = copy.deepcopy(report)
    for measured in slower["sizes"]["512"]["measured"].values():
        measured["milliseconds"] *= 10  # another machine
    assert compare.main(files(report, slower)) == 0
    slower["sizes"]["512"]["measured"]["NumPy STE"]["ratio"] *= 1.3
    pair = files(report, slower)
    capsys.readouterr()
    assert compare.main(pair) == 1
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.endswith("WORSE")]
    assert line.split()[:3] == ["NumPy", "STE", "512"]
    assert compare.main([*pair, "--tolerance", "1.5"]) == 0
    assert compare.main(pair[::-1]) == 0
    assert "better" in capsys.readouterr().out


def test_compare_counts_failures_as_worse_but_not_missing_measurements(report, files):
    fewer = copy.deepcopy(report)
    del fewer["sizes"]["64"], fewer["sizes"]["512"]["measured"]["NumPy STE"]
    assert compare.main(files(report, fewer)) == 0
    fewer["sizes"]["512"]["failed"]["NumPy STE"] = "MemoryError"
    assert compare.main(files(report, fewer)) == 1


def test_compare_refuses_reports_without_common_measurements(report, files, capsys):
    assert compare.main(files(report, {**report, "sizes": {}})) == 2
    assert "no measurement in common" in capsys.readouterr().err


def damaged(sizes):
    return json.dumps({"format": results.FORMAT, "one_process": False, "sizes": sizes})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a report of this benchmark"),
        ('{"format": "another"}', "is not a report of this benchmark"),
        (json.dumps({"format": results.FORMAT}), "is damaged: KeyError: 'sizes'"),
        (damaged({"64": {"measured": {"a": {"ratio": 0}}, "failed": {}}}), "a ratio must be a positive number, got 0"),
        (damaged({"64": {"measured": {"a": {}}, "failed": {}}}), "is damaged: KeyError: 'ratio'"),
        (damaged({"64": {"measured": {}}}), "is damaged: KeyError: 'failed'"),
        (damaged([1]), "is damaged"),
        (None, "No such file"),
    ],
)
def test_compare_names_a_bad_file(report, files, tmp_path, capsys, content, complaint):
    bad = tmp_path / "bad.json"
    if content is not None:
        bad.write_text(content)
    assert compare.main([*files(report), str(bad)]) == 2
    error = capsys.readouterr().err
    assert "bad.json" in error
    assert complaint in error


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_includes_at_least_input_and_output():
    # The float image and the result; new processes may differ by some memory pages of the interpreter.
    assert memory.in_fresh_process("NumPy STE", edge=512) > 1.9
