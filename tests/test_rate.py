"""Against files of libjpeg-turbo, read to the last symbol."""

import heapq

import array_api_strict
import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import features

from pyjpegdiff import Coefficients, arguments, jpeg_encode, jpeg_encode_vjp, jpeg_rate, jpeg_rate_vjp, scan
from pyjpegdiff.rate import HUFFMAN
from pyjpegdiff.stages.entropy_slopes import DITHER
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
    _, vjp = jpeg_rate_vjp(coefficients, huffman="optimized")
    vjp(np.asarray(1.0))


def test_what_was_given_may_change_before_the_vjp_is_called():
    coefficients = encode(photo("coffee")[:61, :43], 60)
    _, vjp = jpeg_rate_vjp(coefficients)
    want = vjp(np.asarray(1.0))
    for name in BLOCKS:
        getattr(coefficients, name)[...] = 3
    for name in BLOCKS:
        np.testing.assert_array_equal(getattr(vjp(np.asarray(1.0)), name), getattr(want, name))


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


# --- the VJP ----------------------------------------------------------------------------------------------------------

UNROUNDED = {"rounding": "identity", "channel_axis": -1}


def between(coefficients, name, at, huffman):
    """The derivative at one coefficient, from the bits of two files."""
    blocks = getattr(coefficients, name)
    x = blocks[at]
    whole = np.round(blocks)
    bits = []
    for neighbor in (np.ceil(x) - 1, np.floor(x) + 1):
        whole[at] = neighbor
        bits.append(float(jpeg_rate(coefficients._replace(**{name: whole}), huffman=huffman)))
    if x == np.round(x):
        return (bits[1] - bits[0]) / 2
    return (bits[1] - bits[0]) / DITHER if abs(x - np.floor(x) - 0.5) <= DITHER / 2 else 0.0


@pytest.mark.parametrize("is_whole", [False, True])
@settings(max_examples=500 if THOROUGH else 25)
@given(
    **{**IMAGES, "height": st.integers(1, 40), "width": st.integers(1, 40)}, subsampling=st.sampled_from([*SAMPLINGS])
)
def test_the_derivative_is_a_difference_of_bits(is_whole, seed, kind, height, width, quality, subsampling):
    """With the standard tables, which no coefficient changes."""
    rng = np.random.default_rng(seed)
    image = content(rng, kind, (height, width, 3)).astype(np.float64)
    coefficients = jpeg_encode(image, quality, subsampling=subsampling, **UNROUNDED)
    if is_whole:
        coefficients = shared(coefficients, np.round)
    bits, vjp = jpeg_rate_vjp(coefficients)
    assert bits == jpeg_rate(coefficients)
    gradient = vjp(np.asarray(2.0))
    for name in BLOCKS:
        got = getattr(gradient, name)
        likely = np.argwhere(got != 0)
        for index in range(16):
            at = tuple(rng.integers(0, got.shape) if index % 2 or not len(likely) else rng.choice(likely))
            at = (*at[:2], 0, 0) if index % 4 == 3 else at
            assert got[at] == 2 * between(coefficients, name, at, "standard")


def test_the_derivative_with_optimized_tables_holds_their_lengths_fixed():
    """Where every symbol has the same length in both tables, so has the derivative."""
    coefficients = jpeg_encode(photo("coffee")[:61, :43].astype(np.float64), 60, **UNROUNDED)
    call = arguments.decoding(None, coefficients)
    whole = scan.scan(call.xp, call.plan.spec.sampling, "optimized", scan.blocks_of(call))
    gradient = dict(zip(BLOCKS, whole.bits_vjp(np.asarray(1.0)), strict=True))
    _, vjp = jpeg_rate_vjp(coefficients, huffman="optimized")
    np.testing.assert_array_equal(vjp(np.asarray(1.0)).y, gradient["y"])
    for name, table in (("y", 0), ("cb", 1), ("cr", 1)):
        _, lengths = whole.tables[table].lengths
        assert (lengths == 0).any()
        known = np.where(lengths == 0, 16, lengths)
        blocks = getattr(coefficients, name)
        for at in np.argwhere(gradient[name] != 0)[:200]:
            row, column, *place = at
            position = ZIGZAG.index(tuple(place))
            if position:
                block = [blocks[row, column, i, j] for i, j in ZIGZAG]
                low, high = (ac_bits(np.round(block), position, f(block[position]), known) for f in (np.floor, np.ceil))
                assert gradient[name][tuple(at)] == (high - low) / DITHER


def ac_bits(block, position, value, lengths):
    """Bits of the AC coefficients of a block in zigzag order, one of them replaced."""
    block = np.array(block)
    block[position] = value
    bits, run = 0, 0
    for k in block[1:]:
        if k == 0:
            run += 1
            continue
        while run > 15:
            bits, run = bits + lengths[0xF0], run - 16
        size = int(abs(k)).bit_length()
        bits, run = bits + lengths[16 * run + size] + size, 0
    return bits + (lengths[0] if run else 0)


@pytest.mark.parametrize("huffman", HUFFMAN)
@pytest.mark.parametrize("subsampling", [*SAMPLINGS, "gray"])
def test_derivatives_of_batches_and_libraries(case, subsampling, huffman):
    if case.xp.__name__.endswith("torch"):
        pytest.skip("tensors go to their adapter")
    gray = subsampling == "gray"
    choices = {"channel_axis": None} if gray else {"channel_axis": -1, "subsampling": subsampling}
    images = noisy_ramps(3, 19, 27, gray).astype(np.float64)
    cotangents = np.array([1.0, -2.0, 0.5])
    coefficients = jpeg_encode(images, 80, rounding="identity", **choices)
    bits, vjp = jpeg_rate_vjp(shared(coefficients, case.array), huffman=huffman)
    gradient = vjp(case.array(cotangents))
    assert (gradient.steps_y, gradient.steps_c, gradient.size) == (None, None, (19, 27))
    assert gradient.subsampling == coefficients.subsampling
    for index, (image, cotangent) in enumerate(zip(images, cotangents, strict=True)):
        alone_bits, alone_vjp = jpeg_rate_vjp(jpeg_encode(image, 80, rounding="identity", **choices), huffman=huffman)
        assert case.numpy(bits)[index] == alone_bits
        alone = alone_vjp(np.asarray(cotangent))
        for name in ("y",) if gray else BLOCKS:
            np.testing.assert_array_equal(case.numpy(getattr(gradient, name))[index], getattr(alone, name))
            assert np.any(getattr(alone, name))


@pytest.mark.parametrize(("dtype", "result"), [("float16", "float16"), ("float64", "float64"), ("int16", "float32")])
def test_cotangents_have_the_dtype_of_their_coefficients(dtype, result):
    coefficients = shared(encode(photo("coffee")[:16, :16], 60), lambda array: array.astype(dtype))
    bits, vjp = jpeg_rate_vjp(coefficients)
    gradient = vjp(np.ones_like(bits))
    assert {getattr(gradient, name).dtype.name for name in BLOCKS} == {result}


@pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle_left"])
@pytest.mark.parametrize("quality", [20, 50, 80])
def test_the_slope_of_quality_is_that_of_the_files(name, quality):
    """Within a quarter: files have whole steps, so that even a line through seven of them scatters."""
    image = photo(name)[50:306, 50:306]
    stored, encode_vjp = jpeg_encode_vjp(
        image, quality, arithmetic="libjpeg", rounding="identity", wrt="jpeg_quality", channel_axis=-1
    )
    unrounded = jpeg_encode(image.astype(np.float64), 50, stored.steps_y, stored.steps_c, **UNROUNDED)
    _, vjp = jpeg_rate_vjp(unrounded)
    found = encode_vjp(vjp(np.asarray(1.0))).jpeg_quality
    around = np.arange(quality - 3, quality + 4)
    true, _ = np.polyfit(around, [float(jpeg_rate(encode(image, int(q)))) for q in around], 1)
    assert found == pytest.approx(true, rel=0.25)


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
    _, vjp = jpeg_rate_vjp(coefficients)
    with pytest.raises(ValueError, match=r"cotangent must have the output's shape \(\), got \(1,\)"):
        vjp(np.ones(1))
    with pytest.raises(TypeError, match=r"cotangent must be a numpy.ndarray, got float"):
        vjp(1.0)
    with pytest.raises(TypeError, match=r"coefficients.cr must be a numpy.ndarray, got list"):
        jpeg_rate(coefficients._replace(cr=coefficients.cr.tolist()))
