"""NumPy without its Python wrappers, which cost as much on a strip as the arithmetic.

What the wrappers add, the stages never ask for: they call these functions as the array API standard has them.
"""

from types import ModuleType
from typing import Any

import numpy as np

LARGEST_PRODUCT = 2**18

Array = np.ndarray[Any, Any]


def _astype(x: Array, dtype: Any, *, copy: bool = True) -> Array:
    return x.astype(dtype, copy=copy)


def _clip(x: Array, low: float, high: float) -> Array:
    return x.clip(low, high)


def _matmul(a: Array, b: Array) -> Array:
    """As it is where it is small, else in pieces, so that BLAS keeps to the thread it was called on.

    OpenBLAS starts threads from 2^18 multiplications on. Here they would be slower than one, and those of several
    strips at once would wait for each other. Rows or columns are cut, of which those products have many; where the
    inner axis is long, as in gradients of color, results are so few that OpenBLAS starts none.
    """
    *_, rows, inner = a.shape
    columns = b.shape[-1]
    if rows * inner * columns <= LARGEST_PRODUCT:
        return np.matmul(a, b)
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    out = np.empty((*leading, rows, columns), np.result_type(a, b))
    step = max(1, LARGEST_PRODUCT // (inner * min(rows, columns)))
    for start in range(0, max(rows, columns), step):
        piece = slice(start, start + step)
        if rows > columns:
            np.matmul(a[..., piece, :], b, out=out[..., piece, :])
        else:
            np.matmul(a, b[..., piece], out=out[..., piece])
    return out


def _matrix_transpose(x: Array) -> Array:
    return x.swapaxes(-1, -2)


def _reshape(x: Array, shape: tuple[int, ...]) -> Array:
    return x.reshape(shape)


def _sum(x: Array, *, axis: Any, keepdims: Any = False) -> Array:
    return np.add.reduce(x, axis=axis, keepdims=keepdims)


# By NumPy's name: by that, array-api-compat tells namespaces.
xp = ModuleType("numpy", __doc__)
vars(xp).update(
    {
        **vars(np),
        "astype": _astype,
        "clip": _clip,
        "matmul": _matmul,
        "matrix_transpose": _matrix_transpose,
        "reshape": _reshape,
        "round": np.rint,
        "sum": _sum,
    }
)
