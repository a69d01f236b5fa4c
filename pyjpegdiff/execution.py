"""Running a call: its result, and the function from a cotangent of that to those of the arguments."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from array_api_compat import to_device

from pyjpegdiff import backends, checks
from pyjpegdiff.arguments import Call, check_cotangent
from pyjpegdiff.backends.memory import copied
from pyjpegdiff.operations import COEFFICIENTS, COLOR, DECODE, ENCODE, Operation
from pyjpegdiff.results import CodingGradients, Coefficients, DecodingGradients
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Array, Arrays, Cotangents, Namespace, Shape, Size


class Executor(Protocol):
    """Executes operations."""

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...], /
    ) -> tuple[Arrays, Arrays]:
        """Outputs, and the residuals that the VJP needs."""

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...], /,
    ) -> Cotangents:  # fmt: skip
        """Cotangents of the inputs."""


def run(operation: Operation, call: Call, executor: Executor | None = None) -> Any:
    """The result of a call, by its plan's backend unless another executor is given."""
    executor = executor or backends.get(call.plan.backend)
    inputs = tuple(call.inputs.values())
    outputs, _ = executor.forward(operation, call.plan, call.size, call.xp, inputs, (False,) * len(inputs))
    return result(operation, call, outputs)


def run_with_vjp(
    operation: Operation, call: Call, wrt: object, executor: Executor | None = None
) -> tuple[Any, Callable[[Any], Any]]:
    """The result of a call, and the function from its cotangent to those of the arguments in ``wrt``."""
    executor = executor or backends.get(call.plan.backend)
    plan, size, xp, inputs = call.plan, call.size, call.xp, call.inputs
    allowed = (DecodingGradients if operation is DECODE else CodingGradients)._fields
    named = checks.wrt(wrt, allowed, gray=plan.spec.sampling is None)
    needs = tuple([name in named or (name in COEFFICIENTS and "coefficients" in named) for name in inputs])
    outputs, residuals = executor.forward(operation, plan, size, xp, tuple(inputs.values()), needs)
    reads = operation.vjp_reads(needs) if any(needs) else (False,) * len(needs)
    # Copies: the caller may write to arguments before calling vjp.
    kept = tuple([_copy(xp, x) if read else None for x, read in zip(inputs.values(), reads, strict=True)])
    names, shapes = tuple(inputs), tuple([output.shape for output in outputs])
    without_inputs = call._replace(inputs={})

    def vjp(cotangent: Any) -> Any:
        cotangents = _cotangents(operation, without_inputs, shapes, cotangent)
        pulled: Cotangents = ()
        if any(needs):
            pulled = executor.vjp(operation, plan, size, xp, kept, residuals, cotangents, needs)
        by_name = {name: g for name, g in zip(names, pulled, strict=False) if g is not None}
        return _gradients(operation, without_inputs, by_name)

    return result(operation, call, outputs), vjp


def _copy(xp: Namespace, x: Any) -> Array:
    if isinstance(x, np.ndarray):
        return copied(x)
    # Of a tensor that needs a gradient, torch's `asarray` makes a copy with a warning.
    copy: Array = x.clone() if hasattr(x, "clone") else xp.asarray(x, copy=True)
    return copy


# --- between the flat tuples and what callers see ---------------------------------------------------------------------


def result(operation: Operation, call: Call, outputs: Arrays) -> Any:
    """The image, or the coefficients."""
    return (
        outputs[0] if operation is not ENCODE else _coefficients(call, dict(zip(COEFFICIENTS, outputs, strict=False)))
    )


def _coefficients(call: Call, by_name: dict[str, Array]) -> Coefficients:
    missing = dict.fromkeys(COEFFICIENTS)
    return Coefficients(**{**missing, **by_name}, size=call.size, subsampling=call.subsampling)


def _cotangents(operation: Operation, call: Call, shapes: tuple[Shape, ...], cotangent: Any) -> Cotangents:
    if operation is not ENCODE:
        check_cotangent(call.library, "cotangent", cotangent, shapes[0])
        return (cotangent,)
    if not (isinstance(cotangent, tuple) and len(cotangent) == len(Coefficients._fields)):
        raise TypeError(f"cotangent must be Coefficients of cotangents, got {type(cotangent).__name__}")
    by_name = Coefficients(*cotangent)._asdict()
    for name, shape in zip(COEFFICIENTS, shapes, strict=False):
        if by_name[name] is not None:
            check_cotangent(call.library, f"cotangent.{name}", by_name[name], shape)
    return tuple([by_name[name] for name, _ in zip(COEFFICIENTS, shapes, strict=False)])


def _gradients(operation: Operation, call: Call, by_name: dict[str, Array]) -> Any:
    for name, origin in call.origins.items():
        if name in by_name:
            g = call.xp.reshape(by_name[name], origin.shape)
            by_name[name] = g if origin.device is None else to_device(g, origin.device)
    if operation is not DECODE:
        return CodingGradients(**by_name)
    color = {name: by_name.pop(name) for name in COLOR if name in by_name}
    return DecodingGradients(_coefficients(call, by_name) if by_name else None, **color)
