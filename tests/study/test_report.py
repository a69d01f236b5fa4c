"""The page needs no network, shows the data it gets, and no name can break it."""

import re
from html.parser import HTMLParser

import numpy as np

from pyjpegdiff.study import study
from pyjpegdiff.study.maps import frequency_maps
from pyjpegdiff.study.pictures import picture
from pyjpegdiff.study.report import number, report, significant
from pyjpegdiff.study.settings import Settings

EVIL = '<script>alert("1")</script> & "\'.png'
VOID = {"meta", "img", "source", "br"}


class Page(HTMLParser):
    """Checks that tags are nested, and collects what a browser would load."""

    def __init__(self, text):
        super().__init__()
        self.open, self.addresses, self.tags, self.text = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "srcset", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


def page_of(image, name, failures=(), pictures=True):
    measurements = study(image, (10, 90))
    curves = {name: measurements}
    maps = frequency_maps([(image[..., 0].size, measurements)], [10, 90], Settings())
    shown = picture(image, [10, 90], 90, Settings()) if pictures else None
    images = [{"name": name, "size": image.shape[1::-1], "note": "a note <b>", "measurements": measurements,
               "pictures": shown}]  # fmt: skip
    return report(images, curves, maps, [10, 90], failures, Settings()).decode(), measurements


def test_page_is_complete_without_other_files():
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    text, measurements = page_of(image, EVIL, [("bad <i>.png", "is <no> image")])
    page = Page(text)
    assert page.open == ["html"] or not page.open
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses)
    assert sum(address.startswith("data:image/png") for address in page.addresses) == 4 + 2 * 4
    assert "http" not in re.sub(r"data:[^\"]*", "", text)
    assert "url(" not in text
    assert "script" not in page.tags
    for shown in (EVIL, "a note <b>", "bad <i>.png", "is <no> image"):
        assert shown in page.text
    for row in measurements:
        assert f"{row.psnr:.2f}" in page.text
        assert f"{row.ssim:.4f}" in page.text
    assert text.count("background:#") >= 2 * 3 * 64
    assert 'title="vertical 0, horizontal 7: ' in text
    assert "2, from 10 to 90" in page.text
    assert re.search(r"RMS error [0-9.]+ of 255, at x\s[0-9]+, y\s[0-9]+", page.text)
    assert "prefers-color-scheme: dark" in text


def test_page_of_a_tiny_image_and_of_one_without_error():
    for image in (np.zeros((1, 1, 3), np.uint8), np.full((20, 20, 3), 128, np.uint8)):
        text, _ = page_of(image, "image")
        assert "∞" in Page(text).text


def test_summary_comes_first():
    text, measurements = page_of(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8), "image")
    summary = Page(text).text.partition("Rate and distortion")[0]
    for row in measurements:
        assert f"{row.psnr:.2f}" in summary
        assert f"{row.ssim:.4f}" in summary
        assert f"{row.bits_per_pixel:.3f}" in summary
    assert "36 steps clamped to 255" in Page(text).text


def test_worst_images_come_first():
    rng, images, curves = np.random.default_rng(0), [], {}
    for strength in (20, 60, 10, 40):
        pixels = (128 + rng.normal(0, 1, (24, 24)) * strength).clip(0, 255).astype(np.uint8)
        name, measurements = f"image {strength}", study(pixels, (10, 90))
        curves[name] = measurements
        images.append({"name": name, "size": (24, 24), "note": "", "measurements": measurements,
                       "pictures": picture(pixels, [10, 90], 10, Settings())})  # fmt: skip
    maps = frequency_maps([(576, found) for found in curves.values()], [10, 90], Settings())
    text = report(images, curves, maps, [10, 90], (), Settings()).decode()
    assert re.findall(r"<h3>image (\d+)</h3>", text) == ["60", "40", "20", "10"]
    assert "Sorted by PSNR at quality 10, the lowest first." in text


def test_bits_and_slopes_are_shown():
    text, measurements = page_of(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8), "image")
    shares, numbers = Page(text).text.partition("Bits of coefficients")[2].split("Numbers")
    for row in measurements:
        counts = [row.luma_dc_bits, row.luma_ac_bits, row.chroma_dc_bits, row.chroma_ac_bits]
        for count in counts:
            assert f"{100 * count / sum(counts):.1f} %" in shares
            assert f"{count:,}" in numbers
        assert significant(row.rd_slope) in shares
        assert significant(row.rd_slope) in numbers
    widths = [float(width) for width in re.findall(r'<i style="width:([0-9.]+)%;background', text)]
    assert len(widths) == 2 * 4
    assert abs(sum(widths) - 200) < 8 * 0.006  # rounded to two digits


def test_images_that_are_not_shown_are_counted():
    text, _ = page_of(np.zeros((9, 9, 3), np.uint8), "image", pictures=False)
    assert "The 0 with the lowest PSNR; all 1 are in measurements.csv." in Page(text).text


def test_numbers():
    assert [significant(value) for value in (-2801.3, -12.345, -0.5, 0.00012, 0.0, float("nan"), float("-inf"))] == [
        "-2801", "-12.3", "-0.500", "0.000", "0", "-", "∞"
    ]  # fmt: skip
    assert [number(value) for value in (1.234, float("inf"), float("nan"))] == ["1.23", "∞", "-"]
