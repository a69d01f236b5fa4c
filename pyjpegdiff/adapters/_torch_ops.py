"""The operations as opaque torch operators, and the autograd functions that tie each to its VJP.

Two custom operators, forward and VJP, run a backend. They are opaque: a compiler sees two calls, and autograd, autocast
and functorch see nothing of what happens inside. `Forward` and `Backward` are the autograd functions around them.
`Backward` is one itself, a `FirstDerivative`.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import array_api_compat.torch as torch_namespace
import numpy as np
import torch
from torch import Tensor
from torch._C import _len_torch_dispatch_stack
from torch._C._functorch import is_functorch_wrapped_tensor, is_legacy_batchedtensor
from torch.nn import Parameter

from pyjpegdiff import backends, numpy_namespace
from pyjpegdiff.adapters import NO_SECOND
from pyjpegdiff.adapters import _torch_vmap as vmap
from pyjpegdiff.adapters._torch_plans import decode_plan, held_by, is_gray
from pyjpegdiff.adapters._torch_precision import full_precision
from pyjpegdiff.backends import Backend, threads
from pyjpegdiff.operations import OPERATIONS
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import ArrayType

NO_FORWARD_MODE = "pyjpegdiff: forward mode (jvp, jacfwd, dual tensors) is not supported; use grad, vjp or jacrev"

Tensors = Sequence[Tensor | None]


# --- where a backend runs ---------------------------------------------------------------------------------------------


def _execute(text: str, run: Callable[[Backend, Plan, Any, Sequence[Any]], Any], tensors: Tensors) -> list[Tensor]:
    """Give tensors to a plan's backend: as NumPy arrays, without a copy, where it takes those."""
    plan = decode_plan(text)
    backend = backends.get(plan.backend)
    if backend.takes_numpy:
        if plan.layout.dtype == "bfloat16":
            plan = replace(plan, layout=replace(plan.layout, dtype="float32"))
        arrays = [None if tensor is None else to_numpy(tensor) for tensor in tensors]
        with threads.at_most(torch.get_num_threads()):
            results = run(backend, plan, numpy_namespace.xp, arrays)
        return [torch.from_numpy(np.asarray(array, order="C")) for array in results]
    device_type = next(tensor.device.type for tensor in tensors if tensor is not None)
    has_autocast = torch.amp.is_autocast_available(device_type)
    without_autocast = torch.autocast(device_type, enabled=False) if has_autocast else nullcontext()
    with full_precision(), torch.no_grad(), without_autocast:
        return [tensor.contiguous() for tensor in run(backend, plan, torch_namespace, tensors)]


def to_numpy(tensor: Tensor) -> Any:
    """A tensor of the host's memory as an array, without a copy if NumPy has the dtype."""
    if tensor.dtype == torch.bfloat16:  # which NumPy does not have; results are cast back
        tensor = tensor.float()
    return (tensor.detach() if tensor.requires_grad else tensor).numpy()


# --- operators --------------------------------------------------------------------------------------------------------


def _forward(operation: str, plan: str, size: Sequence[int], keep: bool, tensors: Sequence[Tensor]) -> list[Tensor]:
    """Outputs, then residuals if they are to be kept."""

    def run(backend: Backend, plan: Plan, xp: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        height, width = size
        needs = (keep,) * len(inputs)
        outputs, residuals = backend.forward(OPERATIONS[operation], plan, (height, width), xp, tuple(inputs), needs)
        return (*outputs, *residuals)

    results = _execute(plan, run, tensors)
    if "bfloat16" in plan and operation != "encode":
        results[0] = results[0].bfloat16()
    return results


def _vjp(
    operation: str, plan: str, size: Sequence[int], needs: Sequence[bool], counts: Sequence[int],
    tensors: Sequence[Tensor | None],
) -> list[Tensor]:  # fmt: skip
    """Cotangents of the inputs that need one, from ``counts`` inputs, residuals and, last, cotangents."""

    def run(backend: Backend, plan: Plan, xp: Any, arrays: Sequence[Any]) -> Sequence[Any]:
        height, width = size
        inputs, residuals, cotangents = (tuple(part) for part in split(arrays, counts))
        pulled = backend.vjp(
            OPERATIONS[operation], plan, (height, width), xp, inputs, residuals, cotangents, tuple(needs)
        )
        return [g for g in pulled if g is not None]

    # An input that is not read is an image or blocks, whose dtype the plan knows.
    dtypes = [None if x is None else x.dtype for x, need in zip(tensors, needs, strict=False) if need]
    pulled = _execute(plan, run, tensors)
    return [
        g.bfloat16() if dtype == torch.bfloat16 or (dtype is None and "bfloat16" in plan) else g
        for g, dtype in zip(pulled, dtypes, strict=True)
    ]


forward_op = torch.library.custom_op("pyjpegdiff::forward", _forward, mutates_args=())
vjp_op = torch.library.custom_op("pyjpegdiff::vjp", _vjp, mutates_args=())


def _are_plain(tensors: Tensors) -> bool:
    """Whether nobody watches what is done with tensors, so that an operator's function can be called without it.

    For tensors of a small image, torch takes as long to find an operator as that takes to compute.
    """
    if torch.compiler.is_compiling() or _len_torch_dispatch_stack() > 0:
        return False
    return not any(
        type(x) not in (Tensor, Parameter) or x.is_meta or is_functorch_wrapped_tensor(x) or is_legacy_batchedtensor(x)
        for x in tensors
        if x is not None
    )


def split(tensors: Sequence[Any], counts: Sequence[int]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """Inputs, residuals, cotangents."""
    first, second = counts[0], counts[0] + counts[1]
    return tensors[:first], tensors[first:second], tensors[second:]


def count_outputs(operation: str, plan: str) -> int:
    """How many of what `Forward` returns are outputs; grayscale ends before the first of chroma."""
    outputs = len(OPERATIONS[operation].outputs)
    return min(outputs, 2) if is_gray(plan) else outputs


# --- shapes, for fake and meta tensors --------------------------------------------------------------------------------


@forward_op.register_fake
def _(operation, plan, size, keep, tensors):  # type: ignore[no-untyped-def]
    decoded, what = decode_plan(plan), OPERATIONS[operation]
    types = tuple([ArrayType(tuple(tensor.shape), "") for tensor in tensors])
    made = what.output_types(decoded, tuple(size), types)
    if keep:
        made += backends.get(decoded.backend).residual_types(what, decoded, tuple(size), types)
    return [_empty(type_, tensors[0]) for type_ in made]


@vjp_op.register_fake
def _(operation, plan, size, needs, counts, tensors):  # type: ignore[no-untyped-def]
    inputs, residuals, _ = split(tensors, counts)
    types = [None if x is None else ArrayType(tuple(x.shape), str(x.dtype).partition(".")[2]) for x in inputs]
    batch_shape = tuple(residuals[0].shape[:-3])
    made = OPERATIONS[operation].cotangent_types(decode_plan(plan), tuple(size), tuple(types), batch_shape)
    return [_empty(type_, residuals[0]) for type_, need in zip(made, needs, strict=True) if need]


def _empty(type_: ArrayType, like: Tensor) -> Tensor:
    return torch.empty(type_.shape, dtype=getattr(torch, type_.dtype), device=like.device)


# --- autograd ---------------------------------------------------------------------------------------------------------


def save(ctx: Any, operation: str, plan: str, size: Sequence[int], tensors: Tensors, output: Sequence[Tensor]) -> None:
    """Keep what `pull` needs."""
    ctx.set_materialize_grads(False)
    ctx.operation, ctx.plan, ctx.size = operation, plan, size
    ctx.held = None if torch.compiler.is_compiling() else held_by(plan)
    ctx.outputs = count_outputs(operation, plan)
    needs = ctx.needs_input_grad[4]
    if isinstance(needs, bool):  # flat, with more at the end where an operator sets up the context
        needs = ctx.needs_input_grad[4 : 4 + len(tensors)]
    residuals = output[ctx.outputs :]
    # Without residuals, as where a program was exported for inference, the VJP computes them from all inputs.
    reads = OPERATIONS[operation].vjp_reads(tuple(needs)) if residuals else (True,) * len(tensors)
    ctx.save_for_backward(*[x if read else None for x, read in zip(tensors, reads, strict=True)], *residuals)


def pull(
    ctx: Any, needs: Sequence[bool], cotangents: Tensors, vjp: Callable[..., Sequence[Tensor]]
) -> list[Tensor | None]:
    """Cotangents of the inputs, None where none is needed."""
    saved = ctx.saved_tensors  # once: checkpointing gives them out a single time
    inputs, residuals = saved[: len(needs)], saved[len(needs) :]
    of_outputs = cotangents[: ctx.outputs]
    if all(g is None for g in of_outputs):
        return [None] * len(needs)
    if not residuals:
        residuals = forward_op(ctx.operation, ctx.plan, ctx.size, True, inputs)[ctx.outputs :]
    counts = (len(inputs), len(residuals))
    pulled = iter(vjp(ctx.operation, ctx.plan, ctx.size, needs, counts, (*inputs, *residuals, *of_outputs)))
    return [next(pulled) if need else None for need in needs]


class Forward(torch.autograd.Function):
    """Outputs and residuals of an operation.

    Residuals stay differentiable: that way a second derivative reaches `Backward`, and raises there.
    """

    @staticmethod
    def forward(operation: str, plan: str, size: Sequence[int], keep: bool, *inputs: Tensor) -> tuple[Tensor, ...]:
        run = _forward if _are_plain(inputs) else forward_op
        return tuple(run(operation, plan, size, keep, inputs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        operation, plan, size, _, *tensors = inputs
        save(ctx, operation, plan, size, tensors, output)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        return (None,) * 4 + tuple(pull(ctx, tuple(ctx.needs_input_grad[4:]), cotangents, backward))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        operation, plan, size, keep, *inputs = args

        def apply(aligned: list[Tensor]) -> Sequence[Tensor]:
            # Inside vmap, a tensor does not tell that one outside needs its gradient.
            needed = keep or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in aligned))
            outputs: Sequence[Tensor] = EagerForward.apply(operation, plan, size, needed, *aligned)
            return outputs if keep else outputs[: count_outputs(operation, plan)]

        return vmap.forward(apply, operation, plan, info.batch_size, inputs, in_dims[4:])


class EagerForward(Forward):
    """`Forward` outside of compilers, which do not take a function with a rule of its own for forward mode."""

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(NO_FORWARD_MODE)


class FirstDerivative(torch.autograd.Function):
    """A VJP, whose own derivative raises instead of coming out as zero."""

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:
        raise NotImplementedError(NO_SECOND)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(NO_FORWARD_MODE)


class Backward(FirstDerivative):
    """The VJP of `Forward`."""

    @staticmethod
    def forward(
        operation: str, plan: str, size: Sequence[int], needs: Sequence[bool], counts: tuple[int, int],
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        run = _vjp if _are_plain(tensors) else vjp_op
        return tuple(run(operation, plan, size, needs, counts, tensors))

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        operation, plan, size, needs, counts, *tensors = args
        apply = functools.partial(Backward.apply, operation, plan, size, needs, counts)
        return vmap.vjp(apply, operation, plan, needs, counts, info.batch_size, tensors, in_dims[5:])


def backward(
    operation: str, plan: str, size: Sequence[int], needs: Sequence[bool], counts: Sequence[int], tensors: Tensors
) -> Sequence[Tensor]:
    """The VJP, by an autograd function where one can be had: compilers trace none in another's backward."""
    if torch.compiler.is_compiling():
        return vjp_op(operation, plan, size, needs, counts, tensors)
    if not torch.is_grad_enabled() and torch.autograd.forward_ad._current_level < 0 and _are_plain(tensors):
        return _vjp(operation, plan, size, needs, counts, tensors)
    pulled: Sequence[Tensor] = Backward.apply(operation, plan, size, needs, counts, *tensors)
    return pulled


# Else torch would derive them for every call.
Forward.forward.__signature__ = inspect.signature(Forward.forward)  # type: ignore[attr-defined]
Backward.forward.__signature__ = inspect.signature(Backward.forward)  # type: ignore[attr-defined]


# --- the operators' own rules, which compilers and exported programs ask for ------------------------------------------


def _setup_forward(ctx: Any, inputs: tuple[Any, ...], output: Sequence[Tensor]) -> None:
    operation, plan, size, _, tensors = inputs
    save(ctx, operation, plan, size, tensors, output)


def _backward_of_forward(ctx: Any, cotangents: Tensors) -> tuple[Any, ...]:
    return (None,) * 4 + (pull(ctx, ctx.needs_input_grad[4], cotangents, vjp_op),)


def _backward_of_vjp(ctx: Any, cotangents: Tensors) -> tuple[Any, ...]:
    raise NotImplementedError(NO_SECOND)


forward_op.register_autograd(_backward_of_forward, setup_context=_setup_forward)
vjp_op.register_autograd(_backward_of_vjp, setup_context=lambda ctx, inputs, output: None)


@forward_op.register_vmap
def _(info, in_dims, operation, plan, size, keep, tensors):  # type: ignore[no-untyped-def]
    outputs, dims = vmap.forward(
        lambda aligned: forward_op(operation, plan, size, keep, aligned),
        operation, plan, info.batch_size, tensors, in_dims[4],
    )  # fmt: skip
    return list(outputs), list(dims)


@vjp_op.register_vmap
def _(info, in_dims, operation, plan, size, needs, counts, tensors):  # type: ignore[no-untyped-def]
    def apply(*aligned: Tensor) -> list[Tensor]:
        return vjp_op(operation, plan, size, needs, counts, aligned)

    outputs, dims = vmap.vjp(apply, operation, plan, needs, counts, info.batch_size, tensors, in_dims[5])
    return list(outputs), list(dims)


_legacy = torch.library.Library("pyjpegdiff", "IMPL")


@functools.partial(_legacy.impl, "vjp", dispatch_key="Batched")
def _vjp_of_batched_gradients(
    operation: str, plan: str, size: Sequence[int], needs: Sequence[bool], counts: Sequence[int], tensors: Tensors
) -> list[Tensor]:
    """For ``is_grads_batched`` and ``vectorize=True``, which map by tensors of another kind than ``torch.func``."""
    level = torch._C._vmapmode_increment_nesting() - 1
    torch._C._vmapmode_decrement_nesting()
    # A tensor that is not batched gets the batch size that is asked for: of all, only batched ones have another than 1.
    sizes = [torch._remove_batch_dim(x, level, 1, 0).shape[0] for x in tensors if x is not None]
    plain = [None if x is None else torch._remove_batch_dim(x, level, max(sizes), 0) for x in tensors]
    dims = [None if x is None else 0 for x in plain]

    def apply(*aligned: Tensor) -> list[Tensor]:
        return vjp_op(operation, plan, size, needs, counts, aligned)

    outputs, _ = vmap.vjp(apply, operation, plan, needs, counts, max(sizes), plain, dims)
    return [torch._add_batch_dim(output, 0, level) for output in outputs]
