"""Public arguments -> a checked `Call`. From here on, inputs are trusted."""

import functools
from collections.abc import Callable
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, to_device

from pyjpegdiff import arrays, backends, checks
from pyjpegdiff.data_range import warn_of_unit_range
from pyjpegdiff.layout import Layout
from pyjpegdiff.operations import CORE_SHAPES
from pyjpegdiff.results import Coefficients
from pyjpegdiff.spec import Plan, Spec
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.stages.surrogates import FLOORINGS, ROUNDING_NAMES
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.types import Array, Namespace, Rounding, Shape, Size

ARITHMETICS = ("float", "libjpeg")
STEPS_GRADIENTS = ("elastic", "surrogate")
SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:4:0": (2, 1), "4:2:0": (2, 2)}
"""Rows and columns of luma samples per chroma sample."""
DEFAULTS: dict[str, Any] = {
    "quantization_table_y": LUMINANCE, "quantization_table_c": CHROMINANCE, "color_matrix": MATRIX,
    "color_offset": OFFSET,
}  # fmt: skip


class Library(NamedTuple):
    """The array library of a call."""

    xp: Namespace
    owns: Callable[[object], bool]
    """Whether something is one of its arrays."""
    noun: str
    """What to call those in a message."""
    constant: Callable[..., Array] = arrays.constant
    """``constant(xp, values, dtype, device)``: numbers as an array that nobody writes to."""
    choose: Callable[[Spec, Namespace, Any], str] = backends.choose
    """The name of the backend for these choices and a device."""
    device: Callable[[Array], Any] = arrays.device
    """The device of an array; None where the library itself brings arrays together."""
    is_eager: Callable[[], bool] = lambda: True
    """Whether no compiler follows what Python does."""


class Origin(NamedTuple):
    """What an argument was before it was brought to the image's device and batch axes."""

    shape: Shape
    device: Any


class Call(NamedTuple):
    """Checked arguments of an operation."""

    library: Library
    plan: Plan
    size: Size
    inputs: dict[str, Array]
    """By name, in the operation's order."""
    origins: dict[str, Origin]
    """Of those inputs that are not the caller's arrays as they came."""
    subsampling: str | None

    @property
    def xp(self) -> Namespace:
        """The namespace of the call's arrays."""
        return self.library.xp


NUMPY = Library(
    arrays.namespace(np.empty(0)), lambda other: isinstance(other, (np.ndarray, np.generic)), "numpy.ndarray"
)


def library_of(name: str, value: Any) -> Library:
    """The library of an array."""
    if isinstance(value, np.ndarray):
        checks.plain(name, value)
        return NUMPY
    if not is_array_api_obj(value):
        raise TypeError(
            f"{name} must be an array (NumPy, CuPy, torch or any other of the array API standard), "
            f"got {checks.kind(value)}"
        )
    namespace = array_namespace(value)

    def owns(other: object) -> bool:
        return is_array_api_obj(other) and array_namespace(other) is namespace

    return Library(namespace, owns, checks.kind(value))


# --- the two kinds of calls -------------------------------------------------------------------------------------------


def coding(
    library: Library,
    image_rgb: Array,
    jpeg_quality: Array | float,
    quantization_table_y: Array | None = None,
    quantization_table_c: Array | None = None,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    subsampling: str = "4:2:0",
    rounding: Rounding = "rational",
    flooring: str | None = None,
    steps_gradient: str | None = None,
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Call:
    """Arguments of code and encode."""
    _check_array(library, "image_rgb", image_rgb)
    has_color = (None if color_matrix is None else True, None if color_offset is None else True)
    spec, layout, size, batch_shape = _statics(
        library, rounding, tuple(image_rgb.shape), image_rgb.dtype, ste, arithmetic, subsampling, flooring,
        steps_gradient, *has_color, data_range, channel_axis,
    )  # fmt: skip
    gray = spec.sampling is None
    if library is NUMPY and data_range is None:
        warn_of_unit_range(image_rgb, stacklevel=3)  # type: ignore[arg-type]
    inputs: dict[str, Array] = {"image_rgb": image_rgb}
    origins: dict[str, Origin] = {}
    parameters = _Parameters(library, batch_shape, layout.compute_dtype, library.device(image_rgb), inputs, origins)
    parameters.add("jpeg_quality", jpeg_quality)
    parameters.add("quantization_table_y", quantization_table_y)
    parameters.add("quantization_table_c", quantization_table_c, unused=gray)
    parameters.add("color_matrix", color_matrix, unused=gray)
    parameters.add("color_offset", color_offset, unused=gray)
    plan = Plan(spec, layout, library.choose(spec, library.xp, parameters.device))
    return Call(library, plan, size, inputs, origins, None if gray else subsampling)


def _statics(library: Library, rounding: Rounding, *given: Any) -> tuple[Spec, Layout, Size, Shape]:
    """What shape, dtype and choices decide. It is kept: to check it takes longer than to code a small image."""
    if library.is_eager() and isinstance(rounding, str):  # a caller's own functions are not kept alive
        try:
            return _kept_statics(rounding, *given)
        except TypeError:  # what cannot be hashed is wrong, which is said below, or a symbol
            pass
    return _new_statics(rounding, *given)


@functools.lru_cache(maxsize=256, typed=True)
def _kept_statics(*given: Any) -> tuple[Spec, Layout, Size, Shape]:
    return _new_statics(*given)


def _new_statics(
    rounding: Rounding, shape: Shape, dtype: Any, ste: object, arithmetic: object, subsampling: object,
    flooring: object, steps_gradient: object, color_matrix: object, color_offset: object, data_range: float | None,
    channel_axis: int | None,
) -> tuple[Spec, Layout, Size, Shape]:  # fmt: skip
    channel_axis, channels = checks.channels(shape, channel_axis)
    if data_range is None and "int" in (name := arrays.dtype_name(dtype)) and name != "uint8":
        raise ValueError(
            f"data_range must be given for image_rgb of dtype {dtype} (65535 where that is its white, 255 where it "
            "holds 8-bit samples), got None"
        )
    layout = Layout(channel_axis, 255 / checks.data_range(data_range), arrays.result_dtype(dtype))
    canonical = layout.canonical_shape(shape)
    size = checks.image_size(shape, canonical)
    gray = channels == 1
    spec = make_spec(ste, arithmetic, subsampling, rounding, flooring, steps_gradient, color_matrix, color_offset, gray)
    return spec, layout, size, canonical[:-3]


def decoding(
    library: Library | None,
    coefficients: Coefficients,
    ste: bool = False,
    *,
    arithmetic: str = "float",
    color_matrix: Array | None = None,
    color_offset: Array | None = None,
    data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Call:
    """Arguments of decode."""
    if not (isinstance(coefficients, tuple) and len(coefficients) == len(Coefficients._fields)):
        raise TypeError(
            f"coefficients must be Coefficients, as jpeg_encode returns them, got {checks.kind(coefficients)}"
        )
    coefficients = Coefficients(*coefficients)
    y, cb, cr, steps_y, steps_c, _, _ = coefficients
    gray = cb is None
    library = library or library_of("coefficients.y", y)
    _check_array(library, "coefficients.y", y)
    for name, value in (("cr", cr), ("steps_c", steps_c)) if gray else ():
        if value is not None:
            raise ValueError(
                f"coefficients.{name} must be None where coefficients.cb is None (grayscale), got "
                f"{checks.kind(value)}; color has all of cb, cr and steps_c"
            )
    if y.ndim < 4:
        raise ValueError(f"coefficients.y must have shape (..., rows, columns, 8, 8) of blocks, got {tuple(y.shape)}")
    if channel_axis is None and not gray:
        raise ValueError("channel_axis must be an axis, got None: these coefficients are those of a color image")
    if channel_axis is not None:
        channel_axis = checks.axis_from_end(channel_axis, y.ndim - 1)
    layout = Layout(channel_axis, 255 / checks.data_range(data_range), arrays.result_dtype(y.dtype))
    subsampling = "4:2:0" if gray else coefficients.subsampling
    spec = make_spec(
        ste,
        arithmetic,
        subsampling,
        "identity",
        None,
        "surrogate",
        color_matrix,
        color_offset,
        gray,
        "coefficients.subsampling",
    )
    size = checks.size(coefficients.size)
    batch_shape = tuple(y.shape[:-4])
    inputs: dict[str, Array] = {}
    origins: dict[str, Origin] = {}
    parameters = _Parameters(library, batch_shape, layout.compute_dtype, library.device(y), inputs, origins)
    for group, factors in enumerate(spec.samplings):
        height, width = padded_size(size, factors)
        for name, value in (("cb", cb), ("cr", cr)) if group else (("y", y),):
            label = f"coefficients.{name}"
            _check_array(library, label, value)
            checks.blocks(label, value, batch_shape, height // 8, width // 8, size, str(subsampling))  # type: ignore[arg-type]
            parameters.add_array(name, value, tuple(value.shape))  # type: ignore[arg-type, union-attr]
        parameters.add("steps_c" if group else "steps_y", steps_c if group else steps_y, label_prefix="coefficients.")
    parameters.add("color_matrix", color_matrix, unused=gray)
    parameters.add("color_offset", color_offset, unused=gray)
    plan = Plan(spec, layout, library.choose(spec, library.xp, parameters.device))
    return Call(library, plan, size, inputs, origins, None if gray else subsampling)


def make_spec(
    ste: object, arithmetic: object, subsampling: object, rounding: Rounding, flooring: object,
    steps_gradient: object, color_matrix: object, color_offset: object, gray: bool,
    subsampling_name: str = "subsampling",
) -> Spec:  # fmt: skip
    """The spec of some choices, or an error that no image could prevent."""
    hard = checks.flag("ste", ste)
    libjpeg = checks.one_of("arithmetic", arithmetic, ARITHMETICS) == "libjpeg"
    if libjpeg and not (color_matrix is None and color_offset is None):
        name = "color_matrix" if color_matrix is not None else "color_offset"
        raise ValueError(f"{name} must be None where arithmetic is 'libjpeg', whose color conversion is fixed")
    sampling = SAMPLINGS[checks.one_of(subsampling_name, subsampling, tuple(SAMPLINGS))]
    hard = hard or libjpeg
    if flooring is None:
        flooring = "identity" if hard else "cubic"
    flooring = checks.one_of("flooring", flooring, tuple(FLOORINGS))
    if steps_gradient is None:
        steps_gradient = "elastic" if hard else "surrogate"
    elastic = checks.one_of("steps_gradient", steps_gradient, STEPS_GRADIENTS) == "elastic"
    if elastic and not hard:
        raise ValueError(
            "steps_gradient must be 'surrogate' or None in the smooth variant, which performs no rounding, got "
            "'elastic'; give ste=True or arithmetic='libjpeg' for it"
        )
    rounding = checks.rounding(rounding, ROUNDING_NAMES)
    return Spec(hard, rounding, flooring, None if gray else sampling, libjpeg, elastic)


def check_choices(
    ste: bool, arithmetic: str, subsampling: str, rounding: Rounding, flooring: str | None, color_matrix: object,
    color_offset: object, data_range: float | None, channel_axis: int | None, steps_gradient: str | None = None,
) -> None:  # fmt: skip
    """Raise for a choice that no image could make right."""
    make_spec(ste, arithmetic, subsampling, rounding, flooring, steps_gradient, color_matrix, color_offset, gray=False)
    checks.data_range(data_range)
    if channel_axis is not None:
        checks.axis(channel_axis)


def check_cotangent(library: Library, name: str, value: Any, shape: Shape) -> None:
    """A cotangent of the output's shape."""
    _check_array(library, name, value)
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name} must have the output's shape {tuple(shape)}, got {tuple(value.shape)}")


# --- parts of a call --------------------------------------------------------------------------------------------------


class _Parameters:
    """Adds parameters to the inputs of a call, on the image's device."""

    def __init__(
        self, library: Library, batch_shape: Shape, dtype: str, device: Any, inputs: dict[str, Array],
        origins: dict[str, Origin],
    ) -> None:  # fmt: skip
        self.library, self.batch_shape, self.device = library, batch_shape, device
        self.dtype = getattr(library.xp, dtype)
        self.inputs, self.origins = inputs, origins

    def add(self, name: str, value: Any, unused: bool = False, label_prefix: str = "") -> None:
        """A parameter; one that is not used is checked all the same."""
        library, xp, label = self.library, self.library.xp, label_prefix + name
        if value is None and name in DEFAULTS:
            if not unused:
                self.inputs[name] = library.constant(xp, DEFAULTS[name], self.dtype, self.device)
            return
        if isinstance(value, (Real, list, tuple, str)) and not label_prefix:
            array = self._array_of_numbers(label, value)
        else:
            _check_array(library, label, value, "" if label_prefix else "an int, a float or ")
            array = value
        shape = checks.batch_axes(label, tuple(array.shape), CORE_SHAPES[name], self.batch_shape)
        if not unused:
            self.add_array(name, array, shape)

    def add_array(self, name: str, array: Array, shape: Shape) -> None:
        """An array that has been checked, in the shape that the operation takes."""
        device = self.library.device(array)
        if device != self.device or shape != tuple(array.shape):
            self.origins[name] = Origin(tuple(array.shape), device)
            array = array if device == self.device else to_device(array, self.device)
            array = self.library.xp.reshape(array, shape)
        self.inputs[name] = array

    def _array_of_numbers(self, label: str, value: Any) -> Array:
        xp = self.library.xp
        allowed = "an int, a float, nested lists of those, or an array"
        checks.numbers(label, value, allowed)
        if isinstance(value, Real):
            return xp.full((), float(value), dtype=self.dtype, device=self.device)
        try:
            return xp.asarray(value, dtype=self.dtype, device=self.device)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{label} must be {allowed}: {error}") from error


def _check_array(library: Library, name: str, value: Any, alternative: str = "") -> None:
    """An array of the call's library, of a dtype to compute with."""
    if not library.owns(value):
        raise TypeError(f"{name} must be {alternative}a {library.noun}, got {checks.kind(value)}")
    checks.plain(name, value)
    checks.dtype(name, value)
