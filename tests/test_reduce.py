import numpy as np
import pytest

from pyjpegdiff.reduce import sum_to_shape
from pyjpegdiff.testing import assert_adjoint


@pytest.mark.parametrize(
    ("own", "broadcast"),
    [((), (2, 3)), ((3,), (2, 3)), ((2, 1), (2, 3)), ((1,), (1,)), ((1, 3), (0, 3)), ((2, 3), (2, 3))],
)
def test_is_the_adjoint_of_broadcasting(own, broadcast):
    rng = np.random.default_rng(0)
    assert_adjoint(
        lambda x: np.broadcast_to(x, broadcast), lambda y: sum_to_shape(np, y, own), rng.normal(size=own),
        rng.normal(size=broadcast),
    )  # fmt: skip
