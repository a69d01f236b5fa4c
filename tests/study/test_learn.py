import numpy as np
import pytest
from PIL import Image

from pyjpegdiff.learning import learn_tables
from pyjpegdiff.study.curves import point, steps_at
from pyjpegdiff.study.files import find
from pyjpegdiff.study.learn import judge, learn, read_photos
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.photos import photo

NAMES = ("astronaut", "chelsea", "coffee", "ihc", "rocket")


def silent(phase, done, total):
    pass


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        Image.fromarray(photo(name)[:80, : 70 + number]).save(folder / f"{name}.png")
    return folder


def test_photos_that_are_held_out_are_not_learned_from(files):
    Image.fromarray(photo("coffee")[:80, :72]).save(files / "same.bmp")
    Image.fromarray(photo("coffee")[:6, :72]).save(files / "thin.png")
    (files / "broken.png").write_bytes(b"no image")
    seen = []
    photos = read_photos(list(find([files], [])), 0, lambda *call: seen.append(call))
    assert seen[-1] == ("reading", 8, 8)
    held_out = {file.path.stem for file in photos.held_out}
    assert len(held_out) == 1
    assert {name.split("/")[-1].split(".")[0] for name in photos.learned_from} == {*NAMES} - held_out
    reasons = {name.split("/")[-1]: reason for name, reason in photos.left_out.items()}
    assert reasons["broken.png"] == "is no image that Pillow can read"
    assert reasons["same.bmp"].startswith("the same image as ")
    assert reasons["thin.png"] == "less than 7 pixels high or wide, the window of SSIM"
    others = {read_photos(list(find([files], [])), seed, silent).held_out[0].path.name for seed in range(9)}
    assert len(others) > 1


def test_learning_stopped_anywhere_goes_on_to_the_same_tables(files, tmp_path):
    photos = read_photos(list(find([files], [])), 0, silent)
    state = tmp_path / "state"
    want = learn_tables(list(photos.learned_from.values()), 70, iterations=25)

    def stop(phase, done, total):
        if done == 23:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(photos, 70, "psnr", "4:2:0", 25, 0, state, stop)
    seen = []
    found = learn(photos, 70, "psnr", "4:2:0", 25, 0, state, lambda *call: seen.append(call))
    assert seen[0] == ("learning", 21, 25)  # 20 is what was saved last
    for one, other in zip(found, want, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"key": 1}', b"\xff"], ids=repr)
def test_a_state_of_something_else_is_not_used(files, tmp_path, content):
    photos = read_photos(list(find([files], [])), 0, silent)
    state = tmp_path / "state"
    learn(photos, 70, "psnr", "4:2:0", 10, 0, state, silent)
    other = state.read_bytes()
    for saved in (content, other):
        state.write_bytes(saved)
        seen = []
        learn(photos, 60, "psnr", "4:2:0", 2, 0, state, lambda *call, seen=seen: seen.append(call))
        assert seen[0] == ("learning", 1, 2)


def test_judged_sizes_are_those_of_files_of_equal_quality(files):
    photos = read_photos(list(find([files], [])), 0, silent)
    same = [np.array(table) for table in (LUMINANCE, CHROMINANCE)]
    (judged,), _ = judge(photos, same, 60, "4:4:4", silent)
    pixels = np.asarray(Image.open(photos.held_out[0].path))
    assert judged.before == point(pixels, [steps_at(table, 60) for table in same], "4:4:4")
    for size in judged.sizes.values():  # the same tables save nothing
        assert size == pytest.approx(judged.before.size, rel=1e-9)


def test_a_photo_of_one_color_has_no_file_of_equal_quality(files):
    Image.new("RGB", (40, 40), (9, 99, 199)).save(files / "plain.png")
    photos = read_photos(list(find([files / "plain.png"], [])), 0, silent)
    assert not photos.learned_from
    (judged,), _ = judge(photos, [np.array(LUMINANCE)] * 2, 60, "4:2:0", silent)
    assert all(np.isnan(size) or size > 0 for size in judged.sizes.values())


def test_a_photo_that_goes_while_learning_is_left_out(files):
    photos = read_photos(list(find([files], [])), 0, silent)
    (gone,) = photos.held_out
    gone.path.unlink()
    judged, left_out = judge(photos, [np.array(LUMINANCE)] * 2, 60, "4:2:0", silent)
    assert judged == []
    assert "no such file" in left_out[gone.name]
