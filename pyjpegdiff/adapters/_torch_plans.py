"""A `Plan` as a string, since an operator of torch takes no other statics, and the lifetime of custom surrogates."""

import functools
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import torch

from pyjpegdiff.layout import Layout
from pyjpegdiff.spec import Plan, Spec

CUSTOM = "custom:"


class Pair:
    """A custom rounding surrogate. Its number stands for it in strings, for as long as somebody holds this object."""

    def __init__(self, functions: tuple[Callable[..., Any], Callable[..., Any]]) -> None:
        self.functions = functions
        # A number is never given twice, unlike an `id`: a string cannot come to mean other functions.
        self.name = f"{CUSTOM}{next(_numbers)}"
        _pairs[self.name] = self


_numbers = itertools.count()
_pairs: "weakref.WeakValueDictionary[str, Pair]" = weakref.WeakValueDictionary()
_kept_for_compiled_code: list[Pair] = []


def encode_plan(plan: Plan) -> tuple[str, Pair | None]:
    """The string of a plan, and what must be held for as long as the string may be used."""
    spec, layout = plan.spec, plan.layout
    pair = None
    if isinstance(spec.rounding, str):
        rounding = spec.rounding
    elif torch.compiler.is_compiling():
        value, derivative = spec.rounding
        # Asked for an `id`, the compiler guards on it. Else it would take this code for another pair of the same code.
        rounding = _name_for_compiled_code(value, derivative, (id(value), id(derivative)))
    else:
        pair = Pair(spec.rounding)
        rounding = pair.name
    sampling = "gray" if spec.sampling is None else f"{spec.sampling[0]}x{spec.sampling[1]}"
    choices = f"{int(spec.hard)} {rounding} {spec.flooring} {sampling} {int(spec.libjpeg)} {int(spec.elastic)}"
    return f"{choices} {layout.channel_axis} {layout.scale!r} {layout.dtype} {plan.backend}", pair


def decode_plan(text: str) -> Plan:
    """The plan of a string."""
    return _decoded_with_functions(text) if CUSTOM in text else _decoded(text)


def held_by(text: str) -> Pair | None:
    """What a graph must hold for a string that it will use again."""
    return _pair(text.split()[1]) if CUSTOM in text else None


def is_gray(text: str) -> bool:
    """Whether the string is that of a plan for grayscale."""
    return " gray " in text


def _decoded_with_functions(text: str) -> Plan:
    hard, rounding, flooring, sampling, libjpeg, elastic, axis, scale, dtype, backend = text.split()
    rows, _, columns = sampling.partition("x")
    spec = Spec(
        hard == "1",
        _pair(rounding).functions if rounding.startswith(CUSTOM) else rounding,
        flooring,
        None if sampling == "gray" else (int(rows), int(columns)),
        libjpeg == "1",
        elastic == "1",
    )
    return Plan(spec, Layout(None if axis == "None" else int(axis), float(scale), dtype), backend)


_decoded = functools.lru_cache(maxsize=256)(_decoded_with_functions)


def _pair(name: str) -> Pair:
    found = _pairs.get(name)
    if found is None:
        raise RuntimeError(f"rounding: this process does not have the functions {name!r}; they cannot be exported")
    return found


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _name_for_compiled_code(value: Callable[..., Any], derivative: Callable[..., Any], ids: tuple[int, int]) -> str:
    # Compiled code has only the string, and lives for as long as it likes.
    _kept_for_compiled_code.append(Pair((value, derivative)))
    return _kept_for_compiled_code[-1].name
