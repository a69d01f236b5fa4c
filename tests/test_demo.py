"""The demonstration, run as users run it: in a new interpreter, where a warning is an error."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")
features = pytest.importorskip("PIL.features")
pytest.importorskip("matplotlib")

DEMO = Path(__file__).parents[1] / "examples" / "demo.py"
QUALITIES = [5, 25, 50, 75, 95]
# The same as `python demo.py`, and an error if it imports torch.
RUN = """
import runpy, sys
try:
    runpy.run_path(sys.argv.pop(1), run_name="__main__")
finally:
    assert "torch" not in sys.modules
"""


def demo(*arguments, folder):
    command = [sys.executable, "-W", "error", "-c", RUN, str(DEMO), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def first_backend():
    """In a process of its own, as the demo is: other tests register backends in this one."""
    code = "from pyjpegdiff.backends import available; print(available()[0])"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_table_and_picture(tmp_path):
    rng = np.random.default_rng(0)
    waves = 128 + 80 * np.sin(np.linspace(0, 9, 40)[:, None, None] + np.linspace(0, 5, 56)[:, None] * [1, 2, 3])
    photo = (waves + rng.normal(0, 12, waves.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")

    done = demo("photo.png", "--out", "picture.png", folder=tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    *_, last = lines = done.stdout.splitlines()
    assert last.startswith("Wrote picture.png in ")
    assert lines[0].startswith(f"Backend: {first_backend()}")
    rows = np.array([[float(number) for number in line.split()] for line in lines[-6:-1]])
    quality, psnr, psnr_to_pillow, *gradients, unlike = rows.T
    assert quality.tolist() == QUALITIES
    assert (np.diff(psnr) > 0).all()
    assert (psnr_to_pillow > 40).all()
    assert np.isfinite(gradients).all()
    assert np.all(gradients)
    if features.check_feature("libjpeg_turbo"):
        assert not unlike.any()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "picture.png"]
    with Image.open(tmp_path / "picture.png") as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 1000


@pytest.mark.parametrize("content", [None, b"not a photo"])
def test_photo_that_cannot_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "photo.png").write_bytes(content)

    done = demo("photo.png", folder=tmp_path)

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("demo.py: error: cannot read photo.png: ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "demo.png").exists()


def test_photo_is_not_replaced(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "demo.png")
    before = (tmp_path / "demo.png").read_bytes()

    done = demo("demo.png", folder=tmp_path)

    assert (done.returncode, (tmp_path / "demo.png").read_bytes()) == (2, before)
