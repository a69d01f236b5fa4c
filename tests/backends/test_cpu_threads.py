"""The compiled kernels in many threads, and in processes that were forked."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pyjpegdiff import backends, diff_jpeg_coding_vjp, jpeg_decode_vjp, jpeg_encode_vjp, set_num_threads
from pyjpegdiff.kernels.library import load
from pyjpegdiff.results import CodingGradients
from tests.samples import MODES, photo_like

pytestmark = pytest.mark.skipif(load() is None, reason="the compiled library is not there")


@pytest.fixture(autouse=True)
def _as_before():
    yield
    set_num_threads(None)


def everything(image, mode, **choices):
    """Results and all gradients of the three operations."""
    with backends.use_backend("cpu_kernels"):
        coded, vjp = diff_jpeg_coding_vjp(image, 60, wrt=CodingGradients._fields, **mode, **choices)
        coefficients, encode_vjp = jpeg_encode_vjp(image, 60, wrt=CodingGradients._fields, **mode, **choices)
        wrt = ("coefficients", "color_matrix", "color_offset")
        decoded, decode_vjp = jpeg_decode_vjp(coefficients, wrt=() if "arithmetic" in mode else wrt, **mode)
        halves = decode_vjp(image)
        if halves.coefficients is None:
            halves = halves._replace(coefficients=coefficients)
        return [
            coded, decoded, *vjp(image), *coefficients[:5], *halves.coefficients[:5], *halves[1:],
            *encode_vjp(halves.coefficients),
        ]  # fmt: skip


def assert_equal(got, want):
    for a, b in zip(got, want, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("mode", MODES[:2])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("shape", [(3, 613, 500), (40, 3, 80, 97)])
def test_results_do_not_depend_on_the_number_of_threads(mode, subsampling, shape):
    """Sums among them, to the bit."""
    image = photo_like(np.random.default_rng(0), shape, np.float32)
    set_num_threads(1)
    want = everything(image, mode, subsampling=subsampling)
    for count in (2, 3, 7):
        set_num_threads(count)
        assert_equal(everything(image, mode, subsampling=subsampling), want)


def test_calls_from_many_threads_at_once():
    rng = np.random.default_rng(0)
    images = [photo_like(rng, (3, *rng.integers(1, 600, 2)), np.float32) for _ in range(12)]
    modes = [MODES[index % 2] for index in range(12)]
    want = [everything(image, mode) for image, mode in zip(images, modes, strict=True)]
    set_num_threads(3)
    with ThreadPoolExecutor(8) as pool:
        for got, expected in zip(pool.map(everything, images, modes), want, strict=True):
            assert_equal(got, expected)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_can_go_on():
    program = """
import os
import numpy as np
from pyjpegdiff import backends, diff_jpeg_coding, set_num_threads
set_num_threads(2)
image = np.random.default_rng(0).uniform(0, 255, (3, 700, 600))
with backends.use_backend("cpu_kernels"):
    here = diff_jpeg_coding(image, 50, ste=True)
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(diff_jpeg_coding(image, 50, ste=True), here) else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert np.array_equal(diff_jpeg_coding(image, 50, ste=True), here)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
