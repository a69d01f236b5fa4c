"""Checks of single arguments: each returns what the codec needs, or says what came and what is allowed.

Nothing here looks at the values of an array: that would synchronize a device and break compiled graphs. Python's own
numbers are checked for range.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_numpy_namespace, to_device

from pyjpegdiff import devices, lean
from pyjpegdiff.spec import Array, Namespace, Rounding
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.surrogates import ROUNDINGS
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE

# --- image ------------------------------------------------------------------------------------------------------------


def kind(value: object) -> str:
    """The type of a value, as a message names it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


class Library(NamedTuple):
    """The array library of a call."""

    xp: Namespace
    owns: Callable[[object], bool]
    """Whether something is one of its arrays."""
    noun: str
    """What to call those in a message."""
    constant: Callable[..., Array] = devices.constant
    """``constant(xp, values, dtype, device)``: numbers as an array that nobody writes to."""


def library(name: str, value: Array) -> Library:
    """The library of an array."""
    if not is_array_api_obj(value):
        raise TypeError(
            f"{name} must be an array (NumPy, CuPy, torch or any other of the array API standard), got {kind(value)}"
        )
    if isinstance(value, (np.ma.MaskedArray, np.matrix)):
        raise TypeError(f"{name} must be a plain array, neither masked nor a matrix, got {kind(value)}")
    namespace = array_namespace(value)
    xp = lean.xp if is_numpy_namespace(namespace) else namespace
    return Library(xp, lambda other: is_array_api_obj(other) and array_namespace(other) is namespace, kind(value))


def owned(library: Library, name: str, value: Array) -> None:
    """Check that an array is of the library of the call."""
    if not library.owns(value):
        raise TypeError(f"{name} must be a {library.noun}, got {kind(value)}")


def dtypes(xp: Namespace, name: str, value: Array) -> tuple[Any, Any]:
    """Dtype to compute in, and dtype to return."""
    if xp.isdtype(value.dtype, "integral"):
        return xp.float32, xp.float32
    if xp.isdtype(value.dtype, "real floating"):
        bits = xp.finfo(value.dtype).bits
        native = value.dtype.newbyteorder("=") if hasattr(value.dtype, "newbyteorder") else value.dtype
        if bits in (16, 32, 64):
            return (xp.float64 if bits == 64 else xp.float32), native
    raise TypeError(f"{name} must have an integer or a floating dtype of 16 to 64 bits, got {value.dtype}")


def data_range_(data_range: object) -> float:
    """The value of white."""
    if data_range is None:
        return 255.0
    if isinstance(data_range, bool) or not isinstance(data_range, (float, int, Real)):
        raise TypeError(f"data_range must be a number or None, got {kind(data_range)}")
    white = float(data_range)
    if not (math.isfinite(white) and white > 0):
        raise ValueError(f"data_range must be positive and finite, got {white}")
    return white


def per_level(xp: Namespace, image: Array, data_range: object) -> float:
    """Sample levels 0..255 to one unit of the image's."""
    if data_range is None and xp.isdtype(image.dtype, "integral") and image.dtype != xp.uint8:
        raise ValueError(
            f"data_range must be given for image_rgb of dtype {image.dtype} (65535 where that is its white, 255 where "
            "it holds 8-bit samples), got None"
        )
    return 255 / data_range_(data_range)


def axis(channel_axis: object) -> int:
    """A channel axis that is an integer."""
    if isinstance(channel_axis, bool) or not isinstance(channel_axis, Integral):
        raise TypeError(f"channel_axis must be an integer or None, got {kind(channel_axis)}")
    return int(channel_axis)


def axis_from_end(channel_axis: object, ndim: int) -> int:
    """The channel axis, counted from the end."""
    channel_axis = axis(channel_axis)
    if not -ndim <= channel_axis < ndim:
        raise ValueError(f"channel_axis must be in {-ndim}..{ndim - 1} for {ndim} axes, got {channel_axis}")
    return channel_axis if channel_axis < 0 else channel_axis - ndim


def channels(image: Array, channel_axis: int | None) -> tuple[int | None, int]:
    """The channel axis, counted from the end, and the number of channels."""
    shape = tuple(image.shape)
    if channel_axis is None:
        if image.ndim < 2:
            raise ValueError(f"image_rgb must be (..., H, W) where channel_axis is None, got shape {shape}")
        return None, 1
    if image.ndim < 3:
        raise ValueError(
            f"image_rgb must have a channel, a row and a column axis, such as (3, H, W), got shape {shape}"
        )
    channel_axis = axis_from_end(channel_axis, image.ndim)
    channels = shape[channel_axis]
    if channels not in (1, 3):
        hint = "; for (..., H, W, 3) give channel_axis=-1" if channel_axis == -3 and shape[-1] == 3 else ""
        raise ValueError(
            f"image_rgb must have 3 channels, or 1 of gray, along channel_axis={channel_axis}, got {channels} "
            f"(shape {shape}){hint}"
        )
    return channel_axis, channels


def leading_and_size(image: Array, channel_axis: int | None) -> tuple[tuple[int, ...], tuple[int, int]]:
    """The leading axes of an image, and its height and width."""
    others = list(image.shape)
    if channel_axis is not None:
        del others[channel_axis]
    *leading, height, width = others
    if height < 1 or width < 1:
        raise ValueError(f"image_rgb must have at least one row and one column, got shape {tuple(image.shape)}")
    return tuple(leading), (height, width)


def image_size(size: object) -> tuple[int, int]:
    """Height and width of coefficients' image."""
    if not (isinstance(size, (tuple, list)) and len(size) == 2 and all(isinstance(n, Integral) for n in size)):
        raise TypeError(f"coefficients.size must be (height, width), got {size!r}")
    height, width = size
    if height < 1 or width < 1:
        raise ValueError(f"coefficients.size must be at least (1, 1), got {size!r}")
    return height, width


# --- choices ----------------------------------------------------------------------------------------------------------


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """A name among those allowed."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {allowed}, got {kind(value)}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    return value


def rounding_(rounding: Rounding) -> Rounding:
    """A known name, or a pair of functions."""
    if isinstance(rounding, str):
        return one_of("rounding", rounding, tuple(ROUNDINGS))
    if not (isinstance(rounding, (tuple, list)) and len(rounding) == 2 and all(callable(f) for f in rounding)):
        raise TypeError(
            f"rounding must be one of {tuple(ROUNDINGS)} or a pair of functions (value, derivative), "
            f"got {kind(rounding)}"
        )
    return (rounding[0], rounding[1])


# --- parameters -------------------------------------------------------------------------------------------------------


DEFAULTS = {
    "quantization_table_y": LUMINANCE,
    "quantization_table_c": CHROMINANCE,
    "color_matrix": MATRIX,
    "color_offset": OFFSET,
}


def parameter(library: Library, name: str, value: Array, own_ndim: int, leading: tuple[int, ...], like: Array) -> Array:
    """An array in the dtype and on the device of ``like``, whose leading axes broadcast against the image's."""
    if value is None and name in DEFAULTS:
        return library.constant(library.xp, DEFAULTS[name], like.dtype, like.device)
    if _is_plain(value):
        array = _plain_numbers(library.xp, name, value, like)
    else:
        owned(library, name, value)
        dtypes(library.xp, name, value)
        array = value
        if value.device != like.device:
            array = to_device(array, like.device)
        array = library.xp.astype(array, like.dtype, copy=False)
    shape = tuple(array.shape)
    own, own_leading = shape[len(shape) - own_ndim :], shape[: max(len(shape) - own_ndim, 0)]
    expected = {1: (3,), 2: (3, 3) if name == "color_matrix" else (8, 8), 4: own}.get(own_ndim, ())
    fits = len(own_leading) <= len(leading) and all(
        own_axis in (1, axis) for own_axis, axis in zip(reversed(own_leading), reversed(leading), strict=False)
    )
    if len(shape) < own_ndim or own != expected or not fits:
        raise ValueError(f"{name} must {_form_of(expected)} the image's leading axes {leading}, got shape {shape}")
    return array


def _form_of(expected: tuple[int, ...]) -> str:
    if not expected:
        return "be a number, or an array that broadcasts to"
    return f"have shape {expected}, or that after axes that broadcast to"


def form(xp: Namespace, value: Array, like: Array) -> tuple[Any, Any]:
    """Dtype and device of a parameter's cotangent: its own if it is an array, else those of ``like``."""
    if _is_plain(value):
        return like.dtype, like.device
    return dtypes(xp, "", value)[1], value.device


def _is_plain(value: object) -> bool:
    return isinstance(value, (Real, list, tuple)) or value is None or isinstance(value, str)


def _plain_numbers(xp: Namespace, name: str, value: object, like: Array) -> Array:
    """An array of Python numbers, whose range is checked where they are a quality."""
    for number in _flatten(name, value):
        if name == "jpeg_quality":
            if not 1 <= number <= 100:
                raise ValueError(f"jpeg_quality must be in 1..100, got {number}")
        elif not math.isfinite(number):
            raise ValueError(f"{name} must be finite, got {number}")
    if isinstance(value, Real):
        return xp.full((), float(value), dtype=like.dtype, device=like.device)
    try:
        return xp.asarray(value, dtype=like.dtype, device=like.device)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name} must be a number or evenly nested sequences of numbers: {error}") from error


def _flatten(name: str, value: object) -> list[float]:
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in _flatten(name, item)]
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number or an array, got {kind(value)}")
    return [value]  # type: ignore[list-item]
