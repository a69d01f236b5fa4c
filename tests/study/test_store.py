"""Damaged rows are measured again, and different studies are not mixed."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from pyjpegdiff.study.measurement import Measurement
from pyjpegdiff.study.settings import Settings
from pyjpegdiff.study.store import OccupiedError, Store

ROW = Measurement(50, math.inf, math.nan, 30.1, 123, 0.1, *np.random.default_rng(0).normal(size=(3, 8, 8)))


def opened(folder, settings=None, qualities=(50,), paths=(), overwrite=False):
    store = Store(folder, settings or Settings())
    store.plan(paths, qualities, ["report.html"], overwrite)
    store.open()
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
    for damaged in (b"", content[:100], b"[]", b"{}", content.replace(b"psnr_b", b"psnr_c")):
        path.write_bytes(damaged)
        assert store.load("abc", 50) is None


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
    for content in ("{", "[]", "5"):
        (tmp_path / "study.json").write_text(content)
        with pytest.raises(OccupiedError, match="study"):
            opened(tmp_path)


def test_old_partial_files_are_removed_and_new_ones_are_not(tmp_path):
    opened(tmp_path).save("abc", ROW)
    (path,) = tmp_path.glob("rows/*/*.json")
    old, new = (path.with_name(f".x.{number}.partial") for number in (1, 2))
    old.touch()
    new.touch()
    os.utime(old, (1, 1))
    opened(tmp_path)
    assert (old.exists(), new.exists(), path.exists()) == (False, True, True)
