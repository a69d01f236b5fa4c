"""Files against those of libjpeg-turbo: what is read, what is written, and what is refused."""

import io
import itertools
import math
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import skimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, features

from pyjpegdiff import Coefficients, jpeg_decode, jpeg_encode, jpeg_rate
from pyjpegdiff.files import JPEGFileError, read_jpeg, write_jpeg
from pyjpegdiff.rate import HUFFMAN
from tests.libraries import case  # noqa: F401
from tests.photos import IMAGES, PILLOW_SUBSAMPLING, content, photo, pillow_file
from tests.samples import SAMPLINGS, THOROUGH, noisy_ramp
from tests.scans import read_scan

needs_turbo = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"), reason="Pillow was not built with libjpeg-turbo"
)
SHIPPED = [path for package in (skimage, matplotlib) for path in Path(package.__file__).parent.rglob("*.jp*g")]
ARRAYS = ("y", "cb", "cr", "steps_y", "steps_c")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("files") / "file.jpg"


def read(path, data):
    path.write_bytes(data)
    return read_jpeg(path)


def encode(image, quality, subsampling="4:2:0", *tables):
    axis = None if image.ndim == 2 else -1
    return jpeg_encode(image, quality, *tables, arithmetic="libjpeg", subsampling=subsampling, channel_axis=axis)


def decode(coefficients):
    axis = None if coefficients.cb is None else -1
    return jpeg_decode(coefficients, arithmetic="libjpeg", channel_axis=axis)


def pixels(data):
    return np.array(Image.open(io.BytesIO(data)))


def pillow(image, **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()


def opencv(image, *options):
    cv2 = pytest.importorskip("cv2")
    options = [(getattr(cv2, f"IMWRITE_JPEG_{name}"), value) for name, value in options]
    _, data = cv2.imencode(".jpg", image[..., ::-1], list(itertools.chain(*options)))
    return data.tobytes()


def assert_equal(got, want):
    assert got[5:] == want[5:]
    for name in ARRAYS:
        if getattr(want, name) is None:
            assert getattr(got, name) is None
        else:
            np.testing.assert_array_equal(getattr(got, name), getattr(want, name))


# --- reading ----------------------------------------------------------------------------------------------------------


@needs_turbo
@settings(max_examples=10_000 if THOROUGH else 500)
@given(
    **IMAGES,
    subsampling=st.sampled_from([*PILLOW_SUBSAMPLING, "gray"]),
    progressive=st.booleans(),
    optimize=st.booleans(),
    restart=st.sampled_from([{}, {"restart_marker_blocks": 3}, {"restart_marker_rows": 1}]),
    qtables=st.sampled_from(["", "web_low", "web_high"]),
)
def test_pixels_are_pillows(
    path, seed, kind, height, width, quality, subsampling, progressive, optimize, restart, qtables
):
    gray = subsampling == "gray"
    image = content(np.random.default_rng(seed), kind, (height, width) if gray else (height, width, 3))
    options = {} if gray else {"subsampling": PILLOW_SUBSAMPLING[subsampling]}
    options |= {"qtables": qtables} if qtables else {}
    data = pillow(image, quality=quality, progressive=progressive, optimize=optimize, **options, **restart)
    found = read(path, data)
    assert found.subsampling == (None if gray else subsampling)
    np.testing.assert_array_equal(decode(found), pixels(data))
    if not qtables:
        assert_equal(found, encode(image, quality, subsampling if not gray else "4:2:0"))


@settings(max_examples=1_000 if THOROUGH else 50)
@given(**IMAGES, progressive=st.integers(0, 1), restart=st.sampled_from([0, 1, 3]))
def test_pixels_of_440(path, seed, kind, height, width, quality, progressive, restart):
    image = content(np.random.default_rng(seed), kind, (height, width, 3))
    options = [("QUALITY", quality), ("PROGRESSIVE", progressive), ("RST_INTERVAL", restart)]
    data = opencv(image, *options, ("SAMPLING_FACTOR", 0x121111))
    found = read(path, data)
    assert_equal(found, encode(image, quality, "4:4:0"))
    np.testing.assert_array_equal(decode(found), pixels(data))


@needs_turbo
@pytest.mark.parametrize("shipped", SHIPPED, ids=lambda path: path.name)
def test_pixels_of_files_that_packages_ship(shipped):
    np.testing.assert_array_equal(decode(read_jpeg(shipped)), pixels(shipped.read_bytes()))


def test_packages_ship_some():
    assert len(SHIPPED) >= 4


def segments_of(data):
    """Each marker with its segment, the last with the scan and the end marker."""
    at = 2
    while data[at + 1] != 0xDA:
        length = int.from_bytes(data[at + 2 : at + 4], "big") + 2
        yield data[at + 1], data[at : at + length]
        at += length
    yield 0xDA, data[at:]


def apart(path, coefficients, factors):
    """A file with a scan for each component, with these sampling factors: columns, rows."""
    y, cb, cr, steps_y, steps_c, size, _ = coefficients
    scans, tables, frame = b"", b"", b""
    for index, (blocks, steps, (wide, high)) in enumerate(
        zip((y, cb, cr), (steps_y, steps_c, steps_c), factors, strict=True)
    ):
        own_size = (8 * blocks.shape[0], 8 * blocks.shape[1])
        write_jpeg(path, Coefficients(blocks, None, None, steps, None, own_size, None), overwrite=True)
        for marker, segment in segments_of(path.read_bytes()):
            if marker == 0xDB:
                tables += segment[:4] + bytes([index]) + segment[5:]
            elif marker == 0xC4:
                scans += segment
            elif marker == 0xDA:
                scans += segment[:5] + bytes([index + 1]) + segment[6:-2]
        frame += bytes([index + 1, 16 * wide + high, index])
    header = b"\x08" + size[0].to_bytes(2, "big") + size[1].to_bytes(2, "big") + b"\x03" + frame
    return b"\xff\xd8" + tables + b"\xff\xc0\x00\x11" + header + scans + b"\xff\xd9"


@needs_turbo
@pytest.mark.parametrize(
    ("subsampling", "factors"),
    [
        ("4:4:4", [(1, 1)] * 3),
        ("4:4:4", [(2, 2)] * 3),
        ("4:4:4", [(4, 1)] * 3),
        ("4:2:2", [(2, 1), (1, 1), (1, 1)]),
        ("4:2:2", [(2, 2), (1, 2), (1, 2)]),
        ("4:2:2", [(4, 1), (2, 1), (2, 1)]),
        ("4:4:0", [(2, 2), (2, 1), (2, 1)]),
        ("4:2:0", [(2, 2), (1, 1), (1, 1)]),
        ("4:2:0", [(4, 4), (2, 2), (2, 2)]),
    ],
)
@pytest.mark.parametrize("size", [(37, 51), (8, 8), (16, 17), (1, 1)])
def test_scans_of_single_components_and_equivalent_factors(path, subsampling, factors, size):
    coefficients = encode(noisy_ramp(3, *size), 80, subsampling)
    data = apart(path, coefficients, factors)
    found = read(path, data)
    assert_equal(found, coefficients)
    np.testing.assert_array_equal(decode(found), pixels(data))


@needs_turbo
def test_harmless_differences(path):
    """What libjpeg reads without an error, too."""
    image = noisy_ramp(0, 40, 50, gray=True)
    data = pillow_file(image, 50)
    want = encode(image, 50)
    frame = data.index(b"\xff\xc0")
    comment = b"\xff\xfe\x00\x06text"
    for name, changed in {
        "a sampling factor of gray": data[: frame + 11] + b"\x22" + data[frame + 12 :],
        "a comment": data[:2] + comment + data[2:],
        "bytes of ones before a marker": data[:2] + b"\xff\xff" + data[2:],
        "bytes after the end": data + b"more" + data,
        "bytes after the last symbol": data[:-2] + b"\x00\x00\xff\xff\xff\xd9",
        "the other sequential process": data[:frame] + b"\xff\xc1" + data[frame + 2 :],
    }.items():
        assert_equal(read(path, changed), want), name
        np.testing.assert_array_equal(pixels(changed), decode(want), name)


# --- refusals ---------------------------------------------------------------------------------------------------------

IMAGE = noisy_ramp(0, 40, 50)
FILE = pillow_file(IMAGE, 50)
SAMPLED = FILE.index(b"\xff\xc0")


def changed(at, *values, data=FILE):
    return data[:at] + bytes(values) + data[at + len(values) :]


def with_steps(*entries):
    """With first entries of the luma table, of 16 bits each."""
    at = FILE.index(b"\xff\xdb")
    steps = [*entries, *[1] * (64 - len(entries))]
    table = b"\xff\xdb\x00\x83\x10" + b"".join(step.to_bytes(2, "big") for step in steps)
    return FILE[:at] + table + FILE[at + 69 :]


def three_tables():
    return pillow(IMAGE, qtables=[[9] * 64, [8] * 64, [7] * 64])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (lambda: b"", "is not a JPEG file"),
        (lambda: b"\x89PNG\r\n", "is not a JPEG file"),
        (lambda: pillow(np.zeros((8, 8, 4), np.uint8)[..., :3], keep_rgb=True), "holds RGB, not YCbCr"),
        (lambda: named(b"RGB"), "holds RGB, not YCbCr"),
        (lambda: pillow_cmyk(), "has 4 components, so it is CMYK or YCCK"),
        (lambda: changed(SAMPLED + 4, 12), "has 12 bits per sample, not 8"),
        (lambda: changed(SAMPLED + 1, 0xC9), "is arithmetically coded"),
        (lambda: changed(SAMPLED + 1, 0xCA), "is arithmetically coded"),
        (lambda: changed(SAMPLED + 1, 0xC3), "is lossless"),
        (lambda: changed(SAMPLED + 1, 0xC5), "is hierarchical"),
        (lambda: changed(SAMPLED + 5, 0, 0), "has no height in its frame header"),
        (lambda: changed(SAMPLED + 7, 0, 0), "has no width"),
        (lambda: opencv(IMAGE, ("SAMPLING_FACTOR", 0x411111)), "has sampling factors 4x1, 1x1, 1x1; what can be read"),
        (lambda: changed(SAMPLED + 14, 0x21), "has sampling factors 2x2, 2x1, 1x1; what can be read"),
        (lambda: changed(SAMPLED + 11, 0x50), "a sampling factor is not within 1..4"),
        (lambda: changed(SAMPLED + 13, 1), "two components have the same name"),
        (three_tables, "has different quantization tables for Cb and Cr"),
        (lambda: with_steps(1, 256), "has step sizes of 16 bits, up to 256"),
        (lambda: with_steps(1, 0), "it has step sizes of zero"),
        (lambda: changed(SAMPLED + 5, 255, 255, 255, 255), "too small to hold an image of 65535 x 65535 pixels"),
        (lambda: changed(SAMPLED + 5, 2, 0, 2, 0), "is cut short: "),
        (lambda: FILE[:-2], "it has no end marker"),
        (lambda: FILE[:100], "it ends within a header"),
        (lambda: FILE[:2] + FILE[-2:], "it has no frame header"),
        (lambda: changed(FILE.index(b"\xff\xdb") + 1, 0xFE), "a quantization table is missing"),
        (lambda: changed(FILE.index(b"\xff\xc4") + 1, 0xFE), "a Huffman table is missing"),
        (lambda: changed(FILE.index(b"\xff\xc4") + 5, 3), "a Huffman table is no table"),
        (lambda: changed(FILE.index(b"\xff\xda") + 5, 7), "a scan has components that the frame has not"),
    ],
)
def test_what_cannot_be_read_is_named(path, data, says):
    path.write_bytes(data())
    with pytest.raises(JPEGFileError, match=r"^'.*file\.jpg' ") as caught:
        read_jpeg(path)
    assert says in str(caught.value)


def named(names):
    """Without the JFIF header, which says YCbCr, and with other names of components."""
    start = FILE.index(b"\xff\xdb")
    data = bytearray(FILE[:2] + FILE[start:])
    frame, scan = data.index(b"\xff\xc0"), data.index(b"\xff\xda")
    data[frame + 10 : frame + 18 : 3] = names
    data[scan + 5 : scan + 10 : 2] = names
    return bytes(data)


@needs_turbo
@pytest.mark.parametrize("names", [b"\1\2\3", b"\0\1\2", b"YUV"])
def test_other_names_are_ycbcr(path, names):
    data = named(names)
    np.testing.assert_array_equal(decode(read(path, data)), pixels(data))


def pillow_cmyk():
    file = io.BytesIO()
    Image.fromarray(IMAGE).convert("CMYK").save(file, "JPEG")
    return file.getvalue()


def test_16_bit_steps_that_fit_are_read(path):
    found = read(path, with_steps(255, 9))
    assert found.steps_y[0, :2].tolist() == [255, 9]


def small_files():
    image = noisy_ramp(1, 24, 40)
    for options in (
        {}, {"optimize": True}, {"progressive": True}, {"subsampling": 0}, {"subsampling": 1, "progressive": True},
        {"restart_marker_blocks": 2}, {"restart_marker_blocks": 1, "progressive": True},
    ):  # fmt: skip
        yield pillow(image, quality=85, **options)
    yield pillow(image[..., 0], quality=85)
    yield pillow(image[..., 0], quality=85, progressive=True)


@pytest.mark.parametrize("data", [*small_files()], ids=range(9))
def test_every_truncation_is_refused(path, data):
    for length in range(0, len(data), 1 if THOROUGH else 13):
        with pytest.raises(JPEGFileError):
            read(path, data[:length])


def mutated(rng, data):
    """Cut, with flipped bits in the headers or anywhere, with another size, with parts moved."""
    kind = rng.integers(6)
    data = bytearray(data)
    if kind == 0:
        return bytes(data[: rng.integers(len(data))]) + b"\xff\xd9"
    if kind == 1:
        frame = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"))
        data[frame + 5 : frame + 9] = rng.integers(0, 256, 4, np.uint8).tobytes()
    elif kind == 2:
        a, b = sorted(rng.integers(2, len(data), 2))
        data[a:b] = data[a:b][::-1] if rng.random() < 0.5 else b""
    else:
        for _ in range(rng.integers(1, 8)):
            at = rng.integers(2, min(650, len(data)) if kind == 3 else len(data))
            data[at] = rng.integers(256) if kind == 5 else data[at] ^ 1 << rng.integers(8)
    return bytes(data)


@pytest.mark.parametrize("data", [*small_files()], ids=range(9))
def test_mutations_raise_or_are_read(path, data):
    """Nothing but `JPEGFileError` is raised, and what is read can be decoded."""
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2_000 if THOROUGH else 60):
        try:
            found = read(path, mutated(rng, data))
        except JPEGFileError:
            refused += 1
            continue
        assert decode(found).shape[:2] == found.size
    assert refused


# --- writing ----------------------------------------------------------------------------------------------------------


@needs_turbo
@settings(max_examples=10_000 if THOROUGH else 500)
@given(
    **IMAGES,
    subsampling=st.sampled_from([*PILLOW_SUBSAMPLING, "gray"]),
    huffman=st.sampled_from(HUFFMAN),
    custom=st.booleans(),
)
def test_the_file_is_pillows(path, seed, kind, height, width, quality, subsampling, huffman, custom):
    """Byte for byte, whatever the tables."""
    rng = np.random.default_rng(seed)
    gray = subsampling == "gray"
    image = content(rng, kind, (height, width) if gray else (height, width, 3))
    subsampling = "4:2:0" if gray else subsampling
    tables = rng.integers(1, 256, (2, 8, 8)) if custom else ()
    qtables = [table.ravel().tolist() for table in tables[: 1 if gray else 2]] or None
    coefficients = encode(image, quality, subsampling, *tables)
    size = write_jpeg(path, coefficients, huffman=huffman, overwrite=True)
    assert path.read_bytes() == pillow_file(image, quality, subsampling, qtables, optimize=huffman == "optimized")
    assert size == path.stat().st_size
    assert_equal(read_jpeg(path), coefficients)


@needs_turbo
@settings(max_examples=5_000 if THOROUGH else 200)
@given(
    seed=st.integers(0, 2**32),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    subsampling=st.sampled_from([*SAMPLINGS, "gray"]),
    largest=st.sampled_from([1, 20, 100, 1023]),
    density=st.sampled_from([0, 0.01, 0.1, 1]),
    huffman=st.sampled_from(HUFFMAN),
)
def test_coefficients_of_no_image(path, seed, height, width, subsampling, largest, density, huffman):
    """Runs of any length, values up to the bounds: stored as they are, in the bits that were counted."""
    rng = np.random.default_rng(seed)
    gray = subsampling == "gray"
    like = encode(
        np.zeros((height, width) if gray else (height, width, 3), np.uint8), 50, "4:2:0" if gray else subsampling
    )
    coefficients = like._replace(
        **{
            name: (rng.random(x.shape) < density) * rng.integers(-largest, largest + 1, x.shape).astype(np.float32)
            for name, x in like._asdict().items()
            if name in ("y", "cb", "cr") and x is not None
        },
        steps_y=rng.integers(1, 17, (8, 8)),
        steps_c=None if gray else rng.integers(1, 17, (8, 8)),
    )
    write_jpeg(path, coefficients, huffman=huffman, overwrite=True)
    data = path.read_bytes()
    assert_equal(read_jpeg(path), coefficients)
    bits = jpeg_rate(coefficients, huffman=huffman)
    assert read_scan(data).bits == bits
    *_, (_, segment) = segments_of(data)
    scan = segment[2 + int.from_bytes(segment[2:4], "big") : -2].replace(b"\xff\x00", b"\xff")
    assert len(scan) == math.ceil(bits / 8)
    # Eight coefficients of a column are at most 8 * largest * 16 / 2, in libjpeg's scale 4 sqrt(8) times that: up to
    # 16383, as documented, all variants of libjpeg agree.
    if 8 * largest * 16 / 2 * 4 * 8**0.5 <= 16383:
        np.testing.assert_array_equal(pixels(data), decode(coefficients))


@needs_turbo
@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("quality", [30, 100])
def test_a_whole_photo(path, huffman, quality):
    """At quality 100 optimized codes have to be shortened."""
    image = photo("astronaut")
    write_jpeg(path, encode(image, quality), huffman=huffman, overwrite=True)
    assert path.read_bytes() == pillow_file(image, quality, optimize=huffman == "optimized")


def test_dc_beyond_what_an_image_has(path):
    y = np.zeros((1, 40, 8, 8))
    y[0, :, 0, 0] = np.minimum(np.arange(40) * 2047, 32767)
    coefficients = Coefficients(y, None, None, np.ones((8, 8)), None, (8, 320), None)
    write_jpeg(path, coefficients, overwrite=True)
    assert_equal(read_jpeg(path), coefficients)


def test_arrays_of_any_library(path, case):
    coefficients = encode(noisy_ramp(0, 17, 33), 50)
    there = coefficients._replace(**{name: case.array(getattr(coefficients, name)) for name in ARRAYS})
    write_jpeg(path, there, overwrite=True)
    assert_equal(read_jpeg(path), coefficients)


def test_a_batch_of_one_and_integers(path):
    coefficients = encode(noisy_ramp(0, 17, 33), 50)
    given_ = coefficients._replace(
        **{name: getattr(coefficients, name)[None].astype(np.int16) for name in ARRAYS if name != "steps_c"}
    )
    write_jpeg(path, given_, overwrite=True)
    assert_equal(read_jpeg(path), coefficients)
    assert given_.y.shape == (1, 3, 5, 8, 8)


COEFFICIENTS = encode(IMAGE, 50)


def replaced(name, at, value):
    array = getattr(COEFFICIENTS, name).copy()
    array[at] = value
    return COEFFICIENTS._replace(**{name: array})


@pytest.mark.parametrize(
    ("coefficients", "options", "error", "says"),
    [
        (replaced("y", (0, 0, 1, 1), 0.5), {}, ValueError, "coefficients.y must hold whole numbers"),
        (replaced("cr", (0, 0, 1, 1), np.nan), {}, ValueError, "coefficients.cr must hold whole numbers"),
        (replaced("cr", (0, 0, 1, 1), np.inf), {}, ValueError, "coefficients.cr must be within -32767..32767, got inf"),
        (replaced("cb", (0, 0, 1, 1), 1024), {}, ValueError, "coefficients.cb must hold AC coefficients within"),
        (replaced("y", (0, 0, 0, 0), 3000), {}, ValueError, "coefficients.y must hold differences of DC within"),
        (replaced("steps_y", (0, 0), 0), {}, ValueError, "coefficients.steps_y must be within 1..255, got 0"),
        (replaced("steps_c", (0, 0), 256), {}, ValueError, "coefficients.steps_c must be within 1..255, got 256"),
        (replaced("steps_c", (0, 0), 2.5), {}, ValueError, "coefficients.steps_c must hold whole numbers"),
        (
            COEFFICIENTS._replace(y=np.zeros((2, 5, 7, 8, 8))),
            {},
            ValueError,
            "coefficients.y must be that of one image",
        ),
        (COEFFICIENTS._replace(y=np.zeros((4, 7, 8, 8))), {}, ValueError, "coefficients.y must have shape"),
        (COEFFICIENTS._replace(y=None), {}, TypeError, "coefficients.y must be an array"),
        (COEFFICIENTS._replace(y=[1]), {}, TypeError, "coefficients.y must be an array"),
        (COEFFICIENTS._replace(subsampling="4:1:1"), {}, ValueError, "coefficients.subsampling must be one of"),
        (5, {}, TypeError, "coefficients must be Coefficients"),
        (COEFFICIENTS, {"huffman": "best"}, ValueError, "huffman must be one of"),
        (COEFFICIENTS, {"overwrite": "yes"}, TypeError, "overwrite must be True or False"),
    ],
)
def test_what_cannot_be_written(tmp_path, coefficients, options, error, says):
    with pytest.raises(error, match=says):
        write_jpeg(tmp_path / "out.jpg", coefficients, **options)
    assert list(tmp_path.iterdir()) == []


def test_larger_than_libjpeg_reads(tmp_path):
    y = np.zeros((1, 8192, 8, 8), np.int8)
    with pytest.raises(ValueError, match=r"coefficients\.size must be at most 65500"):
        write_jpeg(tmp_path / "out.jpg", Coefficients(y, None, None, np.ones((8, 8)), None, (8, 65536), None))


def test_what_exists_is_kept(tmp_path):
    path = tmp_path / "there.jpg"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError, match="must not exist unless overwrite=True"):
        write_jpeg(str(path), COEFFICIENTS)
    assert path.read_bytes() == b"mine"
    write_jpeg(str(path), COEFFICIENTS, overwrite=True)
    assert_equal(read_jpeg(str(path)), COEFFICIENTS)
    assert list(tmp_path.iterdir()) == [path]


def test_paths(tmp_path):
    for wrong in (None, 5, io.BytesIO()):
        with pytest.raises(TypeError, match="path must be a str or a path"):
            read_jpeg(wrong)
        with pytest.raises(TypeError, match="path must be a str or a path"):
            write_jpeg(wrong, COEFFICIENTS)
    with pytest.raises(FileNotFoundError):
        read_jpeg(tmp_path / "absent.jpg")
    with pytest.raises(FileNotFoundError):
        write_jpeg(tmp_path / "absent" / "out.jpg", COEFFICIENTS)


def test_arrays_are_not_changed(tmp_path):
    frozen = encode(IMAGE, 50)
    for name in ARRAYS:
        getattr(frozen, name).flags.writeable = False
    write_jpeg(tmp_path / "out.jpg", frozen)
    assert_equal(read_jpeg(tmp_path / "out.jpg"), COEFFICIENTS)
