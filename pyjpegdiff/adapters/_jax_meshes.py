"""Arrays that vary along axes of a mesh, inside ``shard_map``."""

from typing import Any

import jax
import numpy as np


def varying_alike(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Arrays that vary along the same axes.

    A parameter that is the same on all devices meets images that are not. The sum of its cotangents over devices is the
    derivative of this step, and not the business of whoever takes the arrays.
    """
    varying = [_varying(x) for x in arrays]
    together = frozenset().union(*varying)
    return tuple(
        [
            x if have == together else jax.lax.pcast(x, tuple(sorted(together - have)), to="varying")
            for x, have in zip(arrays, varying, strict=True)
        ]
    )


def type_alike(shape: tuple[int, ...], dtype: np.dtype[Any], x: Any) -> Any:
    """The type of an array of that shape and dtype that varies as ``x`` does."""
    return jax.typeof(x).update(shape=shape, dtype=dtype, weak_type=False)


def _varying(x: Any) -> frozenset[str]:
    type_ = jax.typeof(x)
    found: frozenset[str] = type_.manual_axis_type.varying if hasattr(type_, "manual_axis_type") else type_.vma
    return found
