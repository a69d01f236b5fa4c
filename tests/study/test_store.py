"""Damaged rows are measured again, and different studies are not mixed."""

import contextlib
import hashlib
import json
import math
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.study.store import OccupiedError, Store, StudyError

ROW = Measurement(
    50, math.inf, math.nan, 30.1, 123, 0.1, 11, 12, 13, 14, -2.5, *np.random.default_rng(0).normal(size=(3, 8, 8))
)


def opened(folder, settings=None, qualities=(50,), paths=(), overwrite=False):
    store = Store(folder, settings or Settings())
    store.plan(paths, qualities, ["report.html"], overwrite)
    with store.opened():
        pass
    return store


def test_a_row_is_loaded_unchanged(tmp_path):
    opened(tmp_path).save("abc", ROW)
    found = opened(tmp_path).load("abc", 50)
    for name, value in vars(ROW).items():
        np.testing.assert_array_equal(getattr(found, name), value)


def test_rows_of_other_images_qualities_and_settings_differ(tmp_path):
    store = opened(tmp_path)
    store.save("abc", ROW)
    assert store.load("abd", 50) is None
    assert store.load("abc", 51) is None
    for other in (Settings(subsampling="4:4:4"), Settings(arithmetic="float"), Settings(luma=Settings().chroma)):
        assert opened(tmp_path, other, overwrite=True).load("abc", 50) is None
    assert opened(tmp_path, overwrite=True).load("abc", 50) is not None


def test_damaged_rows_are_not_loaded(tmp_path):
    store = opened(tmp_path)
    store.save("abc", ROW)
    (path,) = tmp_path.glob("rows/*/*.json")
    content = path.read_bytes()
    sums = [hashlib.sha256(row).hexdigest().encode() for row in (b"{}", b"[" * 100_000)]
    for damaged in (
        b"", content[:100], b"[]", b"{}", b"[" * 100_000, b"\xff" * 100, b'["%s", {}]' % sums[0],
        b'["%s", %s]' % (sums[1], b"[" * 100_000), content.replace(b"psnr_b", b"psnr_c"),
        content.replace(b"30.1", b"30.2"), content.replace(b"30.1", b'"a"'), content.replace(b"30.1", b"9" * 5000),
    ):  # fmt: skip
        path.write_bytes(damaged)
        assert store.load("abc", 50) is None
    path.write_bytes(content)
    assert store.load("abc", 50) is not None
    path.rename(path.with_name("abd-050.json"))
    assert store.load("abd", 50) is None  # the row of another image
    path.mkdir()
    assert store.load("abc", 50) is None


@pytest.mark.parametrize("gone", [("rd_slope",), ("luma_dc_bits", "luma_ac_bits", "chroma_dc_bits"), ()])
def test_rows_with_other_columns_are_not_loaded(tmp_path, gone):
    """Those of another version, as it saved them."""

    class Other:
        def __init__(self):
            vars(self).update({name: value for name, value in vars(ROW).items() if name not in gone})
            if not gone:
                self.later = 5

    store = opened(tmp_path)
    store.save("abc", Other())
    assert store.load("abc", 50) is None
    store.save("abc", ROW)
    assert store.load("abc", 50) is not None


def test_a_row_is_json(tmp_path):
    opened(tmp_path).save("abc", ROW)
    (path,) = tmp_path.glob("rows/*/*.json")
    check_sum, row = json.loads(path.read_bytes())
    assert (len(check_sum), row["psnr_b"]) == (64, ROW.psnr_b)


def test_another_study_is_replaced_only_with_overwrite(tmp_path):
    opened(tmp_path, paths=[tmp_path / "a"])
    opened(tmp_path, paths=[tmp_path / "a"])
    with pytest.raises(OccupiedError, match=r"differs in qualities, paths$"):
        opened(tmp_path, qualities=(50, 60), paths=[tmp_path / "b"])
    with pytest.raises(OccupiedError, match=r"differs in setting subsampling, setting luma, paths$"):
        opened(tmp_path, Settings(subsampling="4:2:2", luma=Settings().chroma))
    opened(tmp_path, qualities=(50, 60), overwrite=True)
    opened(tmp_path, qualities=(50, 60))


def test_spellings_of_a_path_are_equal(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    opened(tmp_path / "out", paths=[Path("../b.png")])
    monkeypatch.chdir(tmp_path)
    opened(tmp_path / "out", paths=[Path("b.png")])
    with pytest.raises(OccupiedError, match=r"differs in paths$"):
        opened(tmp_path / "out", paths=[Path("a/b.png")])


def test_an_existing_file_is_replaced_only_with_overwrite(tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(OccupiedError, match=r"has files that a study would replace: report\.html"):
        opened(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    opened(tmp_path, overwrite=True)


def test_a_file_that_is_not_a_plan(tmp_path):
    plan = tmp_path / "study.json"
    for content in (
        b"{",
        b"[]",
        b"5",
        b"[" * 100_000,
        b"\xff",
        b'{"settings": 5, "versions": [], "paths": {}}',
        b"9" * 5000,
    ):
        plan.write_bytes(content)
        with pytest.raises(OccupiedError, match="study"):
            opened(tmp_path)
        opened(tmp_path, overwrite=True)
    plan.unlink()
    plan.mkdir()
    with pytest.raises(OccupiedError, match="is not the file of a study"):
        opened(tmp_path)


def test_partial_files_of_a_killed_process_are_removed(tmp_path):
    opened(tmp_path).save("abc", ROW)
    (path,) = tmp_path.glob("rows/*/*.json")
    partial = [folder / ".pyjpegdiff-1-2.partial" for folder in (tmp_path, path.parent)]
    others = tmp_path / ".download.partial"
    for one in (*partial, others):
        one.touch()
    opened(tmp_path)
    assert [one.exists() for one in partial] == [False, False]
    assert others.exists()
    assert path.exists()


def test_two_studies_at_once(tmp_path):
    """Both found the folder free, and only one begins."""
    one, other = Store(tmp_path, Settings()), Store(tmp_path, Settings("4:4:4"))
    one.plan([], [50], ["report.html"], overwrite=False)
    other.plan([], [50], ["report.html"], overwrite=False)
    with one.opened():
        with pytest.raises(StudyError, match="another study is at work in"), other.opened():
            pass
        found = []
        thread = threading.Thread(target=lambda: found.append(begins(Store(tmp_path, Settings()))))
        thread.start()
        thread.join()
        assert found == [False]
    with pytest.raises(OccupiedError, match="differs in setting subsampling"), other.opened():
        pass
    assert begins(one)


def begins(store):
    store.plan([], [50], ["report.html"], overwrite=True)
    with contextlib.suppress(StudyError), store.opened():
        return True
    return False


@pytest.mark.skipif(sys.platform == "win32", reason="patches what POSIX has")
def test_a_file_system_without_locks(tmp_path, monkeypatch):
    import fcntl

    def refuse(*_):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert begins(Store(tmp_path, Settings()))
