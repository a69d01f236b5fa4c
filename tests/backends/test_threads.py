import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff import diff_jpeg_coding, diff_jpeg_coding_vjp, get_num_threads, set_num_threads
from pyjpegdiff.backends import register, threads, use_backend
from pyjpegdiff.backends.numpy_strips import NumPyStrips
from pyjpegdiff.backends.strips import Cutting
from pyjpegdiff.results import CodingGradients
from tests.samples import SAMPLINGS


class ManyThreads(NumPyStrips):
    """Every strip is worth a thread."""

    name = "many_threads"
    automatic = False

    def __init__(self):
        super().__init__(Cutting(area=512, thread_area=1))


register(ManyThreads())
PROGRAM = """
import numpy as np
from pyjpegdiff import backends, diff_jpeg_coding, set_num_threads
from pyjpegdiff.backends.numpy_strips import NumPyStrips
from pyjpegdiff.backends.strips import Cutting
backends.register(NumPyStrips(Cutting(512, 512)))
image = np.random.default_rng(0).uniform(0, 255, (3, 96, 64))
"""


@pytest.fixture(autouse=True)
def _as_before():
    yield
    set_num_threads(None)


def coded(image, count, **choices):
    """Result and all gradients, with every strip of the image worth a thread."""
    set_num_threads(count)
    with use_backend("many_threads"):
        result, vjp = diff_jpeg_coding_vjp(image, 60, ste=True, wrt=CodingGradients._fields, **choices)
        return result, *vjp(result - image)


@given(
    seed=st.integers(0, 99),
    batch_shape=st.sampled_from([(), (3,), (2, 2)]),
    height=st.integers(1, 90),
    width=st.integers(1, 40),
    count=st.integers(2, 5),
    subsampling=st.sampled_from(list(SAMPLINGS)),
)
def test_results_do_not_depend_on_the_number_of_threads(seed, batch_shape, height, width, count, subsampling):
    image = np.random.default_rng(seed).uniform(0, 255, (*batch_shape, 3, height, width)).astype(np.float32)
    for one, several in zip(
        coded(image, 1, subsampling=subsampling), coded(image, count, subsampling=subsampling), strict=True
    ):
        np.testing.assert_array_equal(one, several)


def test_calls_from_many_threads_at_once():
    images = np.random.default_rng(0).uniform(0, 255, (8, 3, 80, 64))
    expected = [coded(image, 1) for image in images]
    set_num_threads(3)

    def call(image):
        with use_backend("many_threads"):
            return diff_jpeg_coding(image, 60, ste=True)

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(call, images))
    for (image, *_), again in zip(expected, got, strict=True):
        np.testing.assert_array_equal(again, image)


def test_a_forked_process_can_go_on():
    program = """
import multiprocessing
set_num_threads(2)
here = diff_jpeg_coding(image, 50, ste=True)
def child(queue):
    queue.put(diff_jpeg_coding(image, 50, ste=True))
context = multiprocessing.get_context("fork")
queue = context.SimpleQueue()
process = context.Process(target=child, args=(queue,))
process.start()
assert np.array_equal(queue.get(), here)
process.join()
assert process.exitcode == 0
"""
    if sys.platform == "win32":
        pytest.skip("no fork on Windows")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr


@given(count=st.integers(0, 20), workers=st.integers(-1, 8))
def test_runs_cover_all_items_in_order(count, workers):
    runs = threads.spread(list, range(count), workers)
    assert [item for run in runs for item in run] == list(range(count))
    assert len(runs) == max(1, min(count, workers))
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


def test_work_keeps_its_errors_and_the_callers_errstate():
    with np.errstate(over="raise"):
        assert threads.spread(lambda run: np.geterr()["over"], range(3), 3) == ["raise"] * 3

    def broken(run):
        if 1 in run:
            raise RuntimeError("of one run")

    with pytest.raises(RuntimeError, match="of one run"):
        threads.spread(broken, range(3), 3)


def test_counts_of_numpy():
    set_num_threads(np.int64(2))
    assert get_num_threads() == 2
    assert type(get_num_threads()) is int


@pytest.mark.parametrize("wrong", [0, -1, np.int32(-1)])
def test_wrong_counts(wrong):
    with pytest.raises(ValueError, match=f"count must be an int of 1 or more, or None, got {wrong}"):
        set_num_threads(wrong)


@pytest.mark.parametrize("wrong", [True, np.True_, 2.0, np.float64(2), "2"])
def test_counts_of_a_wrong_type(wrong):
    with pytest.raises(TypeError, match="count must be an int"):
        set_num_threads(wrong)


@pytest.mark.parametrize("cpus", [1, 3, 16])
@pytest.mark.parametrize(
    ("variable", "limit"),
    [("1", 1), ("2,4", 2), ("8", 8), ("", 99), ("x", 99), ("0", 99), ("-1", 99), ("²", 99), ("9" * 5000, 99)],
)
def test_by_default_as_many_as_cpus_and_environment_allow(monkeypatch, cpus, variable, limit):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cpus)), raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", variable)
    assert get_num_threads() == min(cpus, limit, 4)


def test_where_no_thread_can_be_started_the_caller_does_it_all():
    """At the interpreter's end."""
    program = """
import atexit
set_num_threads(3)
expected = diff_jpeg_coding(image, 50, ste=True)
atexit.register(lambda: print(np.array_equal(diff_jpeg_coding(image, 50, ste=True), expected)))
"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_a_rounding_surrogate_of_the_caller_meets_one_thread():
    seen = set()

    def value(u):
        seen.add(threading.get_ident())
        return np.round(u)

    set_num_threads(4)
    with use_backend("many_threads"):
        diff_jpeg_coding(np.zeros((3, 96, 64)), 50, rounding=(value, np.ones_like))
    assert seen == {threading.get_ident()}


def test_a_limit_holds_within_and_in_this_thread_alone():
    set_num_threads(3)
    with threads.at_most(2):
        assert get_num_threads() == 2
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(get_num_threads).result() == 3
    assert get_num_threads() == 3


class Recording(ManyThreads):
    """Notes how many threads each call may take."""

    name = "recording"

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, *arguments):
        self.seen.append(get_num_threads())
        return super().forward(*arguments)


def test_tensors_heed_the_threads_of_torch():
    torch = pytest.importorskip("torch")
    backend = Recording()
    register(backend)
    set_num_threads(4)
    before = torch.get_num_threads()
    try:
        with use_backend("recording"):
            for count in (1, 3, 8):
                torch.set_num_threads(count)
                diff_jpeg_coding(torch.zeros(3, 96, 64), 50)
    finally:
        torch.set_num_threads(before)
    assert backend.seen == [1, 3, 4]
