"""Between the caller's form of an image and the canonical one."""

import numpy as np
import pytest

from pyjpegdiff.layout import Layout
from pyjpegdiff.testing import assert_adjoint
from tests.libraries import case  # noqa: F401

AXES = [-3, -1, -2, -4, -5, None]


def shape_of(axis, channels=3):
    """The caller's form of two batch axes, `channels`, five rows, seven columns."""
    shape = [2, 4, 5, 7]
    if axis is not None:
        shape.insert(5 + axis, channels)
    return tuple(shape)


@pytest.mark.parametrize("axis", AXES)
def test_a_view_there_and_back(axis):
    layout = Layout(axis)
    channels = 1 if axis is None else 3
    image = np.arange(np.prod(shape_of(axis))).reshape(shape_of(axis))
    canonical = layout.view(np, image)
    assert canonical.shape == (2, 4, channels, 5, 7)
    assert np.shares_memory(canonical, image)
    expected = image[:, :, None] if axis is None else np.moveaxis(image, axis, -3)
    np.testing.assert_array_equal(canonical, expected)
    back = layout.unview(np, canonical)
    assert np.shares_memory(back, image)
    np.testing.assert_array_equal(back, image)
    assert layout.core_ndim == (2 if axis is None else 3)


@pytest.mark.parametrize("axis", AXES)
def test_shapes_without_arrays(axis):
    layout = Layout(axis)
    image = np.zeros(shape_of(axis))
    assert layout.canonical_shape(image.shape) == layout.view(np, image).shape
    assert layout.shape(layout.canonical_shape(image.shape)) == image.shape


@pytest.mark.parametrize(
    ("dtype", "compute_dtype"), [("float16", "float32"), ("float32", "float32"), ("float64", "float64")]
)
def test_dtypes(dtype, compute_dtype):
    layout = Layout(-1, 255.0, dtype)
    assert layout.compute_dtype == compute_dtype
    image = np.array([[[0, 0.5, 1]]], dtype)
    canonical = layout.to_canonical(np, image)
    assert canonical.dtype == compute_dtype
    np.testing.assert_array_equal(canonical[:, 0, 0], [0, 127.5, 255])
    back = layout.from_canonical(np, canonical)
    assert back.dtype == dtype
    np.testing.assert_allclose(back, image, rtol=1e-6)


def test_what_needs_no_change_is_not_copied():
    image = np.zeros((3, 5, 7), np.float32)
    layout = Layout(-3, 1.0, "float32")
    assert layout.to_canonical(np, image) is image
    assert layout.from_canonical(np, image) is image


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("scale", [1.0, 255.0, 255 / 65535])
def test_both_directions_have_their_adjoint(axis, scale):
    rng = np.random.default_rng(0)
    layout = Layout(axis, scale)
    image, canonical = rng.normal(size=shape_of(axis)), rng.normal(size=layout.canonical_shape(shape_of(axis)))
    assert_adjoint(lambda x: layout.to_canonical(np, x), lambda y: layout.to_canonical_vjp(np, y), image, canonical)
    assert_adjoint(lambda x: layout.from_canonical(np, x), lambda y: layout.from_canonical_vjp(np, y), canonical, image)


@pytest.mark.parametrize("axis", AXES)
def test_every_library(case, axis):
    layout = Layout(axis, 2.0, "float32")
    image = np.arange(np.prod(shape_of(axis))).reshape(shape_of(axis))
    got = layout.to_canonical(case.xp, case.array(image, "uint8" if image.max() < 256 else "int32"))
    assert got.dtype == case.xp.float32
    assert got.device == case.device
    np.testing.assert_array_equal(case.numpy(got), layout.to_canonical(np, image))
    back = layout.from_canonical(case.xp, got)
    assert back.dtype == case.xp.float32
    np.testing.assert_array_equal(case.numpy(back), image)
