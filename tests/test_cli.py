"""The command line as users run it: in a separate process, where a warning is an error."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pyjpegdiff import cli, diff_jpeg_coding
from pyjpegdiff.cli import command, qualities_of
from tests.clusters import cluster, local_cluster  # noqa: F401
from tests.photos import photo, pillow, pillow_file

RUN = [sys.executable, "-W", "error", "-m", "pyjpegdiff"]
RGB = photo("chelsea")[100:180, 100:200]


def pyjpegdiff(*arguments, **options):
    """Run the command line in this process, which is faster."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], **options)


def pixels(path):
    with Image.open(path) as file:
        return np.array(file)


@pytest.fixture
def image(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # the command line changes it
    path = tmp_path / "image.png"
    Image.fromarray(RGB).save(path)
    return path


# --- code -------------------------------------------------------------------------------------------------------------


def test_code_writes_the_round_trip_through_pillow(image, tmp_path):
    for options, want in (
        ([], pillow(RGB, 30)),
        (["--subsampling", "4:4:4"], pillow(RGB, 30, "4:4:4")),
        (["--tables", image.with_suffix(".txt")], pillow(RGB, 30, qtables=[list(range(1, 65))] * 2)),
    ):
        image.with_suffix(".txt").write_text(" ".join(map(str, range(1, 65))))
        out = tmp_path / f"out{len(options)}.png"
        out.unlink(missing_ok=True)
        done = pyjpegdiff("code", image, out, "--quality", 30, *options)
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(pixels(out), want)
        assert "at quality 30: PSNR " in done.output


def test_code_accepts_subsamplings_that_pillow_does_not_write(image, tmp_path):
    out = tmp_path / "out.png"
    done = pyjpegdiff("code", image, out, "--quality", 30, "--subsampling", "4:4:0")
    assert done.exit_code == 0, done.output
    want = diff_jpeg_coding(RGB.astype(np.float32), 30, ste=True, channel_axis=-1, arithmetic="libjpeg",
                            subsampling="4:4:0")  # fmt: skip
    np.testing.assert_array_equal(pixels(out), want)
    assert pyjpegdiff("study", image, "--out", tmp_path / "o", "--subsampling", "4:1:1").exit_code == 2
    assert (
        pyjpegdiff(
            "study", image, "--out", tmp_path / "o", "--subsampling", "4:4:0", "--jobs", "1", "--quality", "30,80"
        ).exit_code
        == 0
    )


@pytest.mark.parametrize("options", [(), ("--subsampling", "4:4:0"), ("--tables", "there.txt")])
@pytest.mark.parametrize("gray", [False, True])
def test_code_writes_the_file_of_what_it_shows(image, monkeypatch, options, gray):
    monkeypatch.chdir(image.parent)
    Image.fromarray(RGB[..., 0] if gray else RGB).save(image)
    Path("there.txt").write_text(" ".join(map(str, range(1, 65))))
    for out in ("out.png", "out.jpg", "again.JPEG"):
        done = pyjpegdiff("code", image, out, "--quality", "30.5", *options)
        assert done.exit_code == 0, done.output
        np.testing.assert_array_equal(pixels(out), pixels("out.png"))
    assert f"dB, {Path('again.JPEG').stat().st_size} bytes, again.JPEG" in done.output


def test_code_writes_the_file_of_pillow(image, tmp_path):
    out = tmp_path / "out.jpg"
    assert pyjpegdiff("code", image, out, "--quality", 30).exit_code == 0
    assert out.read_bytes() == pillow_file(RGB, 30, optimize=True)


def test_code_keeps_grayscale_and_names_conversions(image, tmp_path):
    Image.fromarray(np.dstack([RGB[..., 0], RGB[..., 1]])).save(image)
    done = pyjpegdiff("code", image, tmp_path / "out.png", "--quality", "72.5", "--arithmetic", "float")
    assert done.exit_code == 0
    assert "(transparency on white) at quality 72.5" in done.output
    with Image.open(tmp_path / "out.png") as result:
        assert result.mode == "L"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["absent.png", "out.png", "--quality", "5"], "absent.png: no such file"),
        (["image.png", "out.gif", "--quality", "5"], "must end in .png or .jpg"),
        (["image.png", "out.jpg", "--quality", "5", "--arithmetic", "float"], "out.jpg needs --arithmetic libjpeg"),
        (["image.png", "out", "--quality", "5"], "must end in .png"),
        (["image.png", "there.png", "--quality", "5"], "there.png exists; --overwrite replaces it"),
        (["image.png", "image.png", "--quality", "5", "--overwrite"], "would replace the input image"),
        (["image.png", "no/folder.png", "--quality", "5"], "cannot write no/folder.png: No such file or directory"),
        (["image.png", "out.png", "--quality", "0"], "0.0 is not in the range 1<=x<=100"),
        (["image.png", "out.png"], "Missing option '--quality'"),
        (["image.png", "out.png", "--quality", "5", "--tables", "there.png"], "neither a JPEG file nor text"),
        (["image.png", "out.png", "--quality", "5", "--tables", "absent"], "absent: No such file or directory"),
        (
            ["image.png", "out.png", "--quality", "5", "--max-megapixels", "0.001"],
            "too large: 0.008 megapixels; --max-megapixels",
        ),
        (["image.png", "out.png", "--quality", "nan"], "nan is not a finite number"),
        (["image.png", "out.png", "--quality", "5", "--max-megapixels", "nan"], "nan is not a finite number"),
        (["image.png", "out.png", "--quality", "5", "--max-megapixels", "inf"], "inf is not a finite number"),
        ([".", "out.png", "--quality", "5"], ". is a folder: code takes one image"),
        (["", "out.png", "--quality", "5"], "Invalid value for 'IN': a path must not be empty"),
        (["image.png", "", "--quality", "5"], "Invalid value for 'OUT': a path must not be empty"),
        (["image.png", "out.png", "--quality", "5", "--tables", ""], "'--tables': a path must not be empty"),
        (["image.png", "x" * 300 + ".png", "--quality", "5"], "File name too long"),
        (["x" * 300, "out.png", "--quality", "5"], "File name too long"),
        (["image.png", "out.png", "--quality", "9" * 5000], "inf is not in the range"),
    ],
)
def test_code_with_wrong_arguments_writes_nothing(image, monkeypatch, arguments, says):
    monkeypatch.chdir(image.parent)
    there = Path("there.png")
    there.write_bytes(image.read_bytes())
    done = pyjpegdiff("code", *arguments)
    assert done.exit_code == 2
    assert says in done.output
    assert sorted(path.name for path in image.parent.iterdir()) == ["image.png", "there.png"]
    assert there.read_bytes() == image.read_bytes()


def test_code_of_any_number_of_megapixels(image, tmp_path):
    for number, status in (("1e-6", 2), ("1e308", 0)):
        done = pyjpegdiff("code", image, tmp_path / "out.png", "--quality", 30, "--max-megapixels", number)
        assert (done.exit_code, "too large" in done.output) == (status, status == 2)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_code_without_memory_and_stopped(image, tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(cli, "compressed", fail)
    done = pyjpegdiff("code", image, tmp_path / "out.png", "--quality", 30)
    assert (done.exit_code, done.stderr) == {
        MemoryError: (2, "Error: this does not fit into memory\n"),
        KeyboardInterrupt: (130, ""),
    }[error]
    assert not (tmp_path / "out.png").exists()


def test_code_overwrites_on_request(image, tmp_path):
    out = tmp_path / "there.png"
    out.write_text("mine")
    assert pyjpegdiff("code", image, out, "--quality", 30, "--overwrite").exit_code == 0
    np.testing.assert_array_equal(pixels(out), pillow(RGB, 30))


# --- study ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("75", [75]),
        ("5:95:5", list(range(5, 100, 5))),
        ("10,50,90", [10, 50, 90]),
        ("90,10:14,12", [10, 11, 12, 13, 14, 90]),
        ("1:100:50", [1, 51]),
    ],
)
def test_quality_lists(text, want):
    assert qualities_of(None, None, text) == want


@pytest.mark.parametrize("text", ["", "a", "5:", "5:95:5:1", "0", "101", "95:5", "5:95:0", "5:95:-5", "7.5", "5,,6"])
def test_wrong_quality_lists(text, tmp_path):
    done = pyjpegdiff("study", "x.png", "--out", tmp_path / "out", "--quality", text)
    assert done.exit_code == 2
    assert "Invalid value for '--quality'" in done.output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("95:5:5", "'95:5:5' must go upwards, as 5:95:5 does"),
        ("0:95:5", "'0:95:5' must lie in 1..100"),
        ("5:101", "'5:101' must lie in 1..100"),
        ("5:95:0", "'5:95:0' must have a step of at least 1"),
    ],
)
def test_message_about_a_wrong_quality_list(text, says):
    assert says in pyjpegdiff("study", "x.png", "--out", "out", "--quality", text).output


def test_study_names_files_left_out(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(RGB).quantize(9).save("palette.png")
    Path("broken.jpg").write_bytes(pillow_file(RGB, 50)[:300])
    arguments = ["study", ".", "--out", "out", "--quality", "10,90", "--jobs", "1"]
    done = pyjpegdiff(*arguments)
    assert done.exit_code == 1
    assert done.stdout == "2 images at 2 qualities: out/report.html\n"
    note, left_out = done.stderr.splitlines()
    assert note == "note: palette.png: palette converted to RGB"
    assert left_out.startswith("left out: broken.jpg: ")
    Path("broken.jpg").unlink()
    assert pyjpegdiff(*arguments).exit_code == 0
    done = pyjpegdiff(*arguments, "--subsampling", "4:4:4")
    assert done.exit_code == 2
    assert (
        "out holds a study that differs in setting subsampling; --overwrite replaces it, but uses rows with the same"
        in done.stderr
    )
    assert pyjpegdiff(*arguments, "--subsampling", "4:4:4", "--overwrite").exit_code == 0


def test_study_with_wrong_arguments_writes_nothing(image, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    for arguments, says in (
        (["absent.png", "--out", "out"], "no image that can be read\n  absent.png: no such file"),
        (["image.png", "--out", "file"], "cannot write file"),
        (["image.png"], "Missing option '--out'"),
        (["--out", "out"], "Missing argument 'PATH...'"),
        (["image.png", "--out", ""], "Invalid value for '--out': a path must not be empty"),
        (["image.png", "", "--out", "out"], "Invalid value for 'PATH...': a path must not be empty"),
        (["image.png", "--out", "out", "--jobs", "0"], "0 is not in the range"),
        (["image.png", "--out", "out", "--max-megapixels", "0.001"], "image.png: too large: "),
    ):
        done = pyjpegdiff("study", *arguments)
        assert done.exit_code == 2, done.output
        assert says in done.output
        assert not Path("out").exists()


def test_existing_files_are_not_replaced_without_overwrite(image, tmp_path):
    (tmp_path / "measurements.csv").write_text("mine")
    done = pyjpegdiff("study", image, "--out", tmp_path, "--quality", "50")
    assert done.exit_code == 2
    assert "has files that a study would replace: measurements.csv; --overwrite replaces it" in done.output
    assert (tmp_path / "measurements.csv").read_text() == "mine"


# --- in separate processes --------------------------------------------------------------------------------------------


def test_study_needs_no_torch_and_no_warning(image, tmp_path):
    code = (
        "import sys\nfrom pyjpegdiff.__main__ import main\n"
        "try:\n    main()\nfinally:\n    assert not {'torch', 'distributed', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    command = [sys.executable, "-W", "error", "-c", code, "study", str(image), "--out", "out", "--quality", "50"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "1 image at 1 quality: out/report.html\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize(
    "arguments", [["code", "image.png", "out.png", "--quality", "5", "--overwrite"], ["code", "-h"]]
)
def test_an_output_that_takes_nothing(image, arguments):
    says = "Error: cannot write to the output: No space left on device\n"
    for output, errors in (("full", None), ("full", "full"), ("closed", None), ("closed", "closed")):
        redirect = {"full": "/dev/full", "closed": "&-"}
        shell = f'exec "$@" >{redirect[output]}' + (f" 2>{redirect[errors]}" if errors else "")
        done = subprocess.run(
            ["sh", "-c", shell, "sh", *RUN, *arguments], cwd=image.parent, capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stderr) == ((0, "") if output == "closed" else (2, "" if errors else says))


def test_a_terminal_without_the_characters_of_a_name(image):
    image.rename(image.with_name("日本.png"))
    for name, says in (("日本.png", r"\u65e5\u672c.png at quality 5"), ("本.png", r"\u672c.png: no such file")):
        done = subprocess.run(
            [*RUN, "code", name, f"{name}.png", "--quality", "5"], cwd=image.parent, capture_output=True, text=True,
            timeout=60, env={**os.environ, "PYTHONIOENCODING": "latin-1:strict"},
        )  # fmt: skip
        assert says in done.stdout + done.stderr
        assert "Traceback" not in done.stderr


def test_help_has_examples_and_options():
    for arguments, words in (
        ([], ["Examples:", "code", "study", "tables"]),
        (["tables"], ["Examples:", "--quality 75", "held out", "Ctrl-C", "Exits with 0"]),
        (["code"], ["Examples:", "--quality", "cjpeg -qtables"]),
        (["study"], ["Examples:", "--quality 10,50,90", "Ctrl-C", "Exits with 0", "report.html"]),
    ):
        done = subprocess.run([*RUN, *arguments, "--help"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0
        assert all(word in done.stdout for word in words)


def test_command_line_without_the_extra_names_what_to_install():
    code = "import sys; sys.modules['click'] = None; from pyjpegdiff.__main__ import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr == 'pyjpegdiff: click is not installed; run: pip install "pyjpegdiff[cli]"\n'


def test_import_without_the_extra_names_what_to_install():
    code = "import sys; sys.modules['PIL'] = None; import pyjpegdiff.study"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    says = 'PIL, which pyjpegdiff.study needs, is not installed; run: pip install "pyjpegdiff[cli]"'
    assert done.stderr.splitlines()[-1] == f"ModuleNotFoundError: {says}"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(photo(name)[:256, :256]).save(folder / f"{name}.png")
    return folder


def begin(folder, out, jobs, *options):
    """Start a study in a new process group, as a shell does, and wait until it has measured some rows."""
    number = () if jobs is None else ("--jobs", str(jobs))
    command = [*RUN, "study", folder.name, "--out", out, *number, *options]
    process = subprocess.Popen(
        command, cwd=folder.parent, text=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    deadline = time.monotonic() + 60
    while len(rows(folder.parent / out)) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None, process.communicate()
    return process


def rows(out):
    return {path: path.stat().st_mtime_ns for path in out.glob("rows/*/*.json")}


def assert_no_process_remains(process):
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("a process of the study is still running")


posix = pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")


@posix
@pytest.mark.parametrize(
    ("jobs", "number", "send"),
    [(1, "SIGINT", "killpg"), (2, "SIGINT", "killpg"), (2, "SIGTERM", "kill"), (2, "SIGTERM", "killpg")],
)
def test_interrupted_and_resumed(photos, tmp_path, jobs, number, send):
    process = begin(photos, "out", jobs)
    # Ctrl-C reaches the whole group, `kill` one process; a supervisor may send a signal to either.
    getattr(os, send)(process.pid, getattr(signal, number))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "Stopping after the rows that have been started; Ctrl-C again stops at once.",
        "Stopped. The measured rows are saved in out; the same command continues from there.",
    ]
    assert_no_process_remains(process)
    saved = rows(tmp_path / "out")
    assert 3 <= len(saved) < 38
    assert not list(tmp_path.glob("out/**/*.partial"))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["rows", "study.json"]

    done = subprocess.run(
        [*RUN, "study", "photos", "--out", "out", "--jobs", "2"], cwd=tmp_path, capture_output=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, b"")
    after = rows(tmp_path / "out")
    assert len(after) == 38
    assert {path: after[path] for path in saved} == saved  # none was written again
    if jobs == 1:
        done = subprocess.run([*RUN, "study", "photos", "--out", "whole"], cwd=tmp_path, timeout=120)
        assert done.returncode == 0
        for name in ("measurements.csv", "frequencies.csv", "report.html"):
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_stopped_before_anything_was_measured(image, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("pyjpegdiff.study.batch.study_files", stop)
    done = pyjpegdiff("study", image, "--out", tmp_path / "out", "--quality", "50")
    assert done.exit_code == 130
    assert done.stderr == "Stopped. Nothing is measured yet.\n"


@pytest.fixture
def small_and_large(tmp_path):
    """A small image, and a large one, of which a row takes seconds."""
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(RGB).save(folder / "a.png")
    Image.fromarray(np.tile(photo("astronaut"), (5, 5, 1))).save(folder / "b.png", compress_level=1)
    return folder


def end_at_once(process):
    """Press Ctrl-C, and again while rows of the large image are measured."""
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr.readline().startswith("Stopping after the rows that have been started")
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Stopped. The measured rows are saved in out; the same command continues from there.\n"
    assert_no_process_remains(process)


@posix
def test_a_second_ctrl_c_ends_at_once(small_and_large, tmp_path):
    end_at_once(begin(small_and_large, "out", 2, "--quality", "30:50:10"))
    assert 3 <= len(rows(tmp_path / "out")) < 6


@posix
def test_no_process_remains_after_the_parent_is_killed(photos):
    process = begin(photos, "out", 2)
    process.kill()
    process.communicate(timeout=60)
    assert_no_process_remains(process)


# --- on a cluster -----------------------------------------------------------------------------------------------------


@posix
def test_on_a_cluster_interrupted_and_resumed(photos, tmp_path, cluster):
    on_cluster = ("--scheduler", cluster.scheduler_address)
    process = begin(photos, "out", None, *on_cluster)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines() == [
        "Stopping after the rows that have been started; Ctrl-C again stops at once.",
        "Stopped. The measured rows are saved in out; the same command continues from there.",
    ]
    saved = rows(tmp_path / "out")
    assert 3 <= len(saved) < 38
    command = [*RUN, "study", "photos", "--out", "out", *on_cluster]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "2 images at 19 qualities: out/report.html\n"
    after = rows(tmp_path / "out")
    assert len(after) == 38
    assert {path: after[path] for path in saved} == saved


@posix
def test_on_a_cluster_a_second_ctrl_c_ends_at_once(small_and_large, tmp_path, cluster):
    options = ("--scheduler", cluster.scheduler_address, "--quality", "30:50:10")
    end_at_once(begin(small_and_large, "out", None, *options))
    assert 3 <= len(rows(tmp_path / "out")) < 6
    deadline = time.monotonic() + 60
    while cluster.scheduler.tasks and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not cluster.scheduler.tasks  # nothing goes on there


@posix
def test_on_a_cluster_whose_scheduler_goes_away(photos):
    with local_cluster() as found:
        # So many rows that they are not done before the cluster is closed.
        process = begin(photos, "out", None, "--scheduler", found.scheduler_address, "--quality", "1:99:1")
        found.close()
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (2, "")
    assert errors == (
        "Error: the scheduler of the cluster is gone, or has canceled the study; the measured rows are saved, and the "
        "same study continues from there\n"
    )


def test_without_a_scheduler_at_the_address(image, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(cli, "CONNECTING", 0.5)
    for address in ("tcp://127.0.0.1:1", "nowhere", "ftp://127.0.0.1:1"):
        done = pyjpegdiff("study", image, "--out", tmp_path / "out", "--scheduler", address)
        assert (done.exit_code, done.stdout) == (2, "")
        assert f"no scheduler answers at {address}: " in done.stderr
        assert not (tmp_path / "out").exists()


def test_jobs_and_a_scheduler_at_once(image, tmp_path):
    done = pyjpegdiff("study", image, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1", "--jobs", "2")
    assert done.exit_code == 2
    assert "--jobs is for processes here; with --scheduler the cluster's workers do the work." in done.stderr


def test_a_scheduler_without_the_extra_names_what_to_install(image, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    done = pyjpegdiff("study", image, "--out", tmp_path / "out", "--scheduler", "tcp://127.0.0.1:1")
    assert done.exit_code == 2
    says = 'distributed, which --scheduler needs, is not installed; run: pip install "pyjpegdiff[cli,dask]"'
    assert says in done.stderr
