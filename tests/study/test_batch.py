"""Complete studies of files of all kinds."""

import contextlib
import csv
import hashlib
import json
import os
import shutil
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyjpegdiff.study import StoppedError, StudyError, batch, study, study_files, tasks
from pyjpegdiff.study.batch import OUTPUTS
from pyjpegdiff.study.work import Processes

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (30, 40, 3), np.uint8)


def save(path, pixels=RGB, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


def written(out):
    with (out / "measurements.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "in"


def test_files_of_all_kinds(folder):
    save(folder / "a" / "same name.png")
    save(folder / "b" / "same name.png", RGB[::-1])
    save(folder / "copy of a.bmp")
    save(folder / "gray.tif", RGB[..., 0])
    save(folder / "tiny <&>.png", RGB[:2, :3])
    save(folder / "日本.png", np.dstack([RGB, RGB[..., :1]]))
    (folder / "broken.png").write_bytes((folder / "a" / "same name.png").read_bytes()[:200])
    (folder / "text.jpg").write_text("none")

    found = study_files([Path("in"), "absent.png"], [90, 10, 90], "out", jobs=2)

    names = [image.name for image in found.images]
    assert names == ["in/copy of a.bmp", "in/gray.tif", "in/tiny <&>.png", "in/日本.png", "in/a/same name.png",
                     "in/b/same name.png"]  # fmt: skip
    assert sorted(failure.name for failure in found.failures) == ["absent.png", "in/broken.png", "in/text.jpg"]
    assert dict(found.failures)["absent.png"] == "no such file"
    rows = written(folder.parent / "out")
    assert [(row["image"], row["quality"]) for row in rows] == [(name, q) for name in names for q in ("10", "90")]
    by_name = {(row["image"], int(row["quality"])): row for row in rows}
    for name, pixels in {"in/a/same name.png": RGB, "in/gray.tif": RGB[..., 0], "in/tiny <&>.png": RGB[:2, :3]}.items():
        for want in study(pixels, [10, 90]):
            row = by_name[name, want.quality]
            for column in ("psnr", "ssim", "psnr_b", "bits_per_pixel", "rd_slope"):
                np.testing.assert_equal(float(row[column]), getattr(want, column))
            for column in ("file_bytes", "luma_dc_bits", "luma_ac_bits", "chroma_dc_bits", "chroma_ac_bits"):
                assert int(row[column]) == getattr(want, column)
            assert (int(row["height"]), int(row["width"])) == pixels.shape[:2]
            assert int(row["channels"]) == (3 if pixels.ndim == 3 else 1)
    assert by_name["in/日本.png", 10]["note"] == "transparency on white"
    assert by_name["in/tiny <&>.png", 10]["ssim"] == "nan"
    with (folder.parent / "out" / "frequencies.csv").open(encoding="utf-8", newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == 6 * 2 * 64
    assert len(list(Path("out").glob("rows/*/*.json"))) == 5 * 2  # equal images are measured once
    assert sorted(path.name for path in Path("out").iterdir()) == sorted([*OUTPUTS, "rows", "study.json"])
    page = Path("out", "report.html").read_text(encoding="utf-8")
    for text in ("tiny &lt;&amp;&gt;.png", "日本.png", "a/same name.png", "absent.png", "no such file"):
        assert text in page


def test_infinite_and_missing_numbers_in_csv(folder):
    save(folder / "flat.png", np.full((3, 3), 128, np.uint8))
    study_files([folder], [50], "out")
    (row,) = written(Path("out"))
    assert (row["psnr"], row["psnr_b"], row["ssim"]) == ("inf", "inf", "nan")
    np.testing.assert_array_equal([float(row["psnr"]), float(row["ssim"])], [np.inf, np.nan])


def test_rows_are_not_measured_again(folder, monkeypatch):
    save(folder / "a.png")
    measured = []
    real = batch.measure_row
    monkeypatch.setattr(batch, "measure_row", lambda row: measured.append((row.image.name, row.quality)) or real(row))
    study_files(["in"], [10, 90], "out")
    before = {name: Path("out", name).read_bytes() for name in OUTPUTS}
    assert measured == [("in/a.png", 10), ("in/a.png", 90)]

    study_files(["in"], [10, 90], "out")
    assert len(measured) == 2
    assert {name: Path("out", name).read_bytes() for name in OUTPUTS} == before

    save(folder / "b.png", RGB[::-1])
    with pytest.raises(StudyError, match=r"differs in qualities$"):
        study_files(["in"], [10, 50, 90], "out")
    assert {name: Path("out", name).read_bytes() for name in OUTPUTS} == before
    study_files(["in"], [10, 50, 90], "out", overwrite=True)
    assert measured[2:] == [("in/a.png", 50), ("in/b.png", 10), ("in/b.png", 50), ("in/b.png", 90)]

    save(folder / "a.png", RGB[:, ::-1])  # other content under the same name
    study_files(["in"], [10, 50, 90], "out")
    assert len(measured) == 9


def test_rows_without_the_columns_of_today_are_measured_again(folder):
    """A study of an older version goes on in its folder."""
    save(folder / "a.png")
    study_files(["in"], [10, 90], "out")
    before = {name: Path("out", name).read_bytes() for name in OUTPUTS}
    assert before["measurements.csv"].splitlines()[0].decode() == (
        "image,width,height,channels,note,quality,psnr,ssim,psnr_b,file_bytes,bits_per_pixel,"
        "luma_dc_bits,luma_ac_bits,chroma_dc_bits,chroma_ac_bits,rd_slope"
    )
    for path in Path("out").glob("rows/*/*.json"):
        _, row = json.loads(path.read_bytes())
        for name in [name for name in row if name.endswith("_bits") or name == "rd_slope"]:
            del row[name]
        digest, quality = path.stem.rsplit("-", 1)
        content = json.dumps(row).encode()
        signed = f"{path.parent.name} {digest} {int(quality)} ".encode() + content
        path.write_bytes(b'["%s", %s]' % (hashlib.sha256(signed).hexdigest().encode(), content))
    states = []
    study_files(["in"], [10, 90], "out", progress=lambda *state: states.append(state))
    assert ("measuring", 0, 2) in states
    assert {name: Path("out", name).read_bytes() for name in OUTPUTS} == before


@pytest.mark.parametrize("subsampling", ["4:2:2", "4:4:0", "4:4:4"])
def test_every_subsampling(folder, subsampling):
    save(folder / "a.png")
    study_files(["in"], [50], "out", subsampling=subsampling)
    (row,), (want,) = written(Path("out")), study(RGB, [50], subsampling=subsampling)
    assert int(row["file_bytes"]) == want.file_bytes
    assert f"<dd>{subsampling}</dd>" in Path("out/report.html").read_text(encoding="utf-8")


def test_outputs_are_not_inputs(folder):
    save(folder / "a.png")
    for _ in range(2):
        found = study_files(["in"], [50], "in/out")
        assert [image.name for image in found.images] == ["in/a.png"]


def test_images_beside_the_outputs_are_inputs(folder):
    save(folder / "a.png")
    for _ in range(2):
        found = study_files(["in"], [50], "in")
        assert [image.name for image in found.images] == ["in/a.png"]
        assert found.failures == []


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_look_the_same_when_printed_stay_two(folder):
    save(folder / "a\n.png")
    save(folder / r"a\n.png", RGB[::-1])
    study_files(["in"], [50], "out")
    rows = written(Path("out"))
    assert [row["image"] for row in rows] == [r"in/a\n.png", r"in/a\n.png (another)"]
    assert len({row["psnr"] for row in rows}) == 2


def test_a_process_that_dies_is_not_reported_as_a_stop(folder, monkeypatch):
    save(folder / "a.png")
    stop_requested = False

    def run(self, function, tasks):
        self._stop.requested = stop_requested
        raise BrokenProcessPool

    monkeypatch.setattr(Processes, "run", run)
    with pytest.raises(StudyError, match=r'too little memory.*script without `if __name__ == "__main__":`') as caught:
        study_files(["in"], [50], "out", jobs=2)
    assert not isinstance(caught.value, StoppedError)
    stop_requested = True
    with pytest.raises(StoppedError):
        study_files(["in"], [50], "out", jobs=2)


def test_an_image_that_changes_during_the_study_is_left_out(folder):
    for name in "abc":
        save(folder / f"{name}.png", np.roll(RGB, ord(name), 0))

    def progress(phase, done, total):
        if (phase, done) == ("measuring", 0):
            save(folder / "b.png", RGB[:, ::-1])
            (folder / "c.png").unlink()

    found = study_files(["in"], [50], "out", progress=progress)
    assert [image.name for image in found.images] == ["in/a.png"]
    assert found.failures == [("in/b.png", "changed during the study"), ("in/c.png", "no such file")]


@pytest.mark.parametrize("change", [lambda path: save(path, RGB[:, ::-1]), lambda path: path.unlink()])
def test_an_image_that_changes_before_it_is_drawn_is_left_out(folder, change):
    for name in "ab":
        save(folder / f"{name}.png", np.roll(RGB, ord(name), 0))

    def progress(phase, done, total):
        if (phase, done) == ("drawing", 0):
            change(folder / "a.png")  # the other one was read last, and is still in memory

    found = study_files(["in"], [50], "out", progress=progress)
    assert [image.name for image in found.images] == ["in/b.png"]
    assert [failure.name for failure in found.failures] == ["in/a.png"]
    assert [row["image"] for row in written(Path("out"))] == ["in/b.png"]


def test_paths_that_the_system_refuses_are_left_out(folder):
    save(folder / "a.png")
    found = study_files(["x" * 300, "in/a.png", "null\0.png"], [50], "out")
    assert [image.name for image in found.images] == ["in/a.png"]
    assert [failure.name for failure in found.failures] == ["x" * 300, r"null\x00.png"]


def test_names_with_an_underscore_and_formulas_are_in_all_outputs(folder):
    for name in ("_DSC0001.JPG", "_MG_2.jpg", "=1+1.png", "a $x_1$.png"):
        save(folder / name, np.roll(RGB, len(name), 0))
    with contextlib.chdir(folder):
        study_files(["."], [50, 90], "out")
    names = ["./=1+1.png", "_DSC0001.JPG", "_MG_2.jpg", "a $x_1$.png"]
    assert [row["image"] for row in written(folder / "out")[::2]] == names
    page = (folder / "out" / "report.html").read_text(encoding="utf-8")
    assert all(name.removeprefix("./") in page for name in names)


def test_another_study_at_work_in_the_folder(folder):
    save(folder / "a.png")

    def progress(phase, done, total):
        if (phase, done) == ("measuring", 0):
            with pytest.raises(StudyError, match="another study is at work in out"):
                study_files(["in"], [60], "out", overwrite=True)

    study_files(["in"], [50], "out", progress=progress)
    assert [row["quality"] for row in written(Path("out"))] == ["50"]


def test_too_little_memory_leaves_out_only_that_image(folder, monkeypatch):
    save(folder / "a.png")
    save(folder / "copy.png")
    save(folder / "b.png", RGB[:8])
    real = tasks.measure

    def measure(pixels, *rest):
        if pixels.size == RGB.size:
            raise MemoryError
        return real(pixels, *rest)

    monkeypatch.setattr(tasks, "measure", measure)
    found = study_files(["in"], [50], "out")
    assert [image.name for image in found.images] == ["in/b.png"]
    assert found.failures == [(f"in/{name}.png", "does not fit into memory") for name in ("a", "copy")]


def test_without_images_nothing_is_written(folder):
    folder.mkdir()
    (folder / "text.png").write_text("none")
    for paths in (["in"], ["absent"], [folder]):
        with pytest.raises(StudyError, match="no image that can be read"):
            study_files(paths, [50], "out")
    assert not Path("out").exists()


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    save(folder / "a.png")
    save(folder / "shut" / "b.png")
    real = os.scandir

    def scandir(path):
        if Path(path).name == "shut":  # permissions have no effect for root
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    found = study_files(["in"], [50], "out")
    assert [image.name for image in found.images] == ["in/a.png"]
    assert found.failures == [("in/shut", "is a folder, and cannot be listed")]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_circular_links_and_links_to_the_same_file(folder):
    save(folder / "a.png")
    (folder / "loop").symlink_to(folder)
    (folder / "b.png").symlink_to("a.png")
    (folder / "dangling.png").symlink_to("absent.png")
    found = study_files(["in"], [50], "out")
    assert [image.name for image in found.images] == ["in/a.png"]
    assert found.failures == [("in/dangling.png", "is a link to no file")]


def test_the_report_of_many_images_shows_the_worst(folder, monkeypatch):
    monkeypatch.setattr(batch, "SHOWN", 2)
    for strength in (0, 10, 20, 30):
        pixels = (128 + RNG.normal(0, 1, (24, 24)) * strength).clip(0, 255).astype(np.uint8)
        save(folder / f"{strength}.png", pixels)
    study_files(["in"], [50], "out")
    page = Path("out/report.html").read_text(encoding="utf-8")
    assert [name for name in ("0", "10", "20", "30") if f"<h3>{name}.png</h3>" in page] == ["20", "30"]
    assert "The 2 with the lowest PSNR; all 4 are in measurements.csv." in page


def test_a_stopped_study_is_continued(folder):
    save(folder / "a.png")
    qualities = list(range(10, 100, 10))

    def progress(phase, done, total):
        if (phase, done) == ("measuring", 3):
            signal.raise_signal(signal.SIGINT)

    calls = []
    with pytest.raises(StoppedError, match="stopped while measuring"):
        study_files(["in"], qualities, "out", progress=progress, stopping=lambda: calls.append(1))
    assert calls == [1]
    assert len(list(Path("out").glob("rows/*/*.json"))) == 3
    assert not Path("out/report.html").exists()
    states = []
    study_files(["in"], qualities, "out", progress=lambda *state: states.append(state))
    assert ("measuring", 3, 9) in states
    assert ("measuring", 2, 9) not in states
    shutil.copytree("out", "stopped")
    study_files(["in"], qualities, "whole")
    for name in OUTPUTS:
        assert Path("stopped", name).read_bytes() == Path("whole", name).read_bytes()


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"paths": []}, ValueError, "paths must not be empty"),
        ({"paths": "photos"}, TypeError, r"paths must be several paths, such as \['photos'\], got 'photos'"),
        ({"paths": Path("photos")}, TypeError, "paths must be several paths.*Path.*photos"),
        ({"paths": None}, TypeError, "paths must be several paths.*None"),
        ({"paths": ["a.png", ""]}, ValueError, "paths must be several paths.*got '' among them"),
        ({"out": ""}, ValueError, "out must be a path that a folder can have, got ''"),
        ({"out": "a\0b"}, ValueError, "out must be a path that a folder can have"),
        ({"out": 5}, TypeError, "out must be a path, got 5"),
        ({"paths": ["a.png", 5]}, TypeError, "paths must be several paths.*got 5 among them"),
        ({"qualities": []}, ValueError, "qualities must not be empty"),
        ({"qualities": [101]}, ValueError, "qualities.*101"),
        ({"qualities": 50}, TypeError, "qualities.*got 50"),
        ({"jobs": 0}, ValueError, "jobs must be a whole number, at least 1, got 0"),
        ({"jobs": 1.5}, TypeError, "jobs.*1.5"),
        ({"jobs": True}, TypeError, "jobs.*True"),
        ({"jobs": None}, TypeError, "jobs must be a whole number, at least 1, got None"),
        ({"subsampling": "4:1:1"}, ValueError, "subsampling"),
    ],
)
def test_bad_arguments(tmp_path, change, error, says):
    with pytest.raises(error, match=says):
        study_files(**{"paths": ["x.png"], "qualities": [50], "out": tmp_path / "out", **change})
    assert not (tmp_path / "out").exists()
