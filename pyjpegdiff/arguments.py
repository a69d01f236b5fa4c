"""The face's arguments, checked once and brought into canonical form; inside, inputs are trusted."""

from typing import Any, NamedTuple

from pyjpegdiff import checks
from pyjpegdiff.checks import Library
from pyjpegdiff.coefficients import Coefficients
from pyjpegdiff.layout import Layout
from pyjpegdiff.spec import Array, Namespace, Rounding, Spec
from pyjpegdiff.stages.sampling import padded_size
from pyjpegdiff.stages.surrogates import FLOORINGS
from pyjpegdiff.transforms import CODING_INPUTS, DECODING_INPUTS

ARITHMETICS = ("float", "libjpeg")
SAMPLINGS = {"4:4:4": (1, 1), "4:2:2": (1, 2), "4:4:0": (2, 1), "4:2:0": (2, 2)}
"""Rows and columns of luma samples to one chroma sample."""


class Call(NamedTuple):
    """Checked arguments of a transform."""

    library: Library
    spec: Spec
    size: tuple[int, int]
    inputs: dict[str, Array]
    """By name, in the transform's order and its canonical form."""
    layout: Layout
    forms: dict[str, tuple[Any, Any]]
    """Dtype and device of each input's cotangent."""
    subsampling: str | None

    @property
    def xp(self) -> Namespace:
        """The namespace of the call's arrays."""
        return self.library.xp


# --- the three calls --------------------------------------------------------------------------------------------------


def coding(
    library: Library, image_rgb: Array, jpeg_quality: Array, quantization_table_y: Array = None,
    quantization_table_c: Array = None, ste: bool = False, arithmetic: str = "float", subsampling: str = "4:2:0",
    rounding: Rounding = "cubic", flooring: str | None = None, color_matrix: Array = None, color_offset: Array = None,
    data_range: float | None = None, channel_axis: int | None = -3,
) -> Call:  # fmt: skip
    """Arguments of code and encode."""
    checks.owned(library, "image_rgb", image_rgb)
    xp = library.xp
    compute_dtype, dtype = checks.dtypes(xp, "image_rgb", image_rgb)
    per_level = checks.per_level(xp, image_rgb, data_range)
    channel_axis, channels = checks.channels(image_rgb, channel_axis)
    layout = Layout(channel_axis, per_level, dtype, compute_dtype)
    spec = _spec(ste, arithmetic, subsampling, rounding, flooring, color_matrix, color_offset, gray=channels == 1)
    leading, size = checks.leading_and_size(image_rgb, channel_axis)
    given = {
        "jpeg_quality": jpeg_quality,
        "quantization_table_y": quantization_table_y,
        "quantization_table_c": quantization_table_c,
        "color_matrix": color_matrix,
        "color_offset": color_offset,
    }
    image = layout.enter(xp, image_rgb)
    parameters = {
        name: checks.parameter(library, name, value, CODING_INPUTS[name], leading, image)
        for name, value in given.items()
    }
    inputs = {"image_rgb": image, **parameters}
    if spec.sampling is None:
        inputs = {name: inputs[name] for name in ("image_rgb", "jpeg_quality", "quantization_table_y")}
    forms = {name: checks.form(xp, value, inputs["image_rgb"]) for name, value in given.items()}
    forms["image_rgb"] = (dtype, image_rgb.device)
    return Call(library, spec, size, inputs, layout, forms, None if spec.sampling is None else subsampling)


def decoding(
    library: Library | None, coefficients: Coefficients, ste: bool = False, arithmetic: str = "float",
    color_matrix: Array = None, color_offset: Array = None, data_range: float | None = None,
    channel_axis: int | None = -3,
) -> Call:  # fmt: skip
    """Arguments of decode."""
    if not (isinstance(coefficients, tuple) and len(coefficients) == len(Coefficients._fields)):
        raise TypeError(
            f"coefficients must be Coefficients, as jpeg_encode returns them, got {checks.kind(coefficients)}"
        )
    coefficients = Coefficients(*coefficients)
    y, gray = coefficients.y, coefficients.cb is None
    library = library or checks.library("coefficients.y", y)
    checks.owned(library, "coefficients.y", y)
    xp = library.xp
    compute_dtype, dtype = checks.dtypes(xp, "coefficients.y", y)
    if channel_axis is None and not gray:
        raise ValueError("channel_axis must be an axis, got None: these coefficients are those of a color image")
    if channel_axis is not None:
        channel_axis = checks.axis_from_end(channel_axis, y.ndim - 1)
    layout = Layout(channel_axis, 255 / checks.data_range_(data_range), dtype, compute_dtype)
    subsampling = "4:2:0" if gray else coefficients.subsampling
    spec = _spec(ste, arithmetic, subsampling, "cubic", None, color_matrix, color_offset, gray, "coefficients.")
    size = checks.image_size(coefficients.size)
    leading, like = y.shape[:-4], xp.empty(0, dtype=compute_dtype, device=y.device)
    color = {} if gray else {"color_matrix": color_matrix, "color_offset": color_offset}
    given = {**_by_transform_order(coefficients, gray), **color}
    inputs = {}
    for name, value in given.items():
        own_ndim = DECODING_INPUTS[name]
        label = f"coefficients.{name}" if name in Coefficients._fields else name
        inputs[name] = checks.parameter(library, label, value, own_ndim, leading, like)
        if own_ndim == 4:
            sampling = (1, 1) if name == "y" else spec.sampling
            height, width = padded_size(size, sampling or (1, 1))
            expected = (*leading, height // 8, width // 8, 8, 8)
            if tuple(value.shape) != expected:
                raise ValueError(
                    f"{label} must have shape {expected} for size {size} and subsampling {subsampling}, "
                    f"got {tuple(value.shape)}"
                )
    forms = {name: checks.form(xp, value, inputs["y"]) for name, value in given.items()}
    return Call(library, spec, size, inputs, layout, forms, None if gray else subsampling)


def check_choices(
    ste: bool, arithmetic: str, subsampling: str, rounding: Rounding, flooring: str | None, color_matrix: Array,
    color_offset: Array, data_range: float | None, channel_axis: int | None,
) -> None:  # fmt: skip
    """Raise for a choice that no image could make right."""
    _spec(ste, arithmetic, subsampling, rounding, flooring, color_matrix, color_offset, gray=False)
    checks.data_range_(data_range)
    if channel_axis is not None:
        checks.axis(channel_axis)


def wanted(wrt: object, allowed: tuple[str, ...], call: Call) -> tuple[str, ...]:
    """The argument names of ``wrt``."""
    gray = call.spec.sampling is None
    names = (wrt,) if isinstance(wrt, str) else tuple(wrt) if isinstance(wrt, (tuple, list, set, frozenset)) else None
    if names is None:
        raise TypeError(f"wrt must be a tuple of argument names, got {checks.kind(wrt)}")
    for name in names:
        if name not in allowed:
            raise ValueError(f"wrt must name arguments among {allowed}, got {name!r}")
        if gray and name in ("quantization_table_c", "color_matrix", "color_offset"):
            raise ValueError(f"wrt names {name!r}, which a grayscale image does not meet")
    return names


def cotangent(library: Library, name: str, value: Array, shape: tuple[int, ...], dtype: Any) -> Array:
    """A cotangent in the compute dtype."""
    checks.owned(library, name, value)
    checks.dtypes(library.xp, name, value)
    if tuple(value.shape) != tuple(shape):
        raise ValueError(f"{name} must have the output's shape {tuple(shape)}, got {tuple(value.shape)}")
    return library.xp.astype(value, dtype, copy=False)


# --- parts of a call --------------------------------------------------------------------------------------------------


def _spec(
    ste: object, arithmetic: object, subsampling: object, rounding: Rounding, flooring: object, color_matrix: Array,
    color_offset: Array, gray: bool, owner: str = "",
) -> Spec:  # fmt: skip
    if not (isinstance(ste, bool) or type(ste).__name__ == "bool"):  # the latter is NumPy's
        raise TypeError(f"ste must be True or False, got {checks.kind(ste)}")
    exact = checks.one_of("arithmetic", arithmetic, ARITHMETICS) == "libjpeg"
    if exact and not (color_matrix is None and color_offset is None):
        name = "color_matrix" if color_matrix is not None else "color_offset"
        raise ValueError(f"{name} must be None where arithmetic is 'libjpeg', whose color conversion is fixed")
    hard = bool(ste) or exact
    sampling = SAMPLINGS[checks.one_of(f"{owner}subsampling", subsampling, tuple(SAMPLINGS))]
    if flooring is None:
        flooring = "identity" if hard else "cubic"
    flooring = checks.one_of("flooring", flooring, tuple(FLOORINGS))
    return Spec(hard, checks.rounding_(rounding), flooring, None if gray else sampling, exact)


def _by_transform_order(coefficients: Coefficients, gray: bool) -> dict[str, Array]:
    named = coefficients._asdict()
    order = ("y", "steps_y") if gray else ("y", "steps_y", "cb", "cr", "steps_c")
    return {name: named[name] for name in order}
