import io

import numpy as np
import pytest

pytest.importorskip("skimage")
from PIL import Image

from pyjpegdiff import jpeg_encode, jpeg_rate
from pyjpegdiff.distortions import dissimilarity, multiscale_dissimilarity, squared_error
from pyjpegdiff.learning import Learning, learn_tables
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from tests.photos import photo

ASTRONAUT, COFFEE = (np.ascontiguousarray(photo(name)[100:228, 100:228]) for name in ("astronaut", "coffee"))
SHORT = {"iterations": 6, "batch": 3}


def test_learned_tables_take_fewer_bytes_at_equal_error_on_a_photo_not_seen():
    tables = learn_tables([COFFEE], 60, iterations=60)

    def size_and_error(steps):
        file = io.BytesIO()
        options = {"qtables": [np.ravel(table).tolist() for table in steps], "subsampling": 2, "optimize": True}
        Image.fromarray(ASTRONAUT).save(file, "JPEG", **options)
        error = np.asarray(Image.open(file)).astype(float) - ASTRONAUT
        return len(file.getvalue()), np.mean(error**2)

    size, error = size_and_error((LUMINANCE, CHROMINANCE))
    points = [
        size_and_error([np.clip(np.round(scale * table), 1, 255).astype(int) for table in tables])
        for scale in (1.5, 1.25, 1.0, 0.8)
    ]
    sizes, errors = np.log(points).T
    assert errors[0] > np.log(error) > errors[-1]
    # A tenth of what was measured on whole photos is 2 %; the headers alone are a tenth of so small a file.
    assert np.exp(np.interp(np.log(error), errors[::-1], sizes[::-1])) < 0.95 * size


def test_a_common_factor_of_all_steps_is_not_learned():
    found = []
    tables = learn_tables([COFFEE], 50, progress=found.append, iterations=40)

    def bits(steps):
        coefficients = jpeg_encode(COFFEE, 50, *map(np.asarray, steps), arithmetic="libjpeg", channel_axis=-1)
        return float(jpeg_rate(coefficients, huffman="optimized"))

    assert bits(tables) == pytest.approx(bits((LUMINANCE, CHROMINANCE)), rel=0.15)
    assert [state.iteration for state in found] == list(range(1, 41))
    np.testing.assert_allclose([state.share.sum() for state in found], 1)


def test_noise_of_one_variance_at_all_frequencies_gets_flat_steps_of_luma():
    """High-resolution theory: for the squared error and an orthonormal transform, equal steps are best."""
    noise = np.random.default_rng(0).normal(128, 30, (128, 128)).round().clip(0, 255).astype(np.uint8)
    luma, chroma = learn_tables([noise], 80, iterations=150)
    # Not of DC, which is predicted, nor of the last coefficient, after which a block needs no end.
    spread_of = lambda table: np.std(np.log(np.ravel(table)[1:-1]))
    assert spread_of(luma) < 0.1 < spread_of(LUMINANCE)
    np.testing.assert_array_equal(chroma, CHROMINANCE)  # nothing is known of it


@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4", "4:4:0"])
@pytest.mark.parametrize("distortion", [squared_error, dissimilarity, multiscale_dissimilarity])
def test_going_on_gives_the_same_as_not_being_interrupted(subsampling, distortion):
    found = []
    options = {**SHORT, "subsampling": subsampling, "distortion": distortion, "seed": 3}
    images = [COFFEE, ASTRONAUT[:40, :57], ASTRONAUT[..., 1]]
    before = [image.copy() for image in images]
    whole = learn_tables(images, progress=found.append, **options)
    for state in (found[0], found[3], found[-1]):
        for one, other in zip(whole, learn_tables(images, resume=state, **options), strict=True):
            np.testing.assert_array_equal(one, other)
    for one, other in zip(images, before, strict=True):
        np.testing.assert_array_equal(one, other)
    assert all(table.dtype == np.int64 and 1 <= table.min() <= table.max() <= 255 for table in whole)
    assert not np.array_equal(whole.luma, learn_tables(images, **{**options, "seed": 4}).luma)


def test_an_image_of_one_color_teaches_nothing():
    luma, chroma = learn_tables([np.full((32, 32, 3), 77, np.uint8)], **SHORT)
    np.testing.assert_array_equal(luma, LUMINANCE)
    np.testing.assert_array_equal(chroma, CHROMINANCE)


def test_tables_of_a_state_are_those_of_a_file():
    state = Learning(0, np.log(np.stack([np.full((8, 8), 2.4), np.full((8, 8), 254.7)])), *np.zeros((3, 2, 8, 8)))
    assert state.tables.luma[0, 0] == 2
    assert state.tables.chroma[0, 0] == 255


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"images": []}, "images must hold at least one image, got none"),
        ({"images": [COFFEE.astype(float)]}, r"images must be uint8 of shape .* got float64 \(128, 128, 3\)"),
        ({"images": [COFFEE[..., :2]]}, r"images must be uint8 of shape .* got uint8 \(128, 128, 2\)"),
        ({"quality": 100}, "quality must be one or several numbers from 1 to below 100, got 100"),
        ({"quality": []}, r"quality must be one or several numbers from 1 to below 100, got \[\]"),
        ({"huffman": "best"}, "huffman must be one of standard, optimized, got 'best'"),
        ({"subsampling": "4:1:1"}, "subsampling must be"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"learning_rate": float("nan")}, "learning_rate must be a positive number, got nan"),
        ({"start": (LUMINANCE,)}, "start must be two tables, of luma and chroma, got 1"),
        ({"start": (LUMINANCE, np.zeros((8, 8)))}, r"start must be two tables of shape \(8, 8\)"),
    ],
)  # fmt: skip
def test_message_about_a_wrong_argument(arguments, says):
    with pytest.raises(ValueError, match=says):
        learn_tables(**{"images": [COFFEE], "quality": 50, **arguments})
