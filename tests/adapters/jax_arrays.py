"""Images and parameters for the tests of the JAX adapter, as NumPy arrays, and gradients by NumPy to compare with."""

import numpy as np
import pytest

import pyjpegdiff
from pyjpegdiff.backends import use_backend
from pyjpegdiff.stages.color import MATRIX
from tests.samples import photo_like

jax = pytest.importorskip("jax")


def images(dtype=np.float64):
    """(2, 3, 24, 40)."""
    return photo_like(np.random.default_rng(0), (2, 3, 24, 40), dtype)


def parameters(dtype=np.float64):
    """Of a batch of two."""
    rng = np.random.default_rng(1)
    return {
        "jpeg_quality": np.array([33.3, 76.7], dtype),
        "quantization_table_y": rng.uniform(5, 60, (8, 8)).astype(dtype),
        "quantization_table_c": rng.uniform(5, 60, (2, 8, 8)).astype(dtype),
        "color_matrix": (np.array(MATRIX) * 1.01).astype(dtype),
        "color_offset": np.array([1.0, 127, 129], dtype),
    }


def arguments(mode, dtype=np.float64):
    """Those of a mode; libjpeg's color conversion is fixed."""
    given = {"image_rgb": images(dtype), **parameters(dtype)}
    return {name: x for name, x in given.items() if "arithmetic" not in mode or "color" not in name}


def expected(given, mode, cotangent):
    """Image and gradients by the array API, which shares nothing with the compiled kernels."""
    with use_backend("array_api"):
        coded, vjp = pyjpegdiff.diff_jpeg_coding_vjp(**given, wrt=tuple(given), **mode)
        return coded, {name: g for name, g in vjp(cotangent)._asdict().items() if g is not None}
