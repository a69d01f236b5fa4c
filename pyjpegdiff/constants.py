"""Constants as arrays."""

import functools
from typing import Any

import numpy as np

from pyjpegdiff.spec import Array, Namespace

Values = tuple[float, ...] | tuple[tuple[float, ...], ...]


def constant(xp: Namespace, values: Values, like: Array) -> Array:
    """A vector or matrix of constants with the dtype and device of ``like``; not to be written to."""
    if isinstance(like, (np.ndarray, np.generic)):
        return _numpy_constant(values, like.dtype)
    return xp.asarray(values, dtype=like.dtype, device=like.device)


@functools.lru_cache(maxsize=64)
def _numpy_constant(values: Values, dtype: np.dtype[Any]) -> Array:
    # Reading nested tuples takes as long as a small product, and some are read once a strip.
    array = np.asarray(values, dtype)
    array.flags.writeable = False
    return array
