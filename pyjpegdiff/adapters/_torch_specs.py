"""A `Spec` as a string, since that is all the statics that a torch operator takes."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from pyjpegdiff.spec import Spec

_functions: "weakref.WeakValueDictionary[str, Callable[..., Any]]" = weakref.WeakValueDictionary()


def encode_spec(spec: Spec) -> str:
    """The string of a spec. A caller's own functions stay his: they are referred to by identity, and weakly."""
    rounding = spec.rounding if isinstance(spec.rounding, str) else ",".join([_refer(f) for f in spec.rounding])
    sampling = "gray" if spec.sampling is None else f"{spec.sampling[0]}x{spec.sampling[1]}"
    return f"{int(spec.hard)} {rounding} {spec.flooring} {sampling} {int(spec.exact)}"


def decode_spec(text: str) -> Spec:
    """The spec of a string."""
    hard, rounding, flooring, sampling, exact = text.split()
    rows, _, columns = sampling.partition("x")
    return Spec(
        hard == "1",
        _functions_of(rounding) if has_functions(rounding) else rounding,
        flooring,
        None if sampling == "gray" else (int(rows), int(columns)),
        exact == "1",
    )


def is_gray(text: str) -> bool:
    """Whether the string is that of a grayscale spec."""
    return " gray " in text


def has_functions(text: str) -> bool:
    """Whether the string refers to a caller's own functions."""
    return "," in text


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _refer(function: Callable[..., Any]) -> str:
    key = f"{id(function):x}"
    _functions[key] = function
    return key


def _functions_of(rounding: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    try:
        value, derivative = (_functions[key] for key in rounding.split(","))
    except KeyError:
        message = "rounding: the functions of this pair are gone; keep a reference to them until backward is done"
        raise ReferenceError(message) from None
    return value, derivative
