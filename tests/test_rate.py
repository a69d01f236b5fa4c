"""Against files of libjpeg-turbo, read to the last symbol."""

import heapq

import array_api_strict
import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import features

from pyjpegdiff import Coefficients, jpeg_encode, jpeg_rate
from pyjpegdiff.rate import HUFFMAN
from pyjpegdiff.tables import LUMINANCE, ZIGZAG
from tests.libraries import case  # noqa: F401
from tests.photos import IMAGES, NAMES, PILLOW_SUBSAMPLING, content, photo, pillow_file
from tests.samples import SAMPLINGS, THOROUGH, noisy_ramp
from tests.scans import read_scan

needs_turbo = pytest.mark.skipif(
    not features.check_feature("libjpeg_turbo"), reason="Pillow was not built with libjpeg-turbo"
)


BLOCKS = ("y", "cb", "cr")


def encode(image, quality, subsampling="4:2:0"):
    axis = None if image.ndim == 2 else -1
    return jpeg_encode(image, quality, arithmetic="libjpeg", subsampling=subsampling, channel_axis=axis)


# --- exact ------------------------------------------------------------------------------------------------------------


@needs_turbo
@settings(max_examples=20_000 if THOROUGH else 1_000)
@given(**IMAGES, subsampling=st.sampled_from([*PILLOW_SUBSAMPLING, "gray"]), huffman=st.sampled_from(HUFFMAN))
def test_bits_are_those_of_the_file(seed, kind, height, width, quality, subsampling, huffman):
    gray = subsampling == "gray"
    image = content(np.random.default_rng(seed), kind, (height, width) if gray else (height, width, 3))
    subsampling = "4:2:0" if gray else subsampling
    data = pillow_file(image, quality, subsampling, optimize=huffman == "optimized")
    assert jpeg_rate(encode(image, quality, subsampling), huffman=huffman) == read_scan(data).bits


@settings(max_examples=2_000 if THOROUGH else 200)
@given(**IMAGES, huffman=st.sampled_from(HUFFMAN))
def test_bits_of_440_are_those_of_the_file(seed, kind, height, width, quality, huffman):
    cv2 = pytest.importorskip("cv2")
    image = content(np.random.default_rng(seed), kind, (height, width, 3))
    options = {
        cv2.IMWRITE_JPEG_QUALITY: quality,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR: cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
        cv2.IMWRITE_JPEG_OPTIMIZE: int(huffman == "optimized"),
    }
    _, data = cv2.imencode(".jpg", image[..., ::-1], [item for pair in options.items() for item in pair])
    assert jpeg_rate(encode(image, quality, "4:4:0"), huffman=huffman) == read_scan(data.tobytes()).bits


@needs_turbo
@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("name", NAMES)
def test_bits_of_whole_photos(name, huffman):
    for quality in range(5, 101, 5) if THOROUGH else (20, 75):
        data = pillow_file(photo(name), quality, optimize=huffman == "optimized")
        assert jpeg_rate(encode(photo(name), quality), huffman=huffman) == read_scan(data).bits


@needs_turbo
@pytest.mark.parametrize("seed", range(20 if THOROUGH else 3))
def test_bits_of_a_file_whose_codes_had_to_be_shortened(seed):
    """Blocks of one AC coefficient each, in numbers as unlike as those of Fibonacci."""
    rng = np.random.default_rng(seed)
    kinds = rng.permutation([(*at, value) for at in ZIGZAG[1:11] for value in (1, 2)])
    counts = [1, 2]
    while len(counts) < len(kinds) - 2:
        counts.append(counts[-1] + counts[-2])
    order = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    high, wide = 105, -(-len(order) // 105)
    blocks = np.zeros((high * wide, 8, 8))
    for index, kind in enumerate(order):
        row, column, value = kinds[kind]
        blocks[index, row, column] = value * LUMINANCE[row][column]
    samples = scipy.fft.idctn(blocks, axes=(-2, -1), norm="ortho").reshape(high, wide, 8, 8)
    image = np.round(128 + samples.swapaxes(1, 2).reshape(8 * high, 8 * wide)).astype(np.uint8)
    assert depth([*counts, high * wide, 1]) > 16
    scan = read_scan(pillow_file(image, 50, optimize=True))
    assert scan.longest == 16
    assert jpeg_rate(encode(image, 50), huffman="optimized") == scan.bits


def depth(counts):
    """Of Huffman's tree without a limit."""
    heap = [(count, 0) for count in counts]
    heapq.heapify(heap)
    while len(heap) > 1:
        (a, of_a), (b, of_b) = heapq.heappop(heap), heapq.heappop(heap)
        heapq.heappush(heap, (a + b, max(of_a, of_b) + 1))
    return heap[0][1]


# --- any array --------------------------------------------------------------------------------------------------------


def shared(coefficients, change):
    """Coefficients with each array changed."""
    return coefficients._replace(
        **{
            name: change(value)
            for name, value in coefficients._asdict().items()
            if value is not None and name not in ("size", "subsampling")
        }
    )


@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("subsampling", [*SAMPLINGS, "gray"])
def test_batches_are_their_images(subsampling, huffman):
    gray = subsampling == "gray"
    images = noisy_ramps(6, 27, 43, gray)
    choices = {"channel_axis": None} if gray else {"channel_axis": -1, "subsampling": subsampling}
    coefficients = jpeg_encode(images.reshape(2, 3, *images.shape[1:]), 70, arithmetic="libjpeg", **choices)
    bits = jpeg_rate(coefficients, huffman=huffman)
    assert (bits.shape, bits.dtype) == ((2, 3), np.float64)
    alone = [jpeg_rate(jpeg_encode(x, 70, arithmetic="libjpeg", **choices), huffman=huffman) for x in images]
    np.testing.assert_array_equal(bits.ravel(), alone)
    assert len(set(bits.ravel())) == 6


@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("subsampling", [*SAMPLINGS, "gray"])
def test_every_library_counts_the_same(case, subsampling, huffman):
    if case.xp.__name__.endswith("torch"):
        pytest.skip("tensors go to their adapter")
    gray = subsampling == "gray"
    choices = {"channel_axis": None} if gray else {"channel_axis": -1, "subsampling": subsampling}
    coefficients = jpeg_encode(noisy_ramps(2, 19, 27, gray), 80, arithmetic="libjpeg", **choices)
    bits = jpeg_rate(shared(coefficients, case.array), huffman=huffman)
    assert bits.dtype == case.xp.float64
    np.testing.assert_array_equal(case.numpy(bits), jpeg_rate(coefficients, huffman=huffman))


def noisy_ramps(count, height, width, gray):
    return np.stack([noisy_ramp(seed, height, width, gray) for seed in range(count)])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64"])
def test_every_dtype_counts_the_same(dtype):
    coefficients = encode(photo("coffee")[:61, :43], 60)
    wanted = np.iinfo if np.dtype(dtype).kind in "iu" else np.finfo
    low, high = (int(max(-1000, min(1000, bound))) for bound in (wanted(dtype).min, wanted(dtype).max))
    clipped = coefficients._replace(**{name: getattr(coefficients, name).clip(low, high) for name in BLOCKS})
    given = clipped._replace(**{name: getattr(clipped, name).astype(dtype) for name in BLOCKS})
    assert jpeg_rate(given) == jpeg_rate(clipped)
    assert jpeg_rate(given).dtype == np.float64


def test_coefficients_are_rounded_first_ties_to_even():
    coefficients = encode(photo("coffee")[:61, :43], 60)
    rng = np.random.default_rng(0)
    moved = coefficients._replace(
        **{
            name: getattr(coefficients, name) + rng.uniform(-0.49, 0.49, getattr(coefficients, name).shape)
            for name in BLOCKS
        }
    )
    assert jpeg_rate(moved) == jpeg_rate(coefficients)
    one = np.zeros((1, 1, 8, 8))
    bits = {}
    for value in (0, 0.5, 1.5, 2, 2.5):
        one[0, 0, 0, 1] = value
        bits[value] = jpeg_rate(Coefficients(one, None, None, np.ones((8, 8)), None, (8, 8), None))
    assert bits[0.5] == bits[0] < bits[1.5] == bits[2] == bits[2.5]


def test_nothing_that_was_given_is_written_to():
    coefficients = encode(photo("coffee")[:61, :43], 60)
    for array in coefficients[:5]:
        array.flags.writeable = False
    jpeg_rate(coefficients)
    jpeg_rate(coefficients, huffman="optimized")


# --- what baseline cannot store ---------------------------------------------------------------------------------------


def gray_of(dc, ac):
    y = np.zeros((1, 2, 8, 8))
    y[0, :, 0, 0], y[0, 1, 7, 7] = dc, ac
    return Coefficients(y, None, None, np.ones((8, 8)), None, (8, 16), None)


@pytest.mark.parametrize(
    ("dc", "ac", "message"),
    [
        ((0, 0), 1024, "coefficients.y must hold AC coefficients within -1023..1023, as baseline JPEG does, got 1024"),
        ((0, 0), -2000, "AC coefficients within -1023..1023, as baseline JPEG does, got 2000"),
        ((0, 0), np.nan, "AC coefficients within -1023..1023, as baseline JPEG does, got nan"),
        ((-1024, 1024), 0, "differences of DC within -2047..2047, as baseline JPEG does, got 2048"),
        ((np.inf, 0), 0, "differences of DC within -2047..2047, as baseline JPEG does, got inf"),
    ],
)
def test_what_baseline_cannot_store(dc, ac, message):
    with pytest.raises(ValueError, match=message):
        jpeg_rate(gray_of(dc, ac))


def test_bounds_can_be_stored():
    most = jpeg_rate(gray_of((-1024, 1023), 1023))
    assert most > jpeg_rate(gray_of((0, 1023), 511))


def test_other_libraries_count_the_nearest_bound():
    def strict(coefficients):
        return float(jpeg_rate(shared(coefficients, array_api_strict.asarray)))

    at_bounds = strict(gray_of((-1024, 1023), 1023))
    assert strict(gray_of((-1024, 5000), 1e6)) == at_bounds == jpeg_rate(gray_of((-1024, 1023), 1023))
    assert strict(gray_of((0, 0), np.nan)) == strict(gray_of((0, 0), 0))


# --- arguments --------------------------------------------------------------------------------------------------------


def test_arguments_are_checked():
    coefficients = encode(photo("coffee")[:16, :16], 60)
    with pytest.raises(ValueError, match=r"huffman must be one of .'standard', 'optimized'., got 'optimised'"):
        jpeg_rate(coefficients, huffman="optimised")
    with pytest.raises(TypeError, match=r"huffman must be one of .*, got bool"):
        jpeg_rate(coefficients, huffman=True)
    with pytest.raises(TypeError, match=r"coefficients must be Coefficients, as jpeg_encode returns them"):
        jpeg_rate(coefficients.y)
    with pytest.raises(ValueError, match=r"coefficients.cb must have shape .* for size"):
        jpeg_rate(coefficients._replace(cb=coefficients.y))
    with pytest.raises(TypeError, match=r"coefficients.cr must be a numpy.ndarray, got list"):
        jpeg_rate(coefficients._replace(cr=coefficients.cr.tolist()))
