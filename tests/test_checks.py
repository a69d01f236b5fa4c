"""Wrong calls: each raises the right error, and the message names the argument."""

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


class Foreign:
    """Looks like nothing."""


def encoded():
    return jpeg_encode(IMAGE, 50)


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
