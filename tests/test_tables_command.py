"""Learning tables as users do."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from pyjpegdiff.cli import command
from pyjpegdiff.study.settings import read_tables
from tests.photos import photo

NAMES = ("astronaut", "chelsea", "coffee", "rocket")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # the command line changes it
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in NAMES:
        Image.fromarray(photo(name)[:128, :128]).save(tmp_path / "photos" / f"{name}.png")
    return tmp_path


def tables(*arguments):
    return CliRunner().invoke(command, ["tables", *map(str, arguments)])


SHORT = ("photos", "--quality", 60, "--out", "tables.json", "--iterations", 12)


def test_learned_tables_are_written_and_judged(folder):
    done = tables(*SHORT)
    assert done.exit_code == 0, done.output
    first, last = done.stdout.splitlines()
    assert "dB, SSIM" in first
    assert first.count("at equal") == 2
    assert last.startswith("3 learned from, 1 held out: -")
    assert last.endswith("at equal SSIM; tables.json")
    found = read_tables(folder / "tables.json")
    assert json.loads((folder / "tables.json").read_bytes()) == {"luma": [*map(list, found.luma)],
                                                                 "chroma": [*map(list, found.chroma)]}  # fmt: skip
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["tables.json"]
    coded = CliRunner().invoke(
        command, ["code", "photos/coffee.png", "coded.jpg", "--quality", "50", "--tables", "tables.json"]
    )
    assert coded.exit_code == 0, coded.output
    with Image.open("coded.jpg") as file:
        np.testing.assert_array_equal(np.reshape(file.quantization[0], (8, 8)), found.luma)


def test_nothing_is_replaced_without_overwrite(folder):
    (folder / "tables.json").write_text("mine")
    done = tables(*SHORT)
    assert done.exit_code == 2
    assert "tables.json exists; --overwrite replaces it" in done.stderr
    assert (folder / "tables.json").read_text() == "mine"
    assert tables(*SHORT, "--overwrite", "--measure", "ssim").exit_code == 0
    assert read_tables(folder / "tables.json").luma is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("photos/coffee.png", "--quality", 60, "--out", "t.json"), "two photos that differ are needed at least"),
        (("absent.png", "--quality", 60, "--out", "t.json"), "left out: absent.png: no such file"),
        (("photos", "--quality", 100, "--out", "t.json"), "100 is not in the range"),
        (("photos", "--quality", 60, "--out", "photos", "--overwrite"), "photos is a folder"),
        (("photos", "--quality", 60, "--out", "absent/t.json"), "cannot write absent/t.json: No such file"),
        (("photos", "--quality", 60), "Missing option '--out'"),
        (("photos", "--quality", 60, "--out", "t.json", "--max-megapixels", "0.01"), "too large"),
    ],
)
def test_message_about_what_cannot_be_done(folder, arguments, says):
    done = tables(*arguments, *(() if "--iterations" in arguments else ("--iterations", 10)))
    assert done.exit_code == 2
    assert says in done.stderr
    assert not (folder / "t.json").exists()


def test_stopped_and_started_again_it_gives_the_same(folder):
    assert tables(*SHORT[:-1], 300).exit_code == 0
    want = (folder / "tables.json").read_bytes()
    (folder / "tables.json").unlink()
    run = [sys.executable, "-W", "error", "-m", "pyjpegdiff", "tables", *map(str, SHORT[:-1]), "300"]
    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while not (folder / "tables.json.learning").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, ""), said
    assert said == "Stopped. tables.json.learning has it; the same command continues.\n"
    assert not (folder / "tables.json").exists()
    done = tables(*SHORT[:-1], 300)
    assert done.exit_code == 0, done.output
    assert (folder / "tables.json").read_bytes() == want
    assert not (folder / "tables.json.learning").exists()
