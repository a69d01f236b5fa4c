"""A `Spec` as a string, since that is all the statics that a torch operator takes."""

import json
import weakref
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from pyjpegdiff.spec import Spec

_pairs: "weakref.WeakValueDictionary[str, Callable[..., Any]]" = weakref.WeakValueDictionary()


def encode_spec(spec: Spec) -> str:
    """The string of a spec. The caller's own functions stay his: they are referred to, weakly, by their identity."""
    fields = asdict(spec)
    if not isinstance(spec.rounding, str):
        fields["rounding"] = [_refer(function) for function in spec.rounding]
    return json.dumps(fields)


def decode_spec(text: str) -> Spec:
    """The spec of a string."""
    fields = json.loads(text)
    if not isinstance(fields["rounding"], str):
        fields["rounding"] = tuple(_pairs[key] for key in fields["rounding"])
    if fields["sampling"] is not None:
        fields["sampling"] = tuple(fields["sampling"])
    return Spec(**fields)


def _refer(function: Callable[..., Any]) -> str:
    key = f"{id(function):x}"
    _pairs[key] = function
    return key
