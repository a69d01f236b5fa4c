"""NumPy as the array API standard has it, without the Python wrappers, which cost as much as a strip's arithmetic."""

import operator
from types import ModuleType
from typing import Any, cast

import numpy as np

from pyjpegdiff.types import Namespace

LARGEST_PRODUCT = 2**18

NumPyArray = np.ndarray[Any, Any]


def _clip(x: NumPyArray, min: float, max: float) -> NumPyArray:  # noqa: A002
    return x.clip(min, max)


def _matmul(a: NumPyArray, b: NumPyArray) -> NumPyArray:
    """The product, cut into pieces where it is large, so that BLAS stays on the thread that called it.

    OpenBLAS starts threads from 2^18 multiplications on. Here they would be slower than one, and those of several
    strips at once would wait for each other. Rows or columns are cut, since those products have many of them; where the
    inner axis is long, as in gradients of color, there are so few results that OpenBLAS starts no threads.
    """
    *_, rows, inner = a.shape
    columns = b.shape[-1]
    if rows * inner * columns <= LARGEST_PRODUCT:
        return np.matmul(a, b)
    batch_shape = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*batch_shape, rows, columns), np.result_type(a, b))
    step = max(1, LARGEST_PRODUCT // (inner * min(rows, columns)))
    for start in range(0, max(rows, columns), step):
        piece = slice(start, start + step)
        if rows > columns:
            np.matmul(a[..., piece, :], b, out=out[..., piece, :])
        else:
            np.matmul(a, b[..., piece], out=out[..., piece])
    return out


# By NumPy's name: array-api-compat tells namespaces by their names.
_module = ModuleType("numpy", __doc__)
vars(_module).update(
    {
        **vars(np),
        # Methods of the type itself are functions in C.
        "astype": np.ndarray.astype,
        "clip": _clip,
        "matmul": _matmul,
        "matrix_transpose": operator.attrgetter("mT"),
        "reshape": np.ndarray.reshape,
        "round": np.rint,
        "sum": np.ndarray.sum,
    }
)
xp = cast(Namespace, _module)
