"""Quantization tables read from files, and their order in a JPEG file."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pyjpegdiff.study.coding import jpeg_file
from pyjpegdiff.study.settings import Settings, Tables, read_tables
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE, ZIGZAG
from tests.photos import pillow_file

LUMA, CHROMA = np.random.default_rng(0).integers(1, 256, (2, 8, 8))
IMAGE = np.random.default_rng(1).integers(0, 256, (24, 24, 3), np.uint8)


def stored(file):
    """The tables of a JPEG file by number, read from its DQT segments."""
    tables, at = {}, 2
    while file[at + 1] != 0xDA:
        length = int.from_bytes(file[at + 2 : at + 4])
        if file[at + 1] == 0xDB:
            segment = file[at + 4 : at + 2 + length]
            for start in range(0, len(segment), 65):
                table = np.zeros((8, 8), int)
                for place, value in zip(ZIGZAG, segment[start + 1 : start + 65], strict=True):
                    table[place] = value
                tables[segment[start] & 15] = table
        at += 2 + length
    return tables


def same(found, luma, chroma):
    for got, want in zip(found, (luma, chroma), strict=True):
        assert (got is None) == (want is None)
        assert want is None or np.array_equal(got, want)


def test_tables_are_written_in_the_order_of_the_file():
    found = stored(jpeg_file(IMAGE, 50, Settings.of("4:2:0", "libjpeg", LUMA, CHROMA)))
    np.testing.assert_array_equal(found[0], LUMA)
    np.testing.assert_array_equal(found[1], CHROMA)


def test_standard_tables_equal_those_of_pillow():
    assert jpeg_file(IMAGE, 37, Settings()) == pillow_file(IMAGE, 37)


def test_from_json(tmp_path):
    path = tmp_path / "tables.json"
    path.write_text(json.dumps({"luma": LUMA.tolist(), "chroma": CHROMA.tolist()}))
    same(read_tables(path), LUMA, CHROMA)
    path.write_text(json.dumps({"chroma": CHROMA.tolist()}))
    same(read_tables(path), None, CHROMA)


def test_from_text_in_the_format_of_cjpeg(tmp_path):
    path = tmp_path / "tables.txt"
    text = ["# luma", *(" ".join(map(str, row)) + "  # a row" for row in LUMA)]
    path.write_text("\n".join(text))
    same(read_tables(path), LUMA, LUMA)
    path.write_text("\n".join([*text, "", ", ".join(map(str, CHROMA.ravel()))]))
    same(read_tables(path), LUMA, CHROMA)


def test_from_a_jpeg_file(tmp_path):
    path = tmp_path / "camera.JPG"
    path.write_bytes(pillow_file(IMAGE, 50, qtables=[LUMA.ravel().tolist(), CHROMA.ravel().tolist()]))
    same(read_tables(path), LUMA, CHROMA)
    path.write_bytes(pillow_file(IMAGE[..., 0], 50, qtables=[LUMA.ravel().tolist()]))
    same(read_tables(path), LUMA, None)
    # Quality 50 leaves the tables unchanged.
    path.write_bytes(pillow_file(IMAGE, 83))
    chosen = Settings.of("4:2:0", "libjpeg", *read_tables(path))
    assert jpeg_file(IMAGE, 50, chosen) == pillow_file(IMAGE, 83)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"1 2 3", "must hold 64 numbers, or 128.*got 3"),
        (b"", "got 0"),
        (b"1.5 2", "whole numbers"),
        (b"0 " * 64, "its first table must hold whole numbers in 1..255, got 0"),
        (b"\x00\xff\x00", "neither a JPEG file nor text"),
        (b"{", "is no JSON"),
        (b"[1]", 'must be a JSON object with "luma"'),
        (b"{}", 'must be a JSON object with "luma"'),
        (b'{"luma": [[1, 2], [3]]}', "eight rows of eight"),
        (b'{"luma": [[1, 2]]}', r'"luma" must have shape \(8, 8\), got \(1, 2\)'),
        (b'{"luma": 5, "y": 6}', "and nothing else"),
        (b"\xff\xd8\xff", "not a JPEG file that Pillow can read"),
        (b"[" * 200_000, "eight rows of eight"),
        (b'{"luma":' * 200_000, "eight rows of eight"),
        (b'{"luma": %s}' % (b"1" * 5000), "eight rows of eight"),
        (b'{"luma": [%s]}' % b",".join([b"[9e9,NaN,1,1,1,1,1,1]"] * 8), "whole numbers in 1..255, got 9"),
        (b'{"luma": [%s]}' % b",".join([b"[%s]" % b",".join([b"9" * 400] * 8)] * 8), '"luma" must hold numbers'),
        (b'{"luma": "text"}', "must have shape"),
        (b"1" * 5000, r"must hold whole numbers, got '1+\.\.\.1+'$"),
        (b"%s " % (b"9" * 400) * 64, "must hold numbers"),
    ],
)
def test_message_about_a_wrong_table(tmp_path, content, says):
    path = tmp_path / "tables"
    path.write_bytes(content)
    with pytest.raises((ValueError, OSError), match=says):
        read_tables(path)


def test_a_jpeg_file_without_the_tables_it_refers_to(tmp_path):
    path = tmp_path / "camera.jpg"
    file = pillow_file(IMAGE, 50)
    path.write_bytes(file.replace(b"\xff\xdb", b"\xff\xfe"))  # a comment in place of each
    with pytest.raises(ValueError, match=r"^has no quantization table of number 0"):
        read_tables(path)


def test_the_tables_of_a_jpeg_file_of_any_size(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    path = tmp_path / "camera.jpg"
    path.write_bytes(pillow_file(IMAGE, 50))
    same(read_tables(path), LUMINANCE, CHROMINANCE)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs a file without an end")
def test_a_file_without_an_end():
    with pytest.raises(ValueError, match="must hold whole numbers"):
        read_tables(Path("/dev/zero"))


def test_cmyk_jpeg_has_no_table_of_luma(tmp_path):
    path = tmp_path / "cmyk.jpg"
    Image.new("CMYK", (8, 8)).save(path)
    with pytest.raises(ValueError, match="other components than luma and chroma"):
        read_tables(path)


def test_custom_tables_equal_to_the_standard_give_equal_settings():
    assert Settings.of("4:2:0", "libjpeg", np.array(LUMINANCE, float), None) == Settings()
    assert Tables(None, None) == (None, None)
