"""From checked arguments to a result and its ``vjp``, for callers who have no automatic differentiation."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import to_device

from pyjpegdiff import arguments
from pyjpegdiff.arguments import Call
from pyjpegdiff.coefficients import Coefficients
from pyjpegdiff.spec import Array
from pyjpegdiff.transforms import COEFFICIENTS, TRANSFORMS, Arrays, Cotangents, Transform


class CodingGradients(NamedTuple):
    """Cotangents by argument name; None for what ``wrt`` did not ask for."""

    image_rgb: Array | None = None
    jpeg_quality: Array | None = None
    quantization_table_y: Array | None = None
    quantization_table_c: Array | None = None
    color_matrix: Array | None = None
    color_offset: Array | None = None


class DecodingGradients(NamedTuple):
    """Cotangents by argument name; None for what ``wrt`` did not ask for."""

    coefficients: Coefficients | None = None
    color_matrix: Array | None = None
    color_offset: Array | None = None


class Function(NamedTuple):
    """A transform in the form that callers see."""

    transform: Transform
    arguments: tuple[str, ...]
    """Names that ``wrt`` may hold."""
    leave: Callable[[Call, Arrays], Any]
    """Outputs -> result."""
    leave_vjp: Callable[[Call, Arrays, Any], Cotangents]
    """Cotangent of the result -> those of the outputs."""
    gradients: Callable[[Call, dict[str, Array]], Any]
    """Cotangents by input -> the named tuple."""


def differentiate(
    function: Function, call: Call, names: tuple[str, ...], transform: Transform | None = None
) -> tuple[Any, Callable[[Any], Any]]:
    """Result, and the function from its cotangent to those of the arguments in ``names``.

    ``transform`` may stand in for the function's own, for an adapter that has it wrapped.
    """
    transform = transform or function.transform
    xp, spec, size, inputs = call.xp, call.spec, call.size, call.inputs
    asked = tuple(name in names or (name in COEFFICIENTS and "coefficients" in names) for name in inputs)
    outputs, residuals = transform.forward(xp, spec, size, tuple(inputs.values()), asked)
    # Copies, since the caller may write to what is his before he calls vjp.
    kept = tuple(
        xp.asarray(value, copy=True) if need and any(asked) else None
        for value, need in zip(inputs.values(), transform.needs(asked), strict=True)
    )
    like = tuple((output.shape, output.dtype) for output in outputs)

    def vjp(cotangent: Any) -> Any:
        cotangents = function.leave_vjp(call_, like, cotangent)
        pulled = transform.vjp(xp, spec, size, kept, residuals, cotangents, asked) if any(asked) else ()
        by_name = {name: g for name, g in zip(inputs_, pulled, strict=False) if g is not None}
        return function.gradients(call_, by_name)

    inputs_ = tuple(inputs)
    call_ = call._replace(inputs={})  # lets go of the image
    return function.leave(call, outputs), vjp


# --- image in, image or coefficients out ------------------------------------------------------------------------------


def _in_form(call: Call, name: str, g: Array) -> Array:
    dtype, device = call.forms[name]
    if isinstance(g, np.generic):  # NumPy's sums over all axes
        g = np.asarray(g)
    return to_device(call.xp.astype(g, dtype, copy=False), device)


def _coding_gradients(call: Call, cotangents: dict[str, Array]) -> CodingGradients:
    if "image_rgb" in cotangents:
        cotangents["image_rgb"] = call.layout.enter_vjp(call.xp, cotangents["image_rgb"])
    return CodingGradients(**{name: _in_form(call, name, g) for name, g in cotangents.items()})


def _leave_image(call: Call, outputs: Arrays) -> Array:
    return call.layout.leave(call.xp, outputs[0])


def _leave_image_vjp(call: Call, like: Any, cotangent: Array) -> Cotangents:
    ((shape, dtype),) = like
    expected = call.layout.shape(shape)
    checked = arguments.cotangent(call.library, "cotangent", cotangent, expected, dtype)
    return (call.layout.leave_vjp(call.xp, checked),)


def _leave_coefficients(call: Call, outputs: Arrays) -> Coefficients:
    named = dict(zip(COEFFICIENTS, (*outputs, None, None, None), strict=False))
    return Coefficients(**named, size=call.size, subsampling=call.subsampling)


def _leave_coefficients_vjp(call: Call, like: Any, cotangent: Any) -> Cotangents:
    if not (isinstance(cotangent, tuple) and len(cotangent) == len(Coefficients._fields)):
        raise TypeError(f"cotangent must be Coefficients of cotangents, got {type(cotangent).__name__}")
    named = Coefficients(*cotangent)._asdict()
    return tuple(
        None
        if named[name] is None
        else arguments.cotangent(call.library, f"cotangent.{name}", named[name], shape, dtype)
        for name, (shape, dtype) in zip(COEFFICIENTS, like, strict=False)
    )


# --- coefficients in, image out ---------------------------------------------------------------------------------------


def _decoding_gradients(call: Call, cotangents: dict[str, Array]) -> DecodingGradients:
    formed = {name: _in_form(call, name, g) for name, g in cotangents.items()}
    of_color = {name: formed.pop(name) for name in ("color_matrix", "color_offset") if name in formed}
    coefficients = None
    if formed:
        missing = dict.fromkeys(COEFFICIENTS)
        coefficients = Coefficients(**{**missing, **formed}, size=call.size, subsampling=call.subsampling)
    return DecodingGradients(coefficients, **of_color)


CODE = Function(
    TRANSFORMS["code"], CodingGradients._fields, _leave_image, _leave_image_vjp, _coding_gradients
)  # fmt: skip
ENCODE = Function(
    TRANSFORMS["encode"], CodingGradients._fields, _leave_coefficients, _leave_coefficients_vjp, _coding_gradients
)  # fmt: skip
DECODE = Function(
    TRANSFORMS["decode"], DecodingGradients._fields, _leave_image, _leave_image_vjp, _decoding_gradients
)  # fmt: skip
