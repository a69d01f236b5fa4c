"""Other frameworks' automatic differentiation around the same core: one file a framework."""

from types import ModuleType

import numpy as np
from array_api_compat import is_dask_array, is_jax_array, is_torch_array

NO_SECOND = (
    "pyjpegdiff: second derivatives are not supported: where a rounding is performed, a gradient is the derivative of "
    "no function"
)


def adapter_of(value: object) -> ModuleType | None:
    """The adapter for an array of a library that has one."""
    if isinstance(value, np.ndarray):
        return None
    # Gradients of these are their framework's business, and plain array code would silently cut them.
    if is_torch_array(value):
        from pyjpegdiff.adapters import torch

        return torch
    if is_jax_array(value):
        from pyjpegdiff.adapters import jax

        return jax
    if is_dask_array(value):
        from pyjpegdiff.adapters import dask

        return dask
    return None
