"""Memory of freed large arrays, used again."""

import gc
import subprocess
import sys
import threading

import numpy as np
import pytest

from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp
from pyjpegdiff.backends import memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere arrays are NumPy's")
SHAPE, DTYPE = (3, 1500, 1000), np.dtype("float32")  # 18 MB


def start(array):
    return array.__array_interface__["data"][0]


def test_as_numpys():
    for shape in ((), (0, 3), (5, 7), SHAPE):
        for dtype in ("uint8", "float16", "float32", "float64"):
            made = memory.empty(shape, np.dtype(dtype))
            assert (made.shape, made.dtype) == (shape, dtype)
            assert made.flags.carray
            made[...] = 3
            assert (made == 3).all()
    assert start(memory.empty(SHAPE, DTYPE)) % 4096 == 0


def test_only_what_nobody_holds_is_used_again():
    first = memory.empty(SHAPE, DTYPE)
    first[...] = 1
    view, where = first[1, ::2].T, start(first)
    del first
    second = memory.empty(SHAPE, DTYPE)
    second[...] = 2
    assert start(second) != where
    assert (view == 1).all()
    del view
    gc.collect()
    assert start(memory.empty(SHAPE, DTYPE)) == where


def test_few_are_kept():
    pieces = [memory.empty(SHAPE, DTYPE) for _ in range(memory.MOST_KEPT + 3)]
    places = {start(piece) for piece in pieces}
    assert len(places) == len(pieces)
    del pieces
    again = [memory.empty(SHAPE, DTYPE) for _ in places]
    assert len({start(piece) for piece in again}) == len(again)
    assert len(places.intersection(map(start, again))) >= memory.MOST_KEPT


def test_many_threads_never_share():
    wrong = []

    def work(number):
        for _ in range(30):
            array = memory.empty(SHAPE, DTYPE)
            array[:, ::50] = number
            if not (array[:, ::50] == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_and_gradients_of_large_images_stay_what_they_are():
    """While later calls use what was freed."""
    rng = np.random.default_rng(0)
    images = [rng.uniform(0, 255, (3, 1216, 1200)).astype(np.float32) for _ in range(3)]
    kept = []
    for image in (*images, *images):
        coded, vjp = diff_jpeg_coding_vjp(image, 50, ste=True)
        g = vjp(image).image_rgb
        kept.append((coded, coded.copy(), g, g.copy()))
        diff_jpeg_coding(image[::-1], 30)
    for coded, copy, g, copy_of_g in kept:
        np.testing.assert_array_equal(coded, copy)
        np.testing.assert_array_equal(g, copy_of_g)
    for before, after in zip(kept[:3], kept[3:], strict=True):
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[2], after[2])


PROGRAM = """
import resource
from pathlib import Path
import numpy as np
from pyjpegdiff import diff_jpeg_coding
image = np.zeros((3, 4096, 4096), np.float32)
held = [diff_jpeg_coding(image, 50)]
resource.setrlimit(resource.RLIMIT_AS, (int(Path("/proc/self/statm").read_text().split()[0]) * 4096 + 2**25, -1))
try:
    held += [diff_jpeg_coding(image, 50), diff_jpeg_coding(image, 50)]
except MemoryError as error:
    print("Unable to allocate" in str(error))
"""


def test_without_memory_numpy_says_so_and_the_interpreter_ends_silently():
    done = subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
