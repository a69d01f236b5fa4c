"""Tasks in processes: each is done once, with one thread per process, and none starts after a requested stop."""

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import pytest

from pyjpegdiff.study.store import StudyError
from pyjpegdiff.study.work import MOST, THREADS, Processes, Stop, possible


def run(function, tasks, jobs, stop):
    """Results of a single phase."""
    with Processes(jobs, stop) as workers:
        yield from workers.run(function, list(tasks))


def square(number):
    return number**2


def environment(_):
    return {name: os.environ.get(name) for name in THREADS}, os.getpid()


def sleep(seconds):
    time.sleep(seconds)


def process_of(_):
    return os.getpid()


def raise_both_signals(number):
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
    """Create a file, slowly."""
    path.touch()
    time.sleep(0.05)


@pytest.mark.parametrize("jobs", [1, 2])
def test_each_task_runs_once(jobs):
    assert sorted(run(square, range(20), jobs, Stop())) == [(number, number**2) for number in range(20)]
    assert list(run(square, [], jobs, Stop())) == []


def test_one_thread_per_process_unless_the_user_sets_another_number(monkeypatch):
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
        stop.requested = True
    assert 1 <= len(done) <= 2 + jobs
    assert sorted(tmp_path.iterdir()) == sorted(done)  # every task that started was yielded


def test_more_jobs_than_windows_can_wait_for(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert [possible(jobs) for jobs in (1, 61, 62, 10**30)] == [1, 61, 61, 61]
    with ProcessPoolExecutor(possible(100)), pytest.raises(ValueError, match="61"):
        ProcessPoolExecutor(62)
    monkeypatch.setattr(sys, "platform", "linux")
    assert [possible(jobs) for jobs in (62, 10**30)] == [62, MOST]


def test_any_number_of_jobs():
    assert sorted(run(square, range(3), 10**30, Stop())) == [(0, 0), (1, 1), (2, 4)]


def test_where_no_process_can_be_started(monkeypatch):
    def refuse(*_):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(ProcessPoolExecutor, "submit", refuse)
    with pytest.raises(StudyError, match="no process can be started: Resource temporarily unavailable; try fewer jobs"):
        list(run(square, range(3), 2, Stop()))


def test_processes_serve_all_phases():
    with Processes(2, Stop()) as workers:
        phases = [{process for _, process in workers.run(process_of, range(8))} for _ in range(3)]
        assert len(set.union(*phases)) <= 2
        assert list(workers.run(process_of, [0])) == [(0, os.getpid())]  # not worth another process
        alive = multiprocessing.active_children()
        assert set.union(*phases) <= {process.pid for process in alive}
    assert not any(process.is_alive() for process in alive)


def test_an_idle_process_that_dies_delays_nothing():
    """A process waits for others where one died that held a lock."""
    for number in range(2):
        with Processes(2, Stop()) as workers:
            started = {process for _, process in workers.run(process_of, range(8))}
            os.kill(sorted(started)[number % len(started)], signal.SIGKILL)


def test_an_error_in_what_takes_results_ends_the_processes():
    start = time.monotonic()
    with contextlib.suppress(ZeroDivisionError), Processes(2, Stop()) as workers:
        for _ in workers.run(sleep, (0, 300, 300)):
            raise ZeroDivisionError
    assert time.monotonic() - start < 60


@pytest.mark.parametrize("jobs", [1, 2])
def test_processes_of_others_are_left_alone(jobs):
    other = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(300,))
    with contextlib.suppress(ZeroDivisionError), Processes(jobs, Stop()) as workers:
        list(workers.run(square, range(4)))
        other.start()
        raise ZeroDivisionError
    assert other.is_alive()
    other.kill()
    other.join()


def test_signals_do_not_stop_the_other_processes():
    """A terminal or a supervisor sends signals to all processes; started rows must still be finished."""
    assert sorted(result for _, result in run(raise_both_signals, range(4), 2, Stop())) == [0, 1, 2, 3]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_task_is_raised(jobs):
    with pytest.raises(LookupError):
        list(run(fail, range(3), jobs, Stop()))


def test_a_process_that_dies_is_an_error():
    with pytest.raises(BrokenProcessPool):
        list(run(die, range(6), 2, Stop()))


def test_an_error_ends_the_others_at_once():
    start = time.monotonic()
    with pytest.raises(LookupError):
        list(run(fail_or_sleep, range(2), 2, Stop()))
    assert time.monotonic() - start < 60


def test_first_signal_requests_a_stop_second_interrupts():
    calls = []
    stop, handler = Stop(lambda: calls.append(1)), signal.getsignal(signal.SIGINT)
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert calls == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGINT) is handler


def test_in_another_thread_signal_handlers_stay_unchanged():
    handlers = []

    def listen():
        with Stop().listening():
            handlers.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=listen)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGINT)]
