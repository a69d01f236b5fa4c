"""The benchmarks work and find a regression; speed itself is not tested."""

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("rich")
pytest.importorskip("benchmarks", reason="benchmarks are not part of a distribution")
from benchmarks import __main__ as command
from benchmarks import compare, contestants, gpu, plot, processes, report, suite
from benchmarks.calls import Size, batch
from benchmarks.contestants import LARGE, MIDDLE, ONE, PILLOW, STE, Contestant
from tests.scans import read_scan

BROKEN = Contestant("broken", lambda images: lambda: 1 / 0, {ONE: None, MIDDLE: None})
ABSENT = Contestant("absent", None, {ONE: None}, needs=("no_such_module",))


@pytest.fixture(scope="module")
def run():
    """A run in this process, with the seconds of a clock that takes 2 per call, Pillow's 1."""

    def start(contestant, size, stack):
        call = contestant.build(batch(Size(1, 16)))
        return lambda: (call(), 1.0 if contestant.name == PILLOW else 2.0)[1]

    chosen = [*(c for c in contestants.CONTESTANTS.values() if not c.needs), BROKEN, ABSENT]
    return suite.run(chosen, [ONE, MIDDLE], start, 3, 9.0, memory=lambda contestant: 4.5, threads="1")


def test_batches_are_crops_of_a_mirrored_photo():
    wide = batch(Size(1, 1100))[0]
    np.testing.assert_array_equal(wide[:, 512:1024], wide[:, 511::-1])
    np.testing.assert_array_equal(wide[:, :, 1024:], wide[:, :, :76])
    crops = batch(Size(5, 16))
    assert crops.shape == (5, 3, 16, 16)
    np.testing.assert_array_equal(crops[4], wide[:, 16:32, 16:32])


@pytest.mark.parametrize("size", [Size(5, 16), Size(1, 32)], ids=lambda size: size.label)
def test_contestants_do_the_same_work(size):
    images = batch(size)
    chosen = [c for c in contestants.CONTESTANTS.values() if not c.missing() and "compiled" not in c.name]
    outcomes = {c.name: c.build(images)() for c in chosen if c.name != "plain copy" and not about_bits(c)}
    pillow = np.stack([np.moveaxis(np.asarray(image), -1, 0) for image in outcomes.pop(PILLOW)])
    np.testing.assert_array_equal(outcomes["NumPy libjpeg"], pillow)
    for name, outcome in outcomes.items():
        result, *gradients = outcome if isinstance(outcome, tuple) else (outcome,)
        assert bool(gradients) == ("VJP" in name or "backward" in name)
        if gradients:
            computed = [np.asarray(gradient) for gradient in gradients[0] if gradient is not None]
            assert len(computed) == (6 if "color" in name else 4)
            assert all(np.any(gradient) for gradient in computed)
            result = result.detach() if hasattr(result, "detach") else result
        result = np.asarray(result) * (255 if "kornia" in name else 1)
        result = np.moveaxis(result, -1, 1) if "HWC" in name or name == "simplejpeg" else result
        assert np.sqrt(np.mean((result - pillow) ** 2)) < 5, name


def about_bits(contestant):
    return "rate" in contestant.name or "encoder" in contestant.name


@pytest.mark.parametrize("size", [Size(5, 16), Size(1, 32)], ids=lambda size: size.label)
@pytest.mark.parametrize("huffman", ["standard", "optimized"])
def test_contestants_count_the_bits_of_the_same_files(size, huffman):
    images = batch(size)
    files = contestants.CONTESTANTS[f"Pillow's encoder, {huffman} tables"].build(images)()
    bits = contestants.CONTESTANTS[f"NumPy rate, {huffman} tables"].build(images)()
    assert list(bits) == [read_scan(file).bits for file in files]
    assert sum(map(about_bits, contestants.CONTESTANTS.values())) == 5


def test_slow_calls_take_part_in_fewer_rounds():
    timers = {"slow": lambda: 10.0, "baseline": lambda: 9.0, "middle": lambda: 4.0, "fast": lambda: 1.0}
    taken = suite.interleave(timers, range(11), 11, budget=22.0, always={"baseline"})
    assert {name: len(rounds) for name, rounds in taken.items()} == {"slow": 3, "baseline": 11, "middle": 6, "fast": 11}


def test_the_ratio_is_computed_within_a_round():
    # Times on a machine with other work; one took part in fewer rounds.
    double, baseline = dict(enumerate([2, 100, 12])), dict(enumerate([1, 50, 6, 7, 90]))
    assert suite.median_ratio(double, baseline) == (2, 12)


def test_a_worker_measures_and_reports_errors():
    with contextlib.closing(processes.Worker(1, "array_api")) as worker:
        assert worker(processes.seconds, STE, ONE) > 0
        with pytest.raises(KeyError, match="nobody"):
            worker(processes.seconds, "nobody", ONE)
        assert worker(processes.seconds, STE, ONE) > 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_includes_at_least_input_and_output():
    # Large, so that freed memory of the interpreter, which the image may lie in, makes little difference.
    assert processes.memory(None, LARGE, contestants.CONTESTANTS[STE]) > 1.9


def test_a_whole_run_in_processes(tmp_path, capsys):
    pytest.importorskip("matplotlib")
    path = tmp_path / "a.json"
    options = ["--quick", "--only", "plain copy", "--sizes", "one", "--repeat", "3", "--backend", "array_api"]
    command.main([*options, "--json", str(path)])
    assert [row.name for row in report.load(path)["rows"]] == [PILLOW, "plain copy"]
    assert path.with_suffix(".png").exists()
    assert "backend: array_api" in capsys.readouterr().out
    for wrong in (["--only", "nobody"], ["--repeat", "2"], ["--sizes", "7"]):
        with pytest.raises(SystemExit):
            command.main(wrong)
        assert wrong[0] in capsys.readouterr().err


def test_a_report_has_everything_and_survives_its_file(run, tmp_path, capsys):
    report.save(run, tmp_path / "report.json")
    assert report.load(tmp_path / "report.json") == run
    rows = {(row.section, row.name): row for row in run["rows"]}
    row = rows["time over Pillow's, 512x512", STE]
    assert (row.ratio, row.target, row.milliseconds, row.rounds) == (2.0, 0.4, 2000.0, 3)
    assert rows["time per pixel over another's in the same rounds", "smooth over STE, 512x512"].ratio == 1
    assert rows["peak memory over the float32 image, 2048x2048", contestants.VJP].target == 5
    assert run["failed"].keys() == {"broken, 64x64", "broken, 512x512"}
    report.show(run, "title")
    text = capsys.readouterr().out
    for line in ("absent: not installed: no_such_module", "broken, 64x64: ZeroDivisionError: division by zero", STE):
        assert line in text


def test_files_are_written_completely_or_not_at_all(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("whole")

    def fail(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        report.write_whole(path, fail)
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "whole")]


def test_plot_is_a_picture(run, tmp_path):
    image = pytest.importorskip("PIL.Image")
    plot.draw(run, tmp_path / "plot.png")
    with image.open(tmp_path / "plot.png") as picture:
        assert picture.format == "PNG"


def test_compare_finds_what_got_worse(run, tmp_path, capsys):
    slower = {**run, "failed": {}, "rows": [row._replace(ratio=row.ratio * 1.3) for row in run["rows"]]}
    old, new, bad = (str(tmp_path / name) for name in ("old.json", "new.json", "bad.json"))
    report.save({**run, "failed": {}}, Path(old))
    report.save(slower, Path(new))
    assert compare.main([old, old]) == compare.main([new, old]) == compare.main([old, new, "--tolerance", "1.5"]) == 0
    assert compare.main([old, new]) == 1
    report.save({**run, "rows": []}, Path(bad))
    assert compare.main([old, bad]) == 2
    Path(bad).write_text("[]")
    assert compare.main([old, bad]) == 2
    assert "bad.json: is not a report of this benchmark" in capsys.readouterr().err


# --- GPUs, with the host instead of a device --------------------------------------------------------------------------


class Host:
    """A gauge for calls that return the seconds that they are said to take."""

    device = "host"

    def copying(self, images):
        return lambda: 2.0

    def seconds(self, call):
        return call()

    def peak(self, build, images):
        return 5 * images.nbytes


def test_ratios_on_a_gpu_are_relative_to_moving_the_fewest_bytes():
    chosen = [Contestant("one", lambda images: lambda: 3.0), Contestant("two + VJP", lambda images: lambda: 6.0)]
    found = gpu.run([Size(2, 32)], [*chosen, BROKEN, ABSENT], Host(), 3)
    times, peaks = found["rows"][:3], found["rows"][3:]
    assert [(row.name, row.ratio, row.target) for row in times[1:]] == [("one", 1.5, 2.0), ("two + VJP", 1.5, 2.5)]
    assert [row.ratio for row in peaks] == [5, 5]
    assert (found["failed"].keys(), found["missing"].keys()) == ({"broken, 2 of 32x32"}, {"absent"})
    assert math.isclose(times[0].milliseconds, 2000)


def test_contestants_on_a_gpu_run_on_their_backend():
    found = gpu.on("array_api", lambda images: images.sum)(np.ones(1))
    assert found() == 1
    with pytest.raises(ValueError, match="name must be one of"):
        gpu.on("nobody", lambda images: lambda: None)(np.ones(1))


def test_without_a_gpu_it_says_so(capsys):
    with contextlib.suppress(Exception):
        gpu.CUDA()
        pytest.skip("there is a GPU")
    assert gpu.main([]) == 2
    assert "there is no GPU to measure" in capsys.readouterr().err
