"""Checks of single arguments: each says what came and what is allowed, or returns plainly what it read.

Nothing here looks at the values of an array: that would synchronize a device and break compiled graphs. Python numbers
are checked for range.
"""

import math
import operator
from numbers import Integral, Real
from typing import Any

import numpy as np

from pyjpegdiff.arrays import dtype_name
from pyjpegdiff.types import Array, Rounding, Shape, Size

LARGEST = float(np.finfo(np.float32).max)
FLOATS = ("float16", "bfloat16", "float32", "float64")
COMPUTES = frozenset((*(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), *FLOATS))
"""Dtypes of arguments."""
NOT_PLAIN = (np.ma.MaskedArray, np.matrix, np.recarray)


def kind(value: object) -> str:
    """The type of a value, as a message names it."""
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


# --- arrays -----------------------------------------------------------------------------------------------------------


def plain(name: str, value: object) -> None:
    """Refuse subclasses of NumPy's array that compute differently, or would lose what they hold beside numbers."""
    if isinstance(value, NOT_PLAIN):
        raise TypeError(f"{name} must be a plain array, got {kind(value)}; numpy.asarray makes one, without its mask")


def dtype(name: str, value: Array) -> None:
    """A dtype that can be computed with."""
    if dtype_name(value.dtype) not in COMPUTES:
        raise TypeError(f"{name} must have an integer or a floating dtype of 16 to 64 bits, got {value.dtype}")


def channels(shape: Shape, channel_axis: int | None) -> tuple[int | None, int]:
    """The channel axis, counted from the end, and the number of channels."""
    if channel_axis is None:
        if len(shape) < 2:
            raise ValueError(f"image_rgb must be (..., H, W) where channel_axis is None, got shape {shape}")
        return None, 1
    if len(shape) < 3:
        raise ValueError(
            f"image_rgb must have a channel, a row and a column axis, such as (3, H, W), got shape {shape}"
        )
    channel_axis = axis_from_end(channel_axis, len(shape))
    channels = shape[channel_axis]
    if channels not in (1, 3):
        hint = "; for (..., H, W, 3) give channel_axis=-1" if channel_axis == -3 and shape[-1] == 3 else ""
        raise ValueError(
            f"image_rgb must have 3 channels, or 1 of gray, along channel_axis={channel_axis}, got {channels} "
            f"(shape {shape}){hint}"
        )
    return channel_axis, channels


def image_size(shape: Shape, canonical: Shape) -> Size:
    """Height and width of an image that has pixels."""
    height, width = canonical[-2], canonical[-1]
    if height < 1 or width < 1:
        raise ValueError(f"image_rgb must have at least one row and one column, got shape {shape}")
    return height, width


def batch_axes(name: str, shape: Shape, core: Shape, batch_shape: Shape) -> Shape:
    """The shape of a parameter, without batch axes of length 1 that are more than the image has."""
    if shape == core:
        return shape
    axes = shape[: max(len(shape) - len(core), 0)]
    extra = max(len(axes) - len(batch_shape), 0)
    fits = all(n == 1 for n in axes[:extra]) and all(
        n in (1, m) for n, m in zip(reversed(axes), reversed(batch_shape), strict=False)
    )
    if len(shape) < len(core) or shape[len(axes) :] != core or not fits:
        form = (
            f"have shape {core}, or that after batch axes that broadcast to"
            if core
            else ("be a number, or an array that broadcasts to")
        )
        hint = ""
        if len(batch_shape) > 1 and axes == (math.prod(batch_shape),):
            hint = f"; for one per image, reshape it to {(*batch_shape, *core)}"
        elif len(batch_shape) > 1 and axes == batch_shape[:1]:
            hint = (
                f"; for one per entry of the first axis, reshape it to {(*axes, *[1] * (len(batch_shape) - 1), *core)}"
            )
        raise ValueError(f"{name} must {form} the image's batch shape {batch_shape}, got shape {shape}{hint}")
    return shape[extra:] if extra else shape


def blocks(name: str, value: Array, batch_shape: Shape, high: int, wide: int, size: Size, subsampling: str) -> None:
    """Blocks as many as an image of that size has."""
    expected = (*batch_shape, high, wide, 8, 8)
    if tuple(value.shape) != expected:
        raise ValueError(
            f"{name} must have shape {expected} for size {size} and subsampling {subsampling}, got {tuple(value.shape)}"
        )


# --- numbers ----------------------------------------------------------------------------------------------------------


def data_range(value: object) -> float:
    """The value of white."""
    if value is None:
        return 255.0
    white = number("data_range", value, "an int, a float or None")
    # Not `math.isfinite`: to a compiler for sizes that vary, the float that a module keeps varies, too.
    if not (0 < white < math.inf and 255 / white < math.inf):
        raise ValueError(f"data_range must be positive and finite, got {white}")
    return white


def number(name: str, value: object, allowed: str) -> float:
    """A Python number, or NumPy's, as a float."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be {allowed}, got {kind(value)}")
    try:
        return float(value)
    except OverflowError:
        bounds = "in 1..100" if name == "jpeg_quality" else "finite"
        raise ValueError(f"{name} must be {bounds}, got a number too large for a float") from None


def numbers(name: str, value: Any, allowed: str) -> None:
    """Numbers in range, alone or nested in lists and tuples."""
    if isinstance(value, (list, tuple)):
        for item in value:
            if not isinstance(item, (list, tuple, Real)):
                raise TypeError(f"{name} must hold ints or floats where it is a list, got one with {kind(item)} in it")
            numbers(name, item, allowed)
        return
    one = number(name, value, allowed)
    if name == "jpeg_quality":
        if not 1 <= one <= 100:
            raise ValueError(f"jpeg_quality must be in 1..100, got {one:g}")
    elif not abs(one) <= LARGEST:
        raise ValueError(f"{name} must be finite in float32, got {one}")


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


def size(value: Any) -> Size:
    """Height and width of coefficients' image."""
    if not (isinstance(value, (tuple, list)) and len(value) == 2 and all(_is_index(n) for n in value)):
        raise TypeError(f"coefficients.size must be (height, width), got {value!r}")
    # NumPy's integers would overflow in products; symbols of a compiler must stay what they are.
    height, width = [int(n) if isinstance(n, (np.integer, np.ndarray)) else n for n in value]
    if height < 1 or width < 1:
        raise ValueError(f"coefficients.size must be at least (1, 1), got {value!r}")
    return height, width


def _is_index(value: object) -> bool:
    # Torch's compilers have symbols for sizes, and fix what is asked for its value.
    if isinstance(value, int) or type(value).__name__ == "SymInt":
        return not isinstance(value, bool)
    try:
        operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        return False
    return True


# --- choices ----------------------------------------------------------------------------------------------------------


def flag(name: str, value: object) -> bool:
    """A truth value, Python's or NumPy's."""
    if not (isinstance(value, bool) or type(value).__name__ == "bool"):
        raise TypeError(f"{name} must be True or False, got {kind(value)}")
    return bool(value)


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> str:
    """A name among those allowed."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {allowed}, got {kind(value)}")
    if value not in allowed:
        raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
    return value


def rounding(value: Rounding, names: tuple[str, ...]) -> Rounding:
    """A known name, or a pair of functions."""
    if isinstance(value, str):
        return one_of("rounding", value, names)
    if not (isinstance(value, (tuple, list)) and len(value) == 2 and all(callable(f) for f in value)):
        raise TypeError(
            f"rounding must be one of {names} or a pair of functions (value, derivative), got {kind(value)}"
        )
    return (value[0], value[1])


def wrt(value: object, allowed: tuple[str, ...], gray: bool) -> tuple[str, ...]:
    """Names of arguments."""
    names = (
        (value,)
        if isinstance(value, str)
        else tuple(value)
        if isinstance(value, (tuple, list, set, frozenset))
        else None
    )
    if names is None:
        raise TypeError(f"wrt must be a tuple of argument names, got {kind(value)}")
    for name in names:
        if name not in allowed:
            raise ValueError(f"wrt must name arguments among {allowed}, got {name!r}")
        if gray and name in ("quantization_table_c", "color_matrix", "color_offset"):
            raise ValueError(f"wrt names {name!r}, which a grayscale image does not use")
    return names
