"""Studies on a cluster: the same rows as here, whatever becomes of workers, and no more work after a stop."""

import contextlib
import os
import signal
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyjpegdiff import get_num_threads
from pyjpegdiff.study import StoppedError, StudyError, study_files
from pyjpegdiff.study.batch import OUTPUTS
from pyjpegdiff.study.work import Stop
from tests.clusters import client, cluster, local_cluster  # noqa: F401

distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

from pyjpegdiff.study import cluster as study_cluster  # noqa: E402

RGB = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
UNFINISHED = {"waiting", "queued", "no-worker", "processing"}
QUALITIES = list(range(10, 100, 10))


def save_images(folder):
    for name, pixels in (("a.png", RGB), ("gray.png", RGB[..., 0]), ("c.png", RGB[::-1])):
        Image.fromarray(pixels).save(folder / name)
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:200])


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images, named by a path that is relative to a folder in which no worker is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    save_images(tmp_path / "in")
    return tmp_path


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The outputs of the study of those images that was done here, and what it showed of its progress."""
    folder, states = tmp_path_factory.mktemp("here"), []
    (folder / "in").mkdir()
    save_images(folder / "in")
    with contextlib.chdir(folder):
        study_files(["in"], QUALITIES, "out", progress=lambda *state: states.append(state))
    return {name: (folder / "out" / name).read_bytes() for name in OUTPUTS}, states


def outputs():
    return {name: Path("out", name).read_bytes() for name in OUTPUTS}


def saved():
    return {path.name: path.stat().st_mtime_ns for path in Path("out").glob("rows/*/*.json")}


def square(number):
    return number**2


def slow_square(number):
    time.sleep(0.1)
    return number**2


def begin_and_end(paths):
    """Leave a file that names this process, and one at the end, of which the first task is kept for a while."""
    begun, ended = paths
    with begun.open("a") as file:
        file.write(f"{os.getpid()}\n")
    if begun.name == "0":
        comes_true(ended.parent.joinpath("go").exists)
    ended.touch()


def threads_and_pixels(_):
    return get_num_threads(), Image.MAX_IMAGE_PIXELS


def fail(number):
    raise LookupError(number)


def die(_):
    os._exit(1)


def comes_true(condition):
    """Whether a condition holds within a while."""
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def idle(found):
    """Whether the scheduler comes to have nothing to do."""
    return comes_true(lambda: not found.scheduler.tasks)


def test_each_task_runs_once(client):
    found = study_cluster.run(square, range(20), client, Stop())
    assert sorted(found) == [(number, number**2) for number in range(20)]
    assert list(study_cluster.run(square, [], client, Stop())) == []
    assert idle(client.cluster)


def test_few_tasks_are_handed_out_at_once(client):
    most = 0
    for _ in study_cluster.run(slow_square, range(12), client, Stop()):
        most = max(most, sum(task.state in UNFINISHED for task in client.cluster.scheduler.tasks.values()))
    assert 1 <= most <= 2 * 2


def test_a_task_has_one_thread_and_the_limit_of_pixels(client, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12345)
    assert [found for _, found in study_cluster.run(threads_and_pixels, range(3), client, Stop())] == [(1, 12345)] * 3


def test_the_same_study_as_here(folder, client, here):
    states = []
    found = study_files(["in"], QUALITIES, "out", client=client, progress=lambda *state: states.append(state))
    assert [image.name for image in found.images] == ["in/a.png", "in/c.png", "in/gray.png"]
    assert [failure.name for failure in found.failures] == ["in/broken.png"]
    assert outputs() == here[0]
    assert states == here[1]
    before = saved()
    assert len(before) == 27
    states.clear()
    study_files(["in"], QUALITIES, "out", client=client, progress=lambda *state: states.append(state))
    assert [state for state in states if state[0] == "measuring"] == [("measuring", 27, 27)]
    assert saved() == before


def test_a_worker_is_killed_in_the_middle(folder, client, here):
    before = client.run(os.getpid)
    killed = []

    def progress(phase, done, total):
        busy = [address for address, rows in client.processing().items() if rows] if phase == "measuring" else []
        if busy and not killed:
            killed.append(before[busy[0]])
            os.kill(killed[0], signal.SIGKILL)

    found = study_files(["in"], QUALITIES, "out", client=client, progress=progress)
    assert len(killed) == 1
    assert [len(image.measurements) for image in found.images] == [9, 9, 9]
    assert len(saved()) == 27
    assert outputs() == here[0]
    client.wait_for_workers(2, timeout=60)
    assert killed[0] not in client.run(os.getpid).values()


def test_a_task_whose_worker_is_killed_is_done_by_another(tmp_path, client):
    (tmp_path / "ended").mkdir()
    tasks = [(tmp_path / str(number), tmp_path / "ended" / str(number)) for number in range(8)]
    done = []
    for task, _ in study_cluster.run(begin_and_end, tasks, client, Stop()):
        if not done:
            assert comes_true(lambda: tasks[0][0].exists() and tasks[0][0].read_text().endswith("\n"))
            os.kill(int(tasks[0][0].read_text()), signal.SIGKILL)
            (tmp_path / "ended" / "go").touch()
        done.append(task)
    assert sorted(done) == tasks
    first, second = tasks[0][0].read_text().split()
    assert first != second
    assert len(list((tmp_path / "ended").iterdir())) == len(tasks) + 1


def test_a_row_that_kills_workers_ends_the_study():
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        local_cluster() as found,
        distributed.Client(found, set_as_default=False) as other,
        pytest.raises(
            StudyError, match=r"several workers died with the same row, the last at tcp://.*too little memory"
        ),
    ):
        list(study_cluster.run(die, range(1), other, Stop()))


def test_a_scheduler_that_is_gone_ends_the_study_which_goes_on_later(folder, client, here):
    with local_cluster() as found, distributed.Client(found, set_as_default=False) as other:

        def progress(phase, done, total):
            if (phase, done) == ("measuring", 5):
                found.close()

        with pytest.raises(StudyError, match=r"scheduler of the cluster is gone") as caught:
            study_files(["in"], QUALITIES, "out", client=other, progress=progress)
        assert not isinstance(caught.value, StoppedError)
    before = saved()
    assert 5 <= len(before) < 27
    study_files(["in"], QUALITIES, "out", client=client)
    after = saved()
    assert len(after) == 27
    assert {name: after[name] for name in before} == before
    assert outputs() == here[0]


def test_a_stopped_study_is_continued(folder, client, here):
    def progress(phase, done, total):
        if (phase, done) == ("measuring", 3):
            signal.raise_signal(signal.SIGINT)

    calls = []
    with pytest.raises(StoppedError, match="stopped while measuring"):
        study_files(["in"], QUALITIES, "out", client=client, progress=progress, stopping=lambda: calls.append(1))
    assert calls == [1]
    before = saved()
    assert 3 <= len(before) <= 3 + 2 * 2
    assert idle(client.cluster)
    study_files(["in"], QUALITIES, "out", client=client)
    after = saved()
    assert {name: after[name] for name in before} == before
    assert outputs() == here[0]


def test_an_interrupted_study_leaves_nothing_to_do(folder, client):
    def progress(phase, done, total):
        if (phase, done) == ("measuring", 3):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        study_files(["in"], QUALITIES, "out", client=client, progress=progress)
    assert len(saved()) == 3
    assert idle(client.cluster)


def test_an_error_of_a_task_is_raised(client):
    with pytest.raises(LookupError):
        list(study_cluster.run(fail, range(3), client, Stop()))
    assert idle(client.cluster)


def test_a_worker_with_other_versions_is_refused(folder, client, monkeypatch):
    found = study_cluster.versions()
    monkeypatch.setattr(study_cluster, "versions", lambda: {**found, "pillow": "1.0"})
    with pytest.raises(StudyError, match=r"a worker of the cluster has pillow [\d.]+ instead of 1\.0: rows would not"):
        study_files(["in"], QUALITIES, "out", client=client)
    assert not saved()


def test_files_that_workers_do_not_see_are_named(folder, client):
    def progress(phase, done, total):
        if phase == "measuring" and done == 0:
            Path("in", "c.png").unlink()

    found = study_files(["in"], [50], "out", client=client, progress=progress)
    assert ("in/c.png", "no such file") in found.failures
    assert [image.name for image in found.images] == ["in/a.png", "in/gray.png"]


def test_threads_of_a_worker_read_in_turn(folder):
    """Reading changes the warning filters of the process, here this one, and puts back those it found."""
    for number in range(12):
        Image.fromarray(np.roll(RGB, number, 1)).quantize(64).save(Path("in", f"{number}.png"))
    before = list(warnings.filters)
    with (
        local_cluster(1, threads_per_worker=4, processes=False) as found,
        distributed.Client(found, set_as_default=False) as other,
    ):
        study_files(["in"], [30, 60], "out", client=other)
    assert list(warnings.filters) == before
    study_files(["in"], [30, 60], "here")
    for name in OUTPUTS:
        assert Path("out", name).read_bytes() == Path("here", name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"client": "tcp://127.0.0.1:8786"}, TypeError, "client must be a distributed.Client.*or None, got 'tcp"),
        ({"client": 5}, TypeError, "client must be a distributed.Client.*got 5"),
    ],
)
def test_wrong_clients(tmp_path, options, error, says):
    with pytest.raises(error, match=says):
        study_files(["in"], [50], tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_jobs_beside_a_client_are_refused(tmp_path, client):
    with pytest.raises(ValueError, match=r"jobs must be 1 where there is a client.*got 2"):
        study_files(["in"], [50], tmp_path / "out", client=client, jobs=2)
