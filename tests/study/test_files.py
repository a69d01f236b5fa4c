"""Every unusual kind of image is read as documented, or refused with the reason."""

import contextlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image

from pyjpegdiff.study.files import Input, UnreadableError, find, printable, read_image

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (12, 20, 3), np.uint8)
GRAY = RGB[..., 0]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


def test_rgb_and_gray_are_read_unchanged(path):
    Image.fromarray(RGB).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, RGB)
    assert read.note == ""
    Image.fromarray(GRAY).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, GRAY)
    assert read.note == ""


def test_digest_is_of_the_pixels(tmp_path):
    for name in ("a.png", "b.bmp"):
        Image.fromarray(RGB).save(tmp_path / name)
    Image.fromarray(RGB.reshape(20, 12, 3)).save(tmp_path / "c.png")
    a, b, c = (read_image(tmp_path / name).digest for name in ("a.png", "b.bmp", "c.png"))
    assert a == b != c


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright_according_to_exif(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(RGB).save(path, exif=exif)
    mirrored = RGB.swapaxes(0, 1)
    upright = {1: RGB, 2: RGB[:, ::-1], 3: RGB[::-1, ::-1], 4: RGB[::-1],
               5: mirrored, 6: mirrored[:, ::-1], 7: mirrored[::-1, ::-1], 8: mirrored[::-1]}  # fmt: skip
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, upright[orientation])
    assert read.note == ("" if orientation == 1 else "turned upright")


def test_transparency_is_blended_with_white(path):
    alpha = RNG.integers(0, 256, (12, 20), np.uint8)
    alpha[0] = 0
    alpha[1] = 255
    Image.fromarray(np.dstack([RGB, alpha])).save(path)
    read = read_image(path)
    want = (RGB * (alpha[..., np.newaxis] / 255)) + 255 - alpha[..., np.newaxis]
    assert np.abs(read.pixels - want).max() <= 1  # Pillow rounds twice
    assert (read.pixels[0] == 255).all()
    np.testing.assert_array_equal(read.pixels[1], RGB[1])
    assert read.note == "transparency on white"
    Image.merge("LA", (Image.fromarray(GRAY), Image.fromarray(alpha))).save(path)
    read = read_image(path)
    assert read.pixels.ndim == 2
    np.testing.assert_array_equal(read.pixels[1], GRAY[1])


def test_palette(path):
    image = Image.fromarray(RGB).quantize(16)
    image.save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, np.array(image.convert("RGB")))
    assert read.note == "palette converted to RGB"
    image.save(path, transparency=3)
    read = read_image(path)
    assert (read.pixels[np.array(image) == 3] == 255).all()
    assert read.note == "transparency on white"


def test_bilevel_is_gray(path):
    Image.fromarray(GRAY > 100).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, np.where(GRAY > 100, 255, 0))


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bits_are_scaled_not_clipped(tmp_path, suffix):
    path = tmp_path / f"deep.{suffix}"
    samples = RNG.integers(0, 65536, (12, 20), np.uint16)
    samples[0, :3] = 0, 65535, 256
    Image.fromarray(samples).save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, np.round(samples / 257).astype(np.uint8))
    assert read.note == "16 bits scaled to 8"


def test_16_bit_rgb_is_noted(path):
    cv2 = pytest.importorskip("cv2")
    samples = RNG.integers(0, 65536, (12, 20, 3), np.uint16)
    path.write_bytes(cv2.imencode(".png", samples[..., ::-1])[1].tobytes())
    read = read_image(path)
    assert np.abs(read.pixels - samples / 257).max() <= 1  # Pillow uses the high bytes
    assert read.note == "16 bits scaled to 8"


def test_cmyk_is_converted(tmp_path):
    path = tmp_path / "print.tif"
    image = Image.fromarray(RGB).convert("CMYK")
    image.save(path)
    read = read_image(path)
    np.testing.assert_array_equal(read.pixels, RGB)
    assert read.note == "CMYK converted to RGB"


@pytest.mark.parametrize("suffix", ["gif", "png", "webp"])
def test_the_first_frame_of_an_animation(tmp_path, suffix):
    path = tmp_path / f"moving.{suffix}"
    frames = [Image.new("RGB", (16, 16), color) for color in ("red", "lime", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    read = read_image(path)
    assert (read.pixels == (255, 0, 0)).all()
    assert read.note.startswith("first of 3 frames")


@pytest.mark.parametrize(
    ("mode", "value", "says"),
    [("F", 0.5, "floating-point samples, whose range"), ("I", 70_000, "32-bit samples, whose range")],
)
def test_unknown_ranges_are_refused(tmp_path, mode, value, says):
    path = tmp_path / "numbers.tif"
    Image.new(mode, (9, 9), value).save(path)
    with pytest.raises(UnreadableError, match=says):
        read_image(path)


def test_unreadable_files(tmp_path):
    with pytest.raises(UnreadableError, match=r"^no such file$"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(UnreadableError, match=r"^is a folder, and cannot be listed$"):
        read_image(tmp_path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")  # reading it would wait forever
        with pytest.raises(UnreadableError, match=r"^is not a regular file$"):
            read_image(tmp_path / "pipe")
    path = tmp_path / "text.png"
    path.write_text("not an image")
    with pytest.raises(UnreadableError, match=r"^is no image that Pillow can read$"):
        read_image(path)
    path.write_bytes(b"")
    with pytest.raises(UnreadableError, match=r"^is no image that Pillow can read$"):
        read_image(path)


def test_paths_that_the_system_refuses(tmp_path, monkeypatch):
    with pytest.raises(UnreadableError, match=r"^File name too long$"):
        read_image(tmp_path / ("x" * 300))
    with pytest.raises(UnreadableError, match=r"^embedded null (byte|character)"):
        read_image(tmp_path / "a\0b")
    real = os.stat

    def refuse(path, *args, **options):
        if os.fspath(path).endswith("secret.png"):  # permissions have no effect for root
            raise PermissionError(13, "Permission denied", path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(UnreadableError, match=r"^Permission denied$"):
        read_image(tmp_path / "secret.png")
    names = [found.name for found in find([tmp_path / "secret.png", tmp_path / ("x" * 300), Path("a\0b")], [])]
    assert [name.rpartition("/")[2] for name in names] == ["secret.png", "x" * 300, r"a\x00b"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_to_nothing_and_to_themselves(tmp_path):
    (tmp_path / "dangling.png").symlink_to("absent.png")
    with pytest.raises(UnreadableError, match=r"^is a link to no file$"):
        read_image(tmp_path / "dangling.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    with pytest.raises(UnreadableError, match=r"^Too many levels of symbolic links$"):
        read_image(tmp_path / "loop.png")


def test_every_byte_of_a_png_file_counts(path):
    """Without check sums, a changed sample would be measured as if it were the image's."""
    Image.fromarray(RGB).save(path, compress_level=0)
    content = path.read_bytes()
    for place in range(len(content) - 12):  # the last chunk is empty
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(UnreadableError, match=r"^is (no image|damaged|cut short)"):
            read_image(path)


@pytest.mark.parametrize("size", [(65_501, 1), (1, 65_501)])
def test_sides_that_jpeg_does_not_store(path, size):
    Image.new("L", size).save(path)
    with pytest.raises(UnreadableError) as caught:
        read_image(path)
    assert str(caught.value) == f"too large: {size[0]} x {size[1]} pixels; JPEG allows 65500 on a side"
    Image.new("L", (65_500, 1)).save(path)
    assert read_image(path).pixels.shape == (1, 65_500)


def test_a_header_of_more_pixels_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1 << 18, "SC_PAGE_SIZE": 1 << 12}.get)
    path = tmp_path / "giant.jpg"
    Image.fromarray(RGB).save(path)
    content = bytearray(path.read_bytes())
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = (65_000).to_bytes(2) * 2
    path.write_bytes(content)
    with pytest.raises(UnreadableError, match=r"^does not fit into memory$"):
        read_image(path)


@pytest.mark.skipif(os.name != "posix", reason="the program is a script of the shell")
@pytest.mark.parametrize("name", ["drawing.eps", "drawing.ps", "claims.png", "wrapped.iim"])
def test_no_file_starts_ghostscript(tmp_path, monkeypatch, name):
    programs, started = tmp_path / "bin", tmp_path / "started"
    programs.mkdir()
    (programs / "gs").write_text(f"#!/bin/sh\ntouch {started}\n")
    (programs / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # it looks for the program again
    path = tmp_path / name
    Image.fromarray(RGB).save(path, "EPS")
    says = "is PostScript, a program that would have to be run"
    if name == "wrapped.iim":
        path.write_bytes(iptc(path.read_bytes()))
        says = "is IPTC, which may contain a file of any other kind"
    with pytest.raises(UnreadableError, match=f"^{says}$"):
        read_image(path)
    assert not started.exists()
    if name == "wrapped.iim":  # this would have been the way
        with contextlib.suppress(OSError), Image.open(path) as file:
            file.load()
        assert started.exists()


def iptc(content):
    """A file of IPTC's newsphoto format whose image data are another file."""

    def field(record, number, value):
        return bytes([0x1C, record, number]) + len(value).to_bytes(2) + value

    # Width, height, one layer, and "JPEG", which Pillow takes for any format.
    header = [
        field(3, 20, (20).to_bytes(2)),
        field(3, 30, (12).to_bytes(2)),
        field(3, 60, b"\1\0"),
        field(3, 120, b"\5"),
    ]
    return b"".join([*header, field(8, 10, content)])


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
def test_truncated_anywhere(tmp_path, suffix):
    """Decoders may overlook only a cut within the last bytes of the file."""
    path = tmp_path / f"cut.{suffix}"
    Image.fromarray(RGB.repeat(8, 0).repeat(8, 1)).save(path)
    content = path.read_bytes()
    for length in np.linspace(0, 0.95 * len(content), 15).astype(int):
        path.write_bytes(content[:length])
        with pytest.raises(
            UnreadableError, match=r"^is (no image that Pillow can read|(damaged or )?cut short \(.+\))$"
        ):
            read_image(path)


def test_errors_of_the_system_keep_their_message(path, monkeypatch):
    path.touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Image, "open", refuse)  # permissions have no effect for root
    with pytest.raises(UnreadableError, match=r"^Permission denied$"):
        read_image(path)


def test_decompression_bomb(path, monkeypatch):
    Image.new("L", (400, 300)).save(path)
    for limit in (119_999, 1_000):  # Pillow warns, and Pillow raises an error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(UnreadableError) as caught:
            read_image(path)
        allowed = "--max-megapixels, or PIL.Image.MAX_IMAGE_PIXELS in Python, allows"
        assert str(caught.value) == f"too large: 0.12 megapixels; {allowed} {limit / 1e6:g}"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 120_000)
    assert read_image(path).pixels.shape == (300, 400)


# --- finding ----------------------------------------------------------------------------------------------------------


def test_folders_at_any_depth_each_file_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = ["b.png", "a.jpg", "deep/er/c.TIF", ".hidden.png", ".git/d.png", "notes.txt", "out/report.png", "x/b.png"]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = find([tmp_path / "x/b.png", tmp_path, tmp_path / "notes.txt"], [tmp_path / "out"])
    names = [one.path.relative_to(tmp_path).as_posix() for one in found]
    assert names == ["x/b.png", "a.jpg", "b.png", "deep/er/c.TIF", "notes.txt"]


def test_absent_files_are_found_so_that_they_are_reported(tmp_path):
    absent = tmp_path / "absent.png"
    assert list(find([absent], [tmp_path / "out"])) == [Input(absent.as_posix(), absent)]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_with_invalid_or_control_characters(tmp_path):
    for raw in (b"caf\xc3\xa9.png", b"\xff.png", b"a\x1b[31m\n.png"):
        (tmp_path / os.fsdecode(raw)).touch()
    names = [found.name.rpartition("/")[2] for found in find([tmp_path], [])]
    assert sorted(names) == sorted(["café.png", r"\udcff.png", r"a\x1b[31m\n.png"])
    assert printable("日本 <&>") == "日本 <&>"


def test_no_name_is_a_formula(tmp_path, monkeypatch):
    """The first character is what a spreadsheet looks at; the name is still the path."""
    monkeypatch.chdir(tmp_path)
    names = ["=1+1.png", "+1.png", "-1.png", "@SUM(1).png", "\uff1d1.png", "plain=.png"]
    for name in names:
        Path(name).touch()
    found = {one.path.name: one.name for one in find([Path()], [])}
    assert found == {name: name if name == "plain=.png" else f"./{name}" for name in names}
    assert all(Path(name).exists() for name in found.values())


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text elsewhere")
def test_names_that_look_the_same_when_printed_differ(tmp_path):
    for name in ("a\n.png", r"a\n.png"):
        (tmp_path / name).touch()
    names = [found.name.rpartition("/")[2] for found in find([tmp_path], [])]
    assert names == [r"a\n.png", r"a\n.png (another)"]


def test_only_the_named_paths_are_left_out(tmp_path):
    for name in ("map.png", "mine.png", "rows/a.png", "deep/map.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find([tmp_path, tmp_path / "rows" / "a.png"], [tmp_path / "map.png", tmp_path / "rows"])
    assert [one.path.relative_to(tmp_path).as_posix() for one in found] == ["mine.png", "deep/map.png", "rows/a.png"]
