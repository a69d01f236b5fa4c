"""The benchmark for GPUs: what it computes from times and bytes, with the host instead of a device."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("skimage")
pytest.importorskip("benchmarks", reason="benchmarks are not part of a distribution")
from benchmarks import gpu, gpu_contestants, ours
from benchmarks.contestants import BACKWARD, FORWARD, Contestant
from benchmarks.photos import Size
from pyjpegdiff import backends, diff_jpeg_coding
from pyjpegdiff.backends.array_api import ArrayAPI

SIZES = [Size("small", 2, 32)]


class Host:
    """A gauge for calls that return the seconds that they are said to take."""

    def described(self):
        return {"name": "host"}

    def copying(self, images):
        return lambda: 2 * images.nbytes / 1e12

    def seconds(self, call):
        return call()

    def peak(self, build, images):
        return 5 * images.nbytes


def call_lasting(bytes_per_pixel):
    return lambda images: lambda: bytes_per_pixel * images.size / 3 / 1e12


@pytest.fixture(scope="module")
def report():
    contestants = [
        Contestant("one", FORWARD, call_lasting(36)),
        Contestant("two", BACKWARD, call_lasting(72)),
        Contestant("broken", FORWARD, lambda images: lambda: 1 / 0),
        Contestant("absent", FORWARD, None, needs=("no_such_module",)),
    ]
    return gpu.run(SIZES, contestants, Host(), repeat=3)


def test_ratios_are_relative_to_moving_the_fewest_bytes(report):
    (size,) = report["sizes"].values()
    assert size["bandwidth"] == pytest.approx(1e12)
    assert {name: found["ratio"] for name, found in size["measured"].items()} == pytest.approx({"one": 1.5, "two": 1.5})
    assert all(found["peak"] == 5 for found in size["measured"].values())
    assert size["failed"] == {"broken": "ZeroDivisionError: division by zero"}
    assert report["missing"] == {"absent": "not installed: no_such_module"}
    assert json.loads(json.dumps(report)) == report


def test_table_has_the_whole_report(report):
    text = gpu.render(report)
    for line in ("2 of 32x32", "broken FAILED", "absent: not installed", "1.00 TB/s", "memory 6 times the batch"):
        assert line in text


def test_without_a_gpu_it_fails_with_a_message():
    if not isinstance(gpu.find_gauge(), str):
        pytest.skip("there is a GPU")
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.gpu"]
    root = Path(gpu.__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no GPU to measure" in done.stderr
    assert not done.stdout


@pytest.mark.parametrize("arguments", [["--only", "nobody"], ["--repeat", "0"], ["--sizes", "7"]])
def test_wrong_options_are_named(arguments, capsys):
    with pytest.raises(SystemExit):
        gpu.main(arguments)
    assert arguments[0].removesuffix("s") in capsys.readouterr().err


class Recording(ArrayAPI):
    """Says which calls it executed."""

    name, automatic = "recording", False

    def __init__(self):
        self.calls = []

    def forward(self, operation, *rest):
        self.calls.append(operation.name)
        return super().forward(operation, *rest)


def test_the_choice_of_a_backend_holds_only_during_the_call():
    backends.register(recording := Recording())
    image = np.full((3, 16, 16), 100.0)

    def build(images):
        diff_jpeg_coding(images, 50)
        return lambda: diff_jpeg_coding(images, 50)

    call = gpu_contestants.on_backend(build, "recording")(image)
    diff_jpeg_coding(image, 50)
    assert recording.calls == ["code"]
    call()
    diff_jpeg_coding(image, 50)
    assert recording.calls == ["code", "code"]


def test_contestants_on_torch_run_on_the_device_they_are_given():
    pytest.importorskip("torch")
    images = np.full((1, 3, 16, 16), 100, np.float32)
    result = ours.torch_forward(device="cpu")(images)()
    assert result.shape == images.shape
    assert ours.torch_forward(device="meta")(images)().device.type == "meta"
