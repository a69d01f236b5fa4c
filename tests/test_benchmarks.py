"""The benchmark suite works and tells a regression; how fast anything is, is not tested."""

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
NAMES = [name for name in contestants.CONTESTANTS if name.startswith(("Pillow", "NumPy"))]


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
        for path, each in zip(paths, reports, strict=True):
            results.save(each, path)
        return [str(path) for path in paths]

    return write


# --- contestants ------------------------------------------------------------------------------------------------------


def test_batches_are_cuttings_of_a_mirrored_photo():
    sheet = photos.sheet(600, 1100)
    assert sheet.shape == (3, 600, 1100)
    np.testing.assert_array_equal(sheet[:, 512:], sheet[:, 511:423:-1])
    np.testing.assert_array_equal(sheet[:, :, 512:1024], sheet[:, :, 511::-1])
    cuttings = photos.batch(photos.Size("", 5, 16))
    assert cuttings.shape == (5, 3, 16, 16)
    np.testing.assert_array_equal(cuttings[4], photos.sheet(32, 48)[:, 16:, 16:32])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.label)
def test_contestants_do_the_same_work(size):
    images = photos.batch(size)
    outcomes = {name: contestants.CONTESTANTS[name].build(images)() for name in NAMES}
    pillow = np.stack([np.moveaxis(np.asarray(image), -1, 0) for image in outcomes["Pillow"]])
    np.testing.assert_array_equal(outcomes["NumPy libjpeg"], pillow)
    for name, outcome in outcomes.items():
        coded = outcome[0] if "VJP" in name else outcome
        if name != "Pillow":
            assert np.sqrt(np.mean((coded - pillow) ** 2)) < 3, name
        if "VJP" in name:
            wanted = [g for g in outcome[1] if g is not None]
            assert (
                len(wanted) == {"image": 1, "image, quality, tables": 4, "all, color too": 6}[name[:-1].split("(")[1]]
            )
            assert all(np.any(g) for g in wanted)


def test_choose_takes_pillow_along():
    assert [c.name for c in contestants.choose(["SMOOTH"])] == ["Pillow", "NumPy smooth"]
    assert len(contestants.choose()) == len(contestants.CONTESTANTS)


# --- rounds -----------------------------------------------------------------------------------------------------------


def test_slow_calls_take_part_in_fewer_rounds():
    timers = {"slow": lambda: 10.0, "baseline": lambda: 1.0, "middle": lambda: 4.0}
    timings = rounds.measure(timers, "baseline", repeat=10, budget=20.0)
    assert timings == {"slow": (10, 10, 3), "baseline": (1, 1, 5), "middle": (4, 4, 5)}


def test_the_ratio_is_that_within_a_round():
    # A machine that others use, too.
    timers = {"double": iter([2, 100, 12, 14, 180]).__next__, "baseline": iter([1, 50, 6, 7, 90]).__next__}
    timings = rounds.measure(timers, "baseline", repeat=5, budget=1e6)
    assert timings == {"double": (14, 2, 5), "baseline": (7, 1, 5)}


def test_a_worker_takes_time_and_tells_what_goes_wrong():
    with contextlib.closing(workers.Worker("NumPy STE", SIZES[0])) as worker:
        assert worker() > 0
        assert worker() > 0
    with (
        contextlib.closing(workers.Worker("nobody", SIZES[0])) as worker,
        pytest.raises(calls.ContestantError, match="KeyError: 'nobody'"),
    ):
        worker()


# --- report -----------------------------------------------------------------------------------------------------------


def test_report_holds_all_that_was_measured(report, files):
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


def test_table_tells_what_did_not_run(report):
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


def test_files_are_written_whole_or_not_at_all(report, tmp_path):
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


def test_compare_passes_an_identical_pair(report, files, capsys):
    assert compare.main(files(report, report)) == 0
    assert "none worse" in capsys.readouterr().out


def test_compare_finds_a_regression_of_the_ratio_alone(report, files, capsys):
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


def test_compare_takes_a_failure_for_worse_but_not_what_was_left_out(report, files):
    fewer = copy.deepcopy(report)
    del fewer["sizes"]["64"], fewer["sizes"]["512"]["measured"]["NumPy STE"]
    assert compare.main(files(report, fewer)) == 0
    fewer["sizes"]["512"]["failed"]["NumPy STE"] = "MemoryError"
    assert compare.main(files(report, fewer)) == 1


def test_compare_refuses_what_has_nothing_in_common(report, files, capsys):
    assert compare.main(files(report, {**report, "sizes": {}})) == 2
    assert "no measurement in common" in capsys.readouterr().err


def damaged(sizes):
    return json.dumps({"format": results.FORMAT, "one_process": False, "sizes": sizes})


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is no report of this benchmark"),
        ('{"format": "another"}', "is no report of this benchmark"),
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
def test_memory_holds_at_least_input_and_output():
    # The float image, and the coded one; fresh processes may differ by some pages of the interpreter's own.
    assert memory.in_fresh_process("NumPy STE", edge=512) > 1.9
