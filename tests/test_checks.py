"""Wrong calls: each raises the right error, and the message names the argument, what came and what is allowed."""

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

import pyjpegdiff
from pyjpegdiff import (
    diff_jpeg_coding,
    diff_jpeg_coding_vjp,
    jpeg_decode,
    jpeg_decode_vjp,
    jpeg_encode,
    jpeg_encode_vjp,
)

IMAGE = np.zeros((2, 3, 16, 16))
TABLE = np.ones((8, 8))


HUGE = 10**400
"""Beyond float64."""


def as_matrix(x):
    """What NumPy itself advises against."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return np.asmatrix(x)


NOT_PLAIN = {
    "masked": (np.ma.array, "numpy.ma.MaskedArray"),
    "matrix": (as_matrix, "numpy.matrix"),
    "recarray": (lambda x: np.asarray(x).view(np.recarray), "numpy.rec.recarray"),
}


class Foreign:
    """Looks like nothing."""


def encoded():
    return jpeg_encode(IMAGE, 50)


CODING_PARAMETERS = {
    "jpeg_quality": np.full(2, 50.0), "quantization_table_y": TABLE, "quantization_table_c": TABLE,
    "color_matrix": np.eye(3), "color_offset": np.zeros(3),
}  # fmt: skip

CODING = [
    ("image_rgb", TypeError, {"image_rgb": [[1, 2]]}),
    ("image_rgb", TypeError, {"image_rgb": None}),
    ("image_rgb", TypeError, {"image_rgb": Foreign()}),
    ("image_rgb", TypeError, {"image_rgb": np.ma.array(IMAGE)}),
    ("image_rgb", TypeError, {"image_rgb": IMAGE.astype(bool)}),
    ("image_rgb", TypeError, {"image_rgb": IMAGE.astype(complex)}),
    ("image_rgb", TypeError, {"image_rgb": IMAGE.astype(np.longdouble)}),
    ("image_rgb", TypeError, {"image_rgb": IMAGE.astype(object)}),
    ("data_range", ValueError, {"image_rgb": IMAGE.astype(np.uint16)}),
    ("data_range", ValueError, {"image_rgb": IMAGE.astype(np.int64)}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((16, 16))}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros(16), "channel_axis": None}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((4, 16, 16))}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((2, 16, 16))}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((16, 16, 3))}),
    ("channel_axis=-1", ValueError, {"image_rgb": np.zeros((16, 16, 3))}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((3, 0, 16))}),
    ("image_rgb", ValueError, {"image_rgb": np.zeros((3, 16, 0))}),
    ("jpeg_quality", ValueError, {"jpeg_quality": 0}),
    ("jpeg_quality", ValueError, {"jpeg_quality": 0.99}),
    ("jpeg_quality", ValueError, {"jpeg_quality": 101}),
    ("jpeg_quality", ValueError, {"jpeg_quality": float("nan")}),
    ("jpeg_quality", ValueError, {"jpeg_quality": float("inf")}),
    ("jpeg_quality", ValueError, {"jpeg_quality": np.float32(300)}),
    ("jpeg_quality", ValueError, {"jpeg_quality": [50, 200]}),
    ("jpeg_quality", ValueError, {"jpeg_quality": [[50, 50], [50]]}),
    ("jpeg_quality", TypeError, {"jpeg_quality": "50"}),
    ("jpeg_quality", TypeError, {"jpeg_quality": None}),
    ("jpeg_quality", TypeError, {"jpeg_quality": True}),
    ("jpeg_quality", TypeError, {"jpeg_quality": 50 + 1j}),
    ("jpeg_quality", TypeError, {"jpeg_quality": Foreign()}),
    ("jpeg_quality", TypeError, {"jpeg_quality": np.ones(2, bool)}),
    ("jpeg_quality", ValueError, {"jpeg_quality": np.full(3, 50.0)}),
    ("jpeg_quality", ValueError, {"jpeg_quality": np.full((2, 2), 50.0)}),
    ("jpeg_quality", ValueError, {"image_rgb": IMAGE[0], "jpeg_quality": np.full(2, 50.0)}),
    ("quantization_table_y", ValueError, {"quantization_table_y": np.ones((8, 7))}),
    ("quantization_table_y", ValueError, {"quantization_table_y": np.ones(64)}),
    ("quantization_table_y", ValueError, {"quantization_table_y": np.ones((3, 8, 8))}),
    ("quantization_table_y", TypeError, {"quantization_table_y": "flat"}),
    ("quantization_table_y", ValueError, {"quantization_table_y": 16}),
    ("quantization_table_c", ValueError, {"quantization_table_c": np.ones((2, 2, 8, 8))}),
    ("quantization_table_c", TypeError, {"quantization_table_c": np.ones((8, 8), complex)}),
    ("quantization_table_c", ValueError, {"quantization_table_c": [[float("nan")] * 8] * 8}),
    ("color_matrix", ValueError, {"color_matrix": np.eye(4)}),
    ("color_offset", ValueError, {"color_offset": np.zeros(2)}),
    ("color_matrix", ValueError, {"color_matrix": np.eye(3), "arithmetic": "libjpeg"}),
    ("color_offset", ValueError, {"color_offset": np.zeros(3), "arithmetic": "libjpeg"}),
    ("ste", TypeError, {"ste": "yes"}),
    ("ste", TypeError, {"ste": 1}),
    ("arithmetic", ValueError, {"arithmetic": "exact"}),
    ("arithmetic", TypeError, {"arithmetic": None}),
    ("subsampling", ValueError, {"subsampling": "4:1:1"}),
    ("subsampling", TypeError, {"subsampling": 2}),
    ("rounding", ValueError, {"rounding": "quadratic"}),
    ("rounding", TypeError, {"rounding": (abs,)}),
    ("rounding", TypeError, {"rounding": abs}),
    ("flooring", ValueError, {"flooring": "sine"}),
    ("flooring", TypeError, {"flooring": 1}),
    ("data_range", ValueError, {"data_range": 0}),
    ("data_range", ValueError, {"data_range": -1.0}),
    ("data_range", ValueError, {"data_range": float("nan")}),
    ("data_range", TypeError, {"data_range": "255"}),
    ("data_range", TypeError, {"data_range": (0, 255)}),
    (r"jpeg_quality must be in 1\.\.100, got a number too large", ValueError, {"jpeg_quality": HUGE}),
    (r"jpeg_quality must be in 1\.\.100, got a number too large", ValueError, {"jpeg_quality": -HUGE}),
    (r"jpeg_quality must be in 1\.\.100, got a number too large", ValueError, {"jpeg_quality": [50, HUGE]}),
    (r"jpeg_quality must be in 1\.\.100, got a number too large", ValueError, {"jpeg_quality": Fraction(HUGE)}),
    (r"jpeg_quality must be in 1\.\.100, got -3", ValueError, {"jpeg_quality": -3}),
    ("quantization_table_y must be finite, got a number too", ValueError, {"quantization_table_y": [[HUGE] * 8] * 8}),
    ("quantization_table_c must be finite, got a number too", ValueError, {"quantization_table_c": HUGE}),
    (r"color_offset must be finite in float32, got 1e\+300", ValueError, {"color_offset": [0, 0, 1e300]}),
    ("color_matrix must be finite in float32, got inf", ValueError, {"color_matrix": [[float("inf")] * 3] * 3}),
    ("data_range must be finite, got a number too large", ValueError, {"data_range": HUGE}),
    ("data_range must be positive and finite, got 1e-320", ValueError, {"data_range": 1e-320}),
    (
        "jpeg_quality must be an int, a float or a numpy.ndarray, got decimal.D",
        TypeError,
        {"jpeg_quality": Decimal(50)},
    ),
    ("jpeg_quality must hold ints or floats .* decimal.Decimal", TypeError, {"jpeg_quality": [Decimal(50), 50]}),
    ("data_range must be an int, a float or None, got decimal.Decimal", TypeError, {"data_range": Decimal(255)}),
    ("data_range must be an int, a float or None, got numpy.ndarray", TypeError, {"data_range": np.array(255)}),
    ("data_range must be an int, a float or None, got bool", TypeError, {"data_range": True}),
    ("jpeg_quality must hold ints or floats .* numpy.ndarray", TypeError, {"jpeg_quality": [np.array(5.0)] * 2}),
    (
        "quantization_table_y must hold ints or floats .* numpy.ndarray",
        TypeError,
        {"quantization_table_y": [TABLE[0]] * 8},
    ),
    (
        "quantization_table_c must hold ints or floats .* numpy.ndarray",
        TypeError,
        {"quantization_table_c": (TABLE, TABLE)},
    ),
    ("quantization_table_y must hold ints or floats .* str", TypeError, {"quantization_table_y": [["16"] * 8] * 8}),
    ("quantization_table_y must hold ints or floats .* NoneType", TypeError, {"quantization_table_y": [None] * 8}),
    (
        "jpeg_quality must be an int, a float, nested lists of those, or an array, got bool",
        TypeError,
        {"jpeg_quality": [True, 50]},
    ),
    ("jpeg_quality must be an int, a float or a numpy.ndarray, got set", TypeError, {"jpeg_quality": {50}}),
    (r"jpeg_quality must .* batch shape \(2,\), got shape \(0,\)", ValueError, {"jpeg_quality": []}),
    (r"quantization_table_y must have shape \(8, 8\), .* got shape \(0,\)", ValueError, {"quantization_table_y": []}),
    (
        "image_rgb must have an integer or a floating dtype",
        TypeError,
        {"image_rgb": np.zeros((3, 8, 8), [("r", "f4")])},
    ),
    (
        "quantization_table_y must have an integer or a",
        TypeError,
        {"quantization_table_y": np.zeros((8, 8), [("r", "f4")])},
    ),
    (
        "image_rgb must be a plain array, got numpy.rec.recarray",
        TypeError,
        {"image_rgb": np.zeros((3, 8, 8), [("r", "f4")]).view(np.recarray)},
    ),
    ("jpeg_quality must be a plain array, got numpy.ma", TypeError, {"jpeg_quality": np.ma.masked}),
    ("channel_axis must be an integer or None, got numpy.ndarray", TypeError, {"channel_axis": np.array(-3)}),
    ("channel_axis must be an integer or None, got bool", TypeError, {"channel_axis": False}),
    ("channel_axis must be an integer or None, got decimal.Decimal", TypeError, {"channel_axis": Decimal(-3)}),
    (r"channel_axis must be in -4\.\.3 for 4 axes, got -7", ValueError, {"channel_axis": -7}),
    ("channel_axis", ValueError, {"channel_axis": 4}),
    ("channel_axis", ValueError, {"channel_axis": -5}),
    ("channel_axis", TypeError, {"channel_axis": 1.0}),
    ("channel_axis", TypeError, {"channel_axis": "last"}),
]


@pytest.mark.parametrize(("name", "error", "wrong"), CODING)
@pytest.mark.parametrize("function", [diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp])
def test_wrong_coding_call(function, name, error, wrong):
    with pytest.raises(error, match=name):
        function(**{"image_rgb": IMAGE, "jpeg_quality": 50, **wrong})


@pytest.mark.parametrize(
    ("error", "wrt"),
    [(ValueError, ("image",)), (ValueError, "quality"), (TypeError, None), (TypeError, 3), (ValueError, (None,))],
)
@pytest.mark.parametrize("function", [diff_jpeg_coding_vjp, jpeg_encode_vjp])
def test_wrong_wrt(function, error, wrt):
    with pytest.raises(error, match="wrt"):
        function(IMAGE, 50, wrt=wrt)


@pytest.mark.parametrize("name", ["quantization_table_c", "color_matrix", "color_offset"])
def test_grayscale_has_no_gradient_of_chroma(name):
    with pytest.raises(ValueError, match="grayscale"):
        diff_jpeg_coding_vjp(np.zeros((8, 8)), 50, channel_axis=None, wrt=name)


@pytest.mark.parametrize(
    ("error", "cotangent"),
    [
        (ValueError, np.zeros((3, 16, 16))),
        (ValueError, np.zeros((2, 3, 16, 17))),
        (TypeError, [[1.0]]),
        (TypeError, 1.0),
        (TypeError, np.zeros((2, 3, 16, 16), complex)),
    ],
)
def test_wrong_cotangent(error, cotangent):
    _, vjp = diff_jpeg_coding_vjp(IMAGE, 50)
    with pytest.raises(error, match="cotangent"):
        vjp(cotangent)


def test_wrong_cotangent_of_coefficients():
    coefficients, vjp = jpeg_encode_vjp(IMAGE, 50)
    with pytest.raises(TypeError, match="cotangent"):
        vjp(coefficients.y)
    with pytest.raises(ValueError, match=r"cotangent\.cb"):
        vjp(coefficients._replace(cb=coefficients.y))


DECODING = [
    ("coefficients", TypeError, lambda c: c.y, {}),
    ("coefficients", TypeError, lambda c: tuple(c)[:4], {}),
    (r"coefficients\.y", TypeError, lambda c: c._replace(y=None), {}),
    (r"coefficients\.y", TypeError, lambda c: c._replace(y=c.y.astype(complex)), {}),
    (r"coefficients\.y must be an array \(NumPy.*\), got list", TypeError, lambda c: c._replace(y=c.y.tolist()), {}),
    (r"coefficients\.cb must be a numpy\.ndarray, got list", TypeError, lambda c: c._replace(cb=c.cb.tolist()), {}),
    (r"coefficients\.cr must be a numpy\.ndarray, got int", TypeError, lambda c: c._replace(cr=3), {}),
    (
        r"coefficients\.steps_y must be a numpy\.ndarray, got list",
        TypeError,
        lambda c: c._replace(steps_y=c.steps_y.tolist()),
        {},
    ),
    (r"coefficients\.steps_c must be a numpy\.ndarray, got float", TypeError, lambda c: c._replace(steps_c=16.0), {}),
    (
        r"coefficients\.cr must be None where coefficients\.cb is None .*color has all of cb, cr and steps_c",
        ValueError,
        lambda c: c._replace(cb=None),
        {},
    ),
    (
        r"coefficients\.steps_c must be None where coefficients\.cb is None",
        ValueError,
        lambda c: c._replace(cb=None, cr=None),
        {},
    ),
    (
        r"coefficients\.y must have shape \(\.\.\., rows, columns, 8, 8\) of blocks, got \(8, 8\)",
        ValueError,
        lambda c: c._replace(y=np.ones((8, 8))),
        {},
    ),
    (
        r"coefficients\.size must be \(height, width\), got array",
        TypeError,
        lambda c: c._replace(size=np.array(c.size)),
        {},
    ),
    (
        r"coefficients\.size must be \(height, width\), got \(True",
        TypeError,
        lambda c: c._replace(size=(True, True)),
        {},
    ),
    (
        r"coefficients\.size must be \(height, width\), got \(16\.0",
        TypeError,
        lambda c: c._replace(size=(16.0, 16.0)),
        {},
    ),
    (
        r"coefficients\.size must be \(height, width\), got \(Decimal",
        TypeError,
        lambda c: c._replace(size=(Decimal(16), 16)),
        {},
    ),
    (r"coefficients\.cr", TypeError, lambda c: c._replace(cr=None), {}),
    (r"coefficients\.cb", ValueError, lambda c: c._replace(cb=c.y), {}),
    (r"coefficients\.y", ValueError, lambda c: c._replace(size=(16, 30)), {}),
    (r"coefficients\.size", ValueError, lambda c: c._replace(size=(0, 16)), {}),
    (r"coefficients\.size", TypeError, lambda c: c._replace(size=16), {}),
    (r"coefficients\.steps_y", ValueError, lambda c: c._replace(steps_y=np.ones(8)), {}),
    (r"coefficients\.steps_c", TypeError, lambda c: c._replace(steps_c=None), {}),
    (r"coefficients\.subsampling", ValueError, lambda c: c._replace(subsampling="4:1:0"), {}),
    (r"coefficients\.subsampling", TypeError, lambda c: c._replace(subsampling=None), {}),
    ("channel_axis", ValueError, lambda c: c, {"channel_axis": None}),
    ("channel_axis", ValueError, lambda c: c, {"channel_axis": 7}),
    ("color_matrix", ValueError, lambda c: c, {"color_matrix": np.eye(2)}),
    ("data_range", ValueError, lambda c: c, {"data_range": 0}),
    ("arithmetic", ValueError, lambda c: c, {"arithmetic": "integer"}),
    ("ste", TypeError, lambda c: c, {"ste": None}),
]


@pytest.mark.parametrize(("name", "error", "spoil", "wrong"), DECODING)
@pytest.mark.parametrize("function", [jpeg_decode, jpeg_decode_vjp])
def test_wrong_decoding_call(function, name, error, spoil, wrong):
    with pytest.raises(error, match=name):
        function(spoil(encoded()), **wrong)


def test_mixed_frameworks():
    strict = pytest.importorskip("array_api_strict")
    torch = pytest.importorskip("torch")
    for foreign in (strict.asarray(50.0), torch.tensor(50.0)):
        with pytest.raises(TypeError, match="jpeg_quality"):
            diff_jpeg_coding(IMAGE, foreign)
    with pytest.raises(TypeError, match="jpeg_quality"):
        diff_jpeg_coding(torch.zeros(3, 8, 8), np.full((), 50.0))
    with pytest.raises(TypeError, match="quantization_table_y"):
        diff_jpeg_coding(strict.zeros((3, 8, 8)), 50, TABLE)
    with pytest.raises(TypeError, match="image_rgb"):
        pyjpegdiff.adapters.torch.diff_jpeg_coding(IMAGE, 50)
    with pytest.raises(TypeError, match=r"coefficients\.cb"):
        jpeg_decode(encoded()._replace(cb=torch.zeros(2, 1, 1, 8, 8)))
    _, vjp = diff_jpeg_coding_vjp(IMAGE, 50)
    with pytest.raises(TypeError, match="cotangent"):
        vjp(torch.zeros(IMAGE.shape))


# --- arrays that are not plain ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["image_rgb", *CODING_PARAMETERS])
@pytest.mark.parametrize("kind", NOT_PLAIN)
@pytest.mark.parametrize("function", [diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp])
def test_arrays_that_are_not_plain(function, kind, name):
    make_it, noun = NOT_PLAIN[kind]
    plain = {"image_rgb": IMAGE[0, 0] if kind == "matrix" else IMAGE, **CODING_PARAMETERS}[name]
    axis = {"channel_axis": None} if name == "image_rgb" and kind == "matrix" else {}
    with pytest.raises(TypeError, match=f"^{name} must be a plain array, got {noun}; numpy.asarray makes one"):
        function(**{"image_rgb": IMAGE, "jpeg_quality": 50, name: make_it(plain), **axis})


@pytest.mark.parametrize("name", ["color_matrix", "color_offset", "quantization_table_c"])
def test_nor_where_grayscale_does_not_use_them(name):
    with pytest.raises(TypeError, match=f"^{name} must be a plain array, got numpy.ma.MaskedArray"):
        diff_jpeg_coding(IMAGE[:, 0], 50, channel_axis=None, **{name: np.ma.array(CODING_PARAMETERS[name])})


@pytest.mark.parametrize("name", ["y", "cb", "cr", "steps_y", "steps_c"])
@pytest.mark.parametrize("kind", NOT_PLAIN)
@pytest.mark.parametrize("function", [jpeg_decode, jpeg_decode_vjp])
def test_coefficients_that_are_not_plain(function, kind, name):
    make_it, noun = NOT_PLAIN[kind]
    array = getattr(encoded(), name)
    wrong = make_it(array[..., 0, 0, 0, :] if kind == "matrix" and array.ndim > 2 else array)
    with pytest.raises(TypeError, match=rf"^coefficients\.{name} must be a plain array, got {noun}"):
        function(encoded()._replace(**{name: wrong}))


@pytest.mark.parametrize("name", ["color_matrix", "color_offset"])
@pytest.mark.parametrize("kind", NOT_PLAIN)
@pytest.mark.parametrize("function", [jpeg_decode, jpeg_decode_vjp])
def test_colors_of_decoding_that_are_not_plain(function, kind, name):
    make_it, noun = NOT_PLAIN[kind]
    with pytest.raises(TypeError, match=f"^{name} must be a plain array, got {noun}"):
        function(encoded(), **{name: make_it(CODING_PARAMETERS[name])})


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_cotangents_that_are_not_plain(kind):
    make_it, noun = NOT_PLAIN[kind]
    gray, choices = IMAGE[0, 0], {"channel_axis": None}
    _, vjp = diff_jpeg_coding_vjp(gray, 50, **choices)
    with pytest.raises(TypeError, match=f"^cotangent must be a plain array, got {noun}"):
        vjp(make_it(gray))
    coefficients, encode_vjp = jpeg_encode_vjp(gray, 50, **choices)
    with pytest.raises(TypeError, match=rf"^cotangent\.steps_y must be a plain array, got {noun}"):
        encode_vjp(coefficients._replace(steps_y=make_it(coefficients.steps_y)))
    _, decode_vjp = jpeg_decode_vjp(coefficients, **choices)
    with pytest.raises(TypeError, match=f"^cotangent must be a plain array, got {noun}"):
        decode_vjp(make_it(gray))


@pytest.mark.parametrize("name", ["y", "cb", "cr", "steps_y", "steps_c"])
def test_masked_cotangents_of_coefficients(name):
    coefficients, vjp = jpeg_encode_vjp(IMAGE, 50)
    with pytest.raises(TypeError, match=rf"^cotangent\.{name} must be a plain array, got numpy.ma.MaskedArray"):
        vjp(coefficients._replace(**{name: np.ma.array(getattr(coefficients, name))}))


# --- numbers of other kinds -------------------------------------------------------------------------------------------


def test_numbers_of_numpy_and_fractions_are_numbers():
    image = np.random.default_rng(0).uniform(0, 255, (2, 3, 16, 16))
    want = diff_jpeg_coding(image, 50)
    for fifty in (np.int64(50), np.uint8(50), np.float32(50), np.float64(50), Fraction(50), [np.int64(50)] * 2):
        np.testing.assert_array_equal(diff_jpeg_coding(image, fifty), want)
    for white in (np.int64(255), np.uint8(255), np.float32(255), Fraction(255)):
        np.testing.assert_array_equal(diff_jpeg_coding(image, 50, data_range=white), want)
    for axis in (np.int64(-3), np.int8(1)):
        np.testing.assert_array_equal(diff_jpeg_coding(image, 50, channel_axis=axis), want)
    np.testing.assert_array_equal(diff_jpeg_coding(image, 50, ste=np.False_), want)
    table = [[Fraction(16)] * 8] * 8
    np.testing.assert_array_equal(
        diff_jpeg_coding(image, 50, table), diff_jpeg_coding(image, 50, np.full((8, 8), 16.0))
    )


def test_sizes_of_numpys_integers():
    size = (np.int64(16), np.uint8(16))
    np.testing.assert_array_equal(jpeg_decode(encoded()._replace(size=size)), jpeg_decode(encoded()))
    assert jpeg_decode(encoded()._replace(size=list(size))).shape == IMAGE.shape


# --- what a rounding of the caller returns ----------------------------------------------------------------------------

RETURNS = [
    (lambda x: 1.0, "float"),
    (lambda x: None, "NoneType"),
    (lambda x: x.tolist(), "list"),
    (lambda x: x[..., :1], r"shape \(.*, 1\)"),
    (lambda x: x.sum(), r"shape \(\)"),
    (lambda x: x[None], r"shape \(1, .*\)"),
]


@pytest.mark.parametrize(("returns", "got"), RETURNS, ids=[got for _, got in RETURNS])
def test_a_rounding_that_returns_no_array_of_its_arguments_shape(returns, got):
    for function in (diff_jpeg_coding, diff_jpeg_coding_vjp, jpeg_encode, jpeg_encode_vjp):
        with pytest.raises(ValueError, match=f"^rounding must .*: the value was given shape .* and returned {got}"):
            function(IMAGE, 50, rounding=(returns, np.ones_like))
    for function in (diff_jpeg_coding_vjp, jpeg_encode_vjp):
        for mode in ({"ste": False}, {"ste": True}):
            result, vjp = function(IMAGE, 50, rounding=(np.round, returns), **mode)
            with pytest.raises(ValueError, match=f"^rounding must .*: the derivative was given .* returned {got}"):
                vjp(result)


def test_a_rounding_of_any_library_that_changes_shapes():
    strict = pytest.importorskip("array_api_strict")
    image = strict.zeros((3, 16, 16))
    with pytest.raises(ValueError, match=r"^rounding must be functions"):
        diff_jpeg_coding(image, 50, rounding=(lambda x: x[..., :1], strict.ones_like))
    torch = pytest.importorskip("torch")
    with pytest.raises(ValueError, match=r"^rounding must be functions"):
        diff_jpeg_coding(torch.zeros(3, 16, 16), 50, rounding=(lambda x: x[..., :1], torch.ones_like))
