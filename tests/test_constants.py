import numpy as np
import pytest

from pyjpegdiff.constants import constant
from tests.libraries import case  # noqa: F401

VALUES = ((1.0, 2.5), (3.0, -4.0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_values_dtype_and_device_in_every_library(case, dtype):
    like = case.array([0.0], dtype)
    made = constant(case.xp, VALUES, like)
    assert made.dtype == like.dtype
    assert made.device == like.device
    np.testing.assert_array_equal(case.numpy(made), VALUES)


def test_nobody_can_write_to_what_others_read():
    with pytest.raises(ValueError, match="read-only"):
        constant(np, VALUES, np.zeros(1))[0, 0] = 7
