"""Running a checked call: by its plan's backend or another executor, and what its vjp keeps."""

import gc
import weakref

import numpy as np
import pytest

from pyjpegdiff import arguments, backends, diff_jpeg_coding_vjp, jpeg_decode_vjp, jpeg_encode_vjp
from pyjpegdiff.arguments import NUMPY
from pyjpegdiff.execution import result, run, run_with_vjp
from pyjpegdiff.operations import CODE, DECODE, ENCODE
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from tests.samples import MODES, photo_like

IMAGE = photo_like(np.random.default_rng(0), (2, 3, 16, 24))


class Executor:
    """Passes on to a backend, and notes what it was given."""

    def __init__(self, name="array_api"):
        self.backend, self.needs, self.given = backends.get(name), [], []

    def forward(self, operation, plan, size, xp, inputs, needs):
        self.needs.append(needs)
        return self.backend.forward(operation, plan, size, xp, inputs, needs)

    def vjp(self, operation, plan, size, xp, inputs, residuals, cotangents, needs):
        self.needs.append(needs)
        self.given.append([x is not None for x in inputs])
        return self.backend.vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)


@pytest.mark.parametrize("mode", MODES)
def test_another_executor_is_given_everything(mode):
    executor = Executor()
    call = arguments.coding(NUMPY, IMAGE, 50, **mode)
    coded = run(CODE, call, executor)
    again, vjp = run_with_vjp(CODE, call, ("image_rgb", "color_offset"), executor)
    pulled = vjp(IMAGE)
    needs = (True, False, False, False, False, True)
    assert executor.needs == [(False,) * 6, needs, needs]
    # Gradients of color read the image.
    assert executor.given == [[True] * 6]
    assert [name for name, g in pulled._asdict().items() if g is not None] == ["image_rgb", "color_offset"]
    np.testing.assert_array_equal(coded, again)
    want, want_vjp = diff_jpeg_coding_vjp(IMAGE, 50, wrt=("image_rgb", "color_offset"), **mode)
    np.testing.assert_allclose(coded, want, rtol=0, atol=1e-9)
    for a, b in zip(pulled, want_vjp(IMAGE), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("wrt", "needs", "given"),
    [
        ("coefficients", (True,) * 5 + (False,) * 2, [True] * 7),
        ("color_matrix", (False,) * 5 + (True, False), [True] * 7),
    ],
)
def test_needs_of_decoding(wrt, needs, given):
    executor = Executor()
    coefficients, _ = jpeg_encode_vjp(IMAGE, 50)
    _, vjp = run_with_vjp(DECODE, arguments.decoding(NUMPY, coefficients), wrt, executor)
    pulled = vjp(IMAGE)
    assert executor.needs == [needs, needs]
    assert executor.given == [given]
    assert isinstance(pulled, DecodingGradients)
    assert [name for name, g in pulled._asdict().items() if g is not None] == [wrt]


def test_what_the_vjp_does_not_read_is_not_kept():
    """An image whose gradient needs no look at it is given up with its last reference."""

    class Watched(np.ndarray):
        pass

    image = IMAGE.view(Watched)
    gone = weakref.ref(image)
    coded, vjp = diff_jpeg_coding_vjp(image, 50, wrt=("image_rgb", "jpeg_quality"))
    cotangent = np.asarray(coded - IMAGE)
    want = vjp(cotangent).image_rgb
    del image, coded
    gc.collect()
    assert gone() is None
    np.testing.assert_array_equal(vjp(cotangent).image_rgb, want)


def test_results_by_name():
    call = arguments.coding(NUMPY, IMAGE, 50)
    outputs = tuple(f"{name}" for name in ENCODE.outputs)
    assert result(ENCODE, call, outputs) == Coefficients("y", "cb", "cr", "steps_y", "steps_c", (16, 24), "4:2:0")
    assert result(CODE, call, ("image",)) == "image"
    gray = arguments.coding(NUMPY, IMAGE[:, 0], 50, channel_axis=None)
    assert result(ENCODE, gray, outputs[:2]) == Coefficients("y", None, None, "steps_y", None, (16, 24), None)


def test_coefficients_without_a_cotangent_are_zeros():
    coefficients, vjp = jpeg_encode_vjp(IMAGE, 50, wrt=CodingGradients._fields)
    zeros = Coefficients(*[np.zeros_like(x) for x in coefficients[:5]], *coefficients[5:])
    for name in Coefficients._fields[:5]:
        one = np.random.default_rng(1).standard_normal(getattr(coefficients, name).shape)
        alone = vjp(Coefficients(*[None] * 5, (0, 0), None)._replace(**{name: one}))
        for a, b in zip(alone, vjp(zeros._replace(**{name: one})), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_cotangents_of_coefficients_chain():
    coefficients, encode_vjp = jpeg_encode_vjp(IMAGE, 50)
    decoded, decode_vjp = jpeg_decode_vjp(coefficients)
    _, vjp = diff_jpeg_coding_vjp(IMAGE, 50)
    halves = decode_vjp(decoded).coefficients
    assert (halves.size, halves.subsampling) == (coefficients.size, coefficients.subsampling)
    np.testing.assert_allclose(encode_vjp(halves).image_rgb, vjp(decoded).image_rgb, rtol=1e-9, atol=1e-7)
