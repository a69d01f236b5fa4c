"""What a device asks of array code: to wait for nothing, to lose no digits, to be told numbers once.

A copy from the host waits for the device, or for the stream at least; so does whatever needs to know how many elements
of a mask are true. Neither is allowed while a CUDA graph is captured.
"""

import contextlib
import functools
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from array_api_compat import is_cupy_namespace, is_numpy_namespace, is_torch_namespace

from pyjpegdiff.spec import Array, Namespace

MOST_KEPT = 64

_kept: dict[Any, Array] = {}
_shapes_alone: ContextVar[bool] = ContextVar("shapes_alone", default=False)


@contextlib.contextmanager
def shapes_alone() -> Iterator[None]:
    """For those who ask what results look like, with arrays that hold nothing: launch nothing, keep nothing."""
    token = _shapes_alone.set(True)
    try:
        yield
    finally:
        _shapes_alone.reset(token)


def is_for_shapes_alone() -> bool:
    """Whether `shapes_alone` is in force."""
    return _shapes_alone.get()


def constant(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array:
    """Numbers of this package's own, nested in tuples, as an array that nobody writes to: a GPU is sent them once.

    The first `MOST_KEPT` are kept, and none ever given up: a stream might still be at work with it.
    """
    if is_numpy_namespace(xp):
        return _of_numpy(values, dtype)
    if not is_remote(xp, device) or is_for_shapes_alone():
        return xp.asarray(values, dtype=dtype, device=device)
    found = kept(xp, values, dtype, device)
    if found is None:
        found = _sent(xp, values, dtype, device)
        if len(_kept) < MOST_KEPT:
            found = _kept.setdefault(_key(xp, values, dtype, device), found)
    return found


def constant_like(xp: Namespace, values: Any, like: Array) -> Array:
    """`constant` with the dtype and on the device of another array."""
    return constant(xp, values, like.dtype, like.device)


def kept(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array | None:
    """A constant that has been sent before."""
    return _kept.get(_key(xp, values, dtype, device))


def is_remote(xp: Namespace, device: Any) -> bool:
    """Whether a device keeps apart from the host."""
    # Torch's devices have a type; its compiler warns of what array-api-compat keeps in a cache.
    kind = getattr(device, "type", None)
    return is_cupy_namespace(xp) if kind is None else kind == "cuda"


def limit(xp: Namespace, x: Array, low: float, high: float) -> Array:
    """``xp.clip``, without the masks by which array-api-compat assigns for CuPy: to apply one waits for the device."""
    return xp.minimum(xp.maximum(x, low), high) if is_cupy_namespace(xp) else xp.clip(x, low, high)


def for_exact_products(xp: Namespace, x: Array) -> Array:
    """Float64 where float32 is not to be relied on: a GPU may take TF32, of 11 bits, for products of matrices."""
    return x if is_numpy_namespace(xp) else xp.astype(x, xp.float64, copy=False)


def _of_numpy(values: Any, dtype: Any) -> Array:
    try:
        return _kept_by_numpy(values, dtype)
    except TypeError:  # a list: it may change
        return np.asarray(values, dtype)


@functools.lru_cache(maxsize=MOST_KEPT)
def _kept_by_numpy(values: Any, dtype: Any) -> Array:
    # Reading nested tuples takes as long as a small product, and some are read for every strip of an image.
    array = np.asarray(values, dtype)
    array.flags.writeable = False
    return array


def _key(xp: Namespace, values: Any, dtype: Any, device: Any) -> Any:
    try:
        hash(values)
    except TypeError:
        values = _frozen(values)
    return xp, values, dtype, str(device)


def _frozen(values: Any) -> Any:
    return tuple(map(_frozen, values)) if isinstance(values, (list, tuple)) else values


def _sent(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array:
    """On the device for good: for calls on other streams, and under autograd, too."""
    if is_torch_namespace(xp):
        import torch

        with torch.inference_mode(False):
            return xp.asarray(values, dtype=dtype, device=device)
    sent = xp.asarray(values, dtype=dtype, device=device)
    _wait_for_copy(device)
    return sent


def _wait_for_copy(device: Any) -> None:
    """Once; torch has waited by itself."""
    import cupy

    with device:
        cupy.cuda.get_current_stream().synchronize()
