"""What differs between array libraries: namespaces, devices, dtypes, constants, in-place arithmetic, broadcasting.

A GPU must wait for nothing. A copy from the host waits for the device, or for the stream at least; so does whatever
needs to know how many elements of a mask are true. Neither is allowed while a CUDA graph is captured. So the package's
own constants are sent once and kept, and nothing looks at a value.
"""

import functools
import math
from typing import Any

import numpy as np
from array_api_compat import (
    array_namespace,
    is_cupy_namespace,
    is_jax_array,
    is_jax_namespace,
    is_numpy_namespace,
    is_torch_namespace,
)
from array_api_compat import device as device_of

from pyjpegdiff import numpy_namespace
from pyjpegdiff.types import Array, Namespace, Shape

MOST_KEPT = 64
KEPT: dict[Any, Array] = {}
"""Constants that devices hold; the key is library, values, dtype and device."""


def namespace(array: Any) -> Namespace:
    """The namespace of an array's library."""
    xp: Namespace = array_namespace(array)
    return numpy_namespace.xp if is_numpy_namespace(xp) else xp  # type: ignore[arg-type]


def device(array: Array) -> Any:
    """The device of an array, of libraries too whose arrays have no such attribute."""
    # array-api-compat is asked last: torch's compiler warns of what it keeps in a cache.
    found = getattr(array, "device", None)
    return device_of(array) if found is None or callable(found) else found


def is_remote(xp: Namespace, device: Any) -> bool:
    """Whether a device keeps apart from the host."""
    # Torch's devices have a type; its compiler warns of what array-api-compat keeps in a cache.
    kind = getattr(device, "type", None)
    return is_cupy_namespace(xp) if kind is None else kind == "cuda"  # type: ignore[arg-type]


# --- dtypes -----------------------------------------------------------------------------------------------------------


def is_numpys(dtype: Any) -> bool:
    """Whether a dtype is NumPy's own; others, such as JAX's bfloat16, say 2 here."""
    return isinstance(dtype, np.dtype) and dtype.isbuiltin != 2


def dtype_name(dtype: Any) -> str:
    """The name of a dtype, which has no byte order and no library: every argument of every call needs it."""
    # NumPy takes long to tell. A library is not asked: torch prints the name behind its own.
    return _name_of_numpys(dtype) if is_numpys(dtype) else str(dtype).rpartition(".")[2]


@functools.cache
def _name_of_numpys(dtype: "np.dtype[Any]") -> str:
    return dtype.name


def result_dtype(dtype: Any) -> str:
    """Name of the dtype of a result or a cotangent: that of its argument, float32 for integers."""
    name = dtype_name(dtype)
    return name if "float" in name else "float32"


def has_float64(xp: Namespace) -> bool:
    """Whether the library computes in float64 if asked to. JAX does so only where it was configured to."""
    if not is_jax_namespace(xp):  # type: ignore[arg-type]
        return True
    import jax

    config: Any = jax.config
    return bool(config.jax_enable_x64)


def to_dtype(xp: Namespace, x: Array, name: str) -> Array:
    """An array in the dtype of that name, itself where it has that dtype."""
    if isinstance(x, np.generic):  # NumPy's sums over all axes
        return np.asarray(x, name)
    return xp.astype(x, getattr(xp, name), copy=False)


def to_host(x: Any) -> "np.ndarray[Any, Any]":
    """The values as a NumPy array. It waits for a device."""
    if hasattr(x, "get"):  # CuPy
        return np.asarray(x.get())
    if hasattr(x, "detach"):  # torch
        return np.asarray(x.detach().cpu())
    if isinstance(x, np.ndarray) or is_jax_array(x):
        return np.asarray(x)
    if x.ndim:
        return np.stack([to_host(x[i, ...]) for i in range(x.shape[0])]) if x.shape[0] else np.empty(x.shape)
    return np.asarray(float(x))


# --- arithmetic -------------------------------------------------------------------------------------------------------


def add_to(xp: Namespace, x: Array, y: Array | float) -> Array:
    """``x + y``, in the memory of ``x`` where the library is NumPy; ``x`` must be an array that nobody else holds."""
    if xp is numpy_namespace.xp:
        return np.add(x, y, out=x)  # type: ignore[call-overload]
    return x + y


def multiply_by(xp: Namespace, x: Array, y: Array | float) -> Array:
    """``x * y``, likewise."""
    if xp is numpy_namespace.xp:
        return np.multiply(x, y, out=x)  # type: ignore[call-overload]
    return x * y


def hard_clip(xp: Namespace, x: Array, low: float, high: float) -> Array:
    """``xp.clip``, without the masks by which array-api-compat assigns for CuPy: to apply one waits for the device."""
    if xp is numpy_namespace.xp:
        clipped: Array = x.clip(low, high)  # type: ignore[attr-defined]
        return clipped
    return xp.minimum(xp.maximum(x, low), high) if is_cupy_namespace(xp) else xp.clip(x, low, high)  # type: ignore[arg-type]


def for_exact_products(xp: Namespace, x: Array) -> Array:
    """Float64 where float32 is not exact: a GPU may take TF32, of 11 bits, for products of matrices.

    Whoever calls JAX, which may have no float64, asks it for full precision.
    """
    if is_numpy_namespace(xp) or not has_float64(xp):  # type: ignore[arg-type]
        return x
    return xp.astype(x, xp.float64, copy=False)


def histogram(xp: Namespace, values: Array, bins: int) -> Array:
    """How often each of 0, 1, ... ``bins - 1`` occurs in whole numbers (..., n, m) below 256: (..., bins).

    In float64 where the library has it; so counts are exact.
    """
    *batch, count, pieces = values.shape
    samples = math.prod(batch)
    if is_numpy_namespace(xp) or is_jax_namespace(xp):  # type: ignore[arg-type]
        module: Any = xp
        length = {"minlength": samples * bins} if is_numpy_namespace(xp) else {"length": samples * bins}  # type: ignore[arg-type]
        index = np.intp if is_numpy_namespace(xp) else xp.int32  # type: ignore[arg-type]
        each = xp.astype(xp.reshape(values, (samples, count * pieces)), index)
        each = each + bins * xp.arange(samples, dtype=index)[:, None]
        counts = xp.reshape(module.bincount(xp.reshape(each, (-1,)), **length), (*batch, bins))
        return xp.astype(counts, xp.float64 if has_float64(xp) else xp.float32)
    # Others have no such function, or wait for the device in it. A product of both halves' indicators, piece by piece:
    dtype = xp.float64 if has_float64(xp) else xp.float32
    digits = constant_like(xp, tuple(range(16)), values)
    high = xp.floor(values / 16)
    low = values - 16 * high
    total = xp.zeros((*batch, 16, 16), dtype=dtype, device=device(values))
    for piece in range(pieces):
        rows = xp.astype(high[..., None, :, piece] == digits[:, None], dtype)
        columns = xp.astype(low[..., :, None, piece] == digits, dtype)
        total = total + xp.matmul(rows, columns)
    return xp.reshape(total, (*batch, 256))[..., :bins]


# --- broadcasting -----------------------------------------------------------------------------------------------------


def per_sample(xp: Namespace, operand: Array, core_ndim: int, batch_shape: Shape) -> Array:
    """An operand with batch axes, broadcast to the image's and flattened: one per sample, (samples, ...)."""
    core = operand.shape[operand.ndim - core_ndim :]
    return xp.reshape(xp.broadcast_to(operand, (*batch_shape, *core)), (math.prod(batch_shape), *core))


def unbroadcast(xp: Namespace, cotangent: Array, shape: Shape) -> Array:
    """Sum over every axis that broadcasting from ``shape`` added or stretched: the adjoint of broadcasting."""
    if cotangent.shape == shape:
        return cotangent
    added = cotangent.ndim - len(shape)
    axes = tuple(
        [axis for axis in range(cotangent.ndim) if axis < added or shape[axis - added] == 1 != cotangent.shape[axis]]
    )
    return xp.reshape(xp.sum(cotangent, axis=axes, keepdims=True) if axes else cotangent, shape)


# --- constants --------------------------------------------------------------------------------------------------------


def constant(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array:
    """Numbers of this package, nested in tuples, as an array that nobody writes to: a GPU is sent them once.

    The first `MOST_KEPT` are kept, and none is ever given up: a stream might still be at work with it.
    """
    if is_numpy_namespace(xp):  # type: ignore[arg-type]
        return _kept_by_numpy(values, dtype)
    if not is_remote(xp, device):
        return xp.asarray(values, dtype=dtype, device=device)
    found = kept(xp, values, dtype, device)
    if found is None:
        found = _sent(xp, values, dtype, device)
        if len(KEPT) < MOST_KEPT:
            found = KEPT.setdefault((xp, values, dtype, str(device)), found)
    return found


def constant_like(xp: Namespace, values: Any, like: Array) -> Array:
    """`constant` with the dtype and on the device of another array."""
    if xp is numpy_namespace.xp:
        return _kept_by_numpy(values, like.dtype)
    return constant(xp, values, like.dtype, device(like))


def kept(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array | None:
    """A constant that has been sent before."""
    return KEPT.get((xp, values, dtype, str(device)))


@functools.lru_cache(maxsize=MOST_KEPT)
def _kept_by_numpy(values: Any, dtype: Any) -> Array:
    # Reading nested tuples takes as long as a small product, and some are read for every strip of an image.
    array = np.asarray(values, dtype)
    array.flags.writeable = False
    return array


def _sent(xp: Namespace, values: Any, dtype: Any, device: Any) -> Array:
    """On the device for good: for calls on other streams, and under autograd, too."""
    if is_torch_namespace(xp):  # type: ignore[arg-type]
        import torch

        with torch.inference_mode(False):
            return xp.asarray(values, dtype=dtype, device=device)
    sent = xp.asarray(values, dtype=dtype, device=device)
    _wait_for_copy(device)
    return sent


def _wait_for_copy(device: Any) -> None:
    """Only CuPy needs this; torch waits by itself."""
    import cupy

    with cupy.cuda.Device(device):
        cupy.cuda.get_current_stream().synchronize()
