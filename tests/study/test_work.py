"""Tasks on processes: all done, each once, with one thread each, and none after the user asked to stop."""

import os
import signal
import threading
import time
from concurrent.futures.process import BrokenProcessPool

import pytest

from pyjpegdiff.study.work import THREADS, Stop, run


def square(number):
    return number**2


def environment(_):
    return {name: os.environ.get(name) for name in THREADS}, os.getpid()


def hear_both(number):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    return number


def die(number):
    if number == 1:
        os._exit(1)
    return number


def fail(number):
    raise LookupError(number)


def fail_or_sleep(number):
    if number == 0:
        raise LookupError
    time.sleep(300)


def count(path):
    """Leave a mark, slowly."""
    path.touch()
    time.sleep(0.05)


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_task_once(jobs):
    assert sorted(run(square, range(20), jobs, Stop())) == [(number, number**2) for number in range(20)]
    assert list(run(square, [], jobs, Stop())) == []


def test_one_thread_a_process_unless_the_user_says_otherwise(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = dict(os.environ)
    for _, (found, process) in run(environment, range(4), 2, Stop()):
        assert found == {**dict.fromkeys(THREADS, "1"), "OMP_NUM_THREADS": "3"}
        assert process != os.getpid()
    assert dict(os.environ) == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_stop_between_tasks(jobs, tmp_path):
    stop, done = Stop(), []
    for task, _ in run(count, [tmp_path / str(number) for number in range(50)], jobs, stop):
        done.append(task)
        stop.asked = True
    assert 1 <= len(done) <= 2 + jobs
    assert sorted(tmp_path.iterdir()) == sorted(done)  # what was begun was handed over


def test_signals_reach_no_process_but_the_first():
    """A terminal or a supervisor sends them to all; rows under way are to be finished."""
    assert sorted(result for _, result in run(hear_both, range(4), 2, Stop())) == [0, 1, 2, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_task_is_raised(jobs):
    with pytest.raises(LookupError):
        list(run(fail, range(3), jobs, Stop()))


def test_a_process_that_dies_is_an_error():
    with pytest.raises(BrokenProcessPool):
        list(run(die, range(6), 2, Stop()))


def test_an_error_ends_the_others_at_once():
    begun = time.monotonic()
    with pytest.raises(LookupError):
        list(run(fail_or_sleep, range(2), 2, Stop()))
    assert time.monotonic() - begun < 60


def test_first_signal_asks_second_interrupts():
    told = []
    stop, handler = Stop(lambda: told.append(1)), signal.getsignal(signal.SIGINT)
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
        assert stop.asked
        assert told == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is handler


def test_in_another_thread_signals_are_left_alone():
    handlers = []

    def listen():
        with Stop().listening():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
