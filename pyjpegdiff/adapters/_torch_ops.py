"""The transforms as opaque torch operators, and the autograd functions that tie each to its VJP.

Two custom operators, forward and VJP, run the core. They are opaque: a compiler sees two calls, and autograd,
autocast and functorch see nothing of what happens inside. `Forward` and `Backward` are the autograd functions around
them. `Backward` is one itself so that a second derivative raises instead of coming out as zero.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from typing import Any

import array_api_compat.torch as torch_namespace
import numpy as np
import torch
from torch import Tensor

from pyjpegdiff import lean
from pyjpegdiff.adapters._torch_specs import decode_spec, has_functions, is_gray
from pyjpegdiff.backends import threads
from pyjpegdiff.devices import constant, is_remote, kept, shapes_alone
from pyjpegdiff.transforms import TRANSFORMS

NO_SECOND = "pyjpegdiff: second derivatives are not supported; the surrogates are defined up to their first"


# --- where the core runs ----------------------------------------------------------------------------------------------


def _run_numpy(run: Callable[..., Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    arrays = [None if tensor is None else tensor.detach().numpy() for tensor in tensors]
    with threads.at_most(torch.get_num_threads()):
        return [torch.from_numpy(np.asarray(array, order="C")) for array in run(lean.xp, arrays)]


def _run_torch(run: Callable[..., Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    with _full_precision():
        return _run_plainly(run, tensors)


def _run_fake(run: Callable[..., Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """The core itself tells shapes and dtypes, given tensors that hold nothing."""
    with shapes_alone():
        return _run_plainly(run, tensors)


def _run_plainly(run: Callable[..., Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    device_type = next(tensor.device.type for tensor in tensors if tensor is not None)
    has_autocast = torch.amp.is_autocast_available(device_type)
    with torch.no_grad(), torch.autocast(device_type, enabled=False) if has_autocast else nullcontext():
        return [tensor.contiguous() for tensor in run(torch_namespace, tensors)]


def _execute(spec: str, run: Callable[..., Any], tensors: Sequence[Tensor | None]) -> list[Tensor]:
    """Run array code on tensors: by NumPy, without a copy, where they are in host memory, else by torch itself.

    By torch also where it is to meet a caller's own functions, who wrote them for tensors. Fused kernels, where
    `pyjpegdiff.backends.select` picks them, are launched on torch's current stream and fill tensors of torch's.
    """
    on_host = all(tensor is None or tensor.device.type == "cpu" for tensor in tensors)
    return (_run_numpy if on_host and not has_functions(spec) else _run_torch)(run, tensors)


_precision_lock = threading.Lock()
_precision_users = 0
_restore_precision: Callable[[], None] = lambda: None  # noqa: E731


@contextmanager
def _full_precision() -> Iterator[None]:
    """Keep TF32 and bfloat16 out of float32 products; the setting is global, so the last to leave restores it."""
    global _precision_users, _restore_precision
    with _precision_lock:
        if _precision_users == 0:
            _restore_precision = _set_full_precision()
        _precision_users += 1
    try:
        yield
    finally:
        with _precision_lock:
            _precision_users -= 1
            if _precision_users == 0:
                _restore_precision()


def _set_full_precision() -> Callable[[], None]:
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # It was set by the interface that torch 2.9 added, and can be asked for by that alone.
        return _set_full_precision_by_backend()
    if before == "highest":
        return lambda: None
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(before)


def _set_full_precision_by_backend() -> Callable[[], None]:
    libraries: tuple[Any, ...] = (torch.backends.cuda, torch.backends.mkldnn)
    backends = [library.matmul for library in libraries]
    general: str = torch.backends.fp32_precision  # type: ignore[attr-defined]
    # What a backend has from there it is to have from there again, not as its own.
    before = ["none" if backend.fp32_precision == general else backend.fp32_precision for backend in backends]

    def assign(values: Sequence[str]) -> None:
        for backend, value in zip(backends, values, strict=True):
            backend.fp32_precision = value

    assign(["ieee"] * len(backends))
    return lambda: assign(before)


# --- constants on a device --------------------------------------------------------------------------------------------


def face_constant(xp: Any, values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """As `pyjpegdiff.devices.constant`, for those who stand before the operators, under whatever transform."""
    if not is_remote(xp, device):
        return xp.asarray(values, dtype=dtype, device=device)
    if torch.compiler.is_compiling():
        numbers, shape = _flattened(values)
        return constant_op(numbers, dtype, device).reshape(shape)
    found = kept(xp, values, dtype, device)
    if found is not None:
        return found
    # In a thread of its own: transforms, fake tensors and inference mode, which are the caller's thread's, would get
    # hold of what is to be kept for other calls.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(constant, torch_namespace, values, dtype, device).result()


def _flattened(values: Any) -> tuple[list[float], tuple[int, ...]]:
    if not isinstance(values, (list, tuple)):
        return [float(values)], ()
    parts = [_flattened(value) for value in values]
    shapes = [shape for _, shape in parts]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"lengths differ: {shapes}")
    return [number for numbers, _ in parts for number in numbers], (len(parts), *(shapes[0] if shapes else ()))


# A compiler would send its own constants from the host at every call.
@torch.library.custom_op("pyjpegdiff::constant", mutates_args=())
def constant_op(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> Tensor:
    return constant(torch_namespace, list(values), dtype, device).clone()


@constant_op.register_fake
def _(values, dtype, device):  # type: ignore[no-untyped-def]
    return torch.empty(len(values), dtype=dtype, device=device)


@constant_op.register_vmap
def _(info, in_dims, values, dtype, device):  # type: ignore[no-untyped-def]
    return constant_op(values, dtype, device), None


# --- operators --------------------------------------------------------------------------------------------------------


def _forward(kind: str, spec: str, size: Sequence[int], keep: bool) -> Callable[..., list[Any]]:
    """Outputs, then residuals if they are to be kept."""

    def run(xp: Any, arrays: Sequence[Any]) -> list[Any]:
        asked = (keep,) * len(arrays)
        outputs, residuals = TRANSFORMS[kind].forward(xp, decode_spec(spec), tuple(size), tuple(arrays), asked)
        return [*outputs, *residuals]

    return run


def _vjp(
    kind: str, spec: str, size: Sequence[int], asked: Sequence[bool], counts: Sequence[int]
) -> Callable[..., list[Any]]:
    """Cotangents of the inputs asked for."""

    def run(xp: Any, arrays: Sequence[Any]) -> list[Any]:
        inputs, residuals, cotangents = (tuple(part) for part in split(arrays, counts))
        pulled = TRANSFORMS[kind].vjp(xp, decode_spec(spec), tuple(size), inputs, residuals, cotangents, tuple(asked))
        return [g for g in pulled if g is not None]

    return run


@torch.library.custom_op("pyjpegdiff::forward", mutates_args=())
def forward_op(kind: str, spec: str, size: Sequence[int], keep: bool, tensors: Sequence[Tensor]) -> list[Tensor]:
    return _execute(spec, _forward(kind, spec, size, keep), tensors)


@torch.library.custom_op("pyjpegdiff::vjp", mutates_args=())
def vjp_op(
    kind: str, spec: str, size: Sequence[int], asked: Sequence[bool], counts: Sequence[int],
    tensors: Sequence[Tensor | None],
) -> list[Tensor]:  # fmt: skip
    return _execute(spec, _vjp(kind, spec, size, asked, counts), tensors)


@forward_op.register_fake
def _(kind, spec, size, keep, tensors):  # type: ignore[no-untyped-def]
    return _run_fake(_forward(kind, spec, size, keep), tensors)


@vjp_op.register_fake
def _(kind, spec, size, asked, counts, tensors):  # type: ignore[no-untyped-def]
    return _run_fake(_vjp(kind, spec, size, asked, counts), tensors)


# --- autograd ---------------------------------------------------------------------------------------------------------


class Forward(torch.autograd.Function):
    """Outputs and residuals of a transform. Residuals are no caller's business, but stay differentiable: that way a
    second derivative reaches `Backward`, and raises there.
    """

    @staticmethod
    def forward(kind: str, spec: str, size: Sequence[int], keep: bool, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(forward_op(kind, spec, size, keep, inputs))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        kind, spec, size, _, *tensors = inputs
        ctx.set_materialize_grads(False)
        ctx.kind, ctx.spec, ctx.size = kind, spec, size
        ctx.outputs = count_outputs(kind, spec)
        asked = tuple(ctx.needs_input_grad[4:])
        needs = TRANSFORMS[kind].needs(asked)
        kept = [tensor if need else None for tensor, need in zip(tensors, needs, strict=True)]
        ctx.save_for_backward(*kept, *output[ctx.outputs :])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        asked = tuple(ctx.needs_input_grad[4:])
        saved = ctx.saved_tensors  # once: checkpointing gives them out a single time
        inputs, residuals = saved[: len(asked)], saved[len(asked) :]
        of_outputs = cotangents[: ctx.outputs]
        if all(g is None for g in of_outputs):
            return (None,) * (4 + len(asked))
        counts = (len(inputs), len(residuals))
        tensors = (*inputs, *residuals, *of_outputs)
        if torch.compiler.is_compiling():
            # Compilers raise at a second derivative themselves, and cannot trace one function in another's backward.
            pulled = iter(vjp_op(ctx.kind, ctx.spec, ctx.size, asked, counts, tensors))
        else:
            pulled = iter(Backward.apply(ctx.kind, ctx.spec, ctx.size, asked, counts, *tensors))
        return (None,) * 4 + tuple(next(pulled) if wish else None for wish in asked)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        kind, spec, size, keep, *inputs = args
        apply = functools.partial(Forward.apply, kind, spec, size, keep)
        return batched_forward(apply, kind, info.batch_size, inputs, in_dims[4:])


class Backward(torch.autograd.Function):
    """The VJP of `Forward`."""

    @staticmethod
    def forward(
        kind: str, spec: str, size: Sequence[int], asked: Sequence[bool], counts: tuple[int, int],
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:  # fmt: skip
        return tuple(vjp_op(kind, spec, size, asked, counts, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Any, ...]:
        raise NotImplementedError(NO_SECOND)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        kind, spec, size, asked, counts, *tensors = args
        apply = functools.partial(Backward.apply, kind, spec, size, asked, counts)
        return batched_vjp(apply, kind, asked, counts, info.batch_size, tensors, in_dims[5:])


# --- vmap -------------------------------------------------------------------------------------------------------------
# The autograd functions' rules, and the operators' own, which compilers ask for.


def batched_forward(
    apply: Callable[..., Sequence[Tensor]], kind: str, batch: int, inputs: Sequence[Tensor], dims: Sequence[int | None]
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    """Forward over a mapped axis, by the core's own leading axes."""
    aligned, _ = to_leading_axis(batch, inputs, dims, TRANSFORMS[kind].inputs.values())
    outputs = apply(*aligned)
    if kind == "encode":
        outputs = _without_inserted_axes(inputs, dims, outputs)
    return tuple(outputs), (0,) * len(outputs)


def batched_vjp(
    apply: Callable[..., Sequence[Tensor]], kind: str, asked: Sequence[bool], counts: Sequence[int], batch: int,
    tensors: Sequence[Tensor | None], dims: Sequence[int | None],
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:  # fmt: skip
    """VJP over a mapped axis, likewise."""
    inputs, residuals, cotangents = split(tensors, counts)
    own = [
        *list(TRANSFORMS[kind].inputs.values())[: len(inputs)],
        *(3 for _ in residuals),
        *list(TRANSFORMS[kind].outputs.values())[: len(cotangents)],
    ]
    aligned, gaps = to_leading_axis(batch, tensors, dims, own)
    wished = (gap for gap, wish in zip(gaps, asked, strict=False) if wish)
    pulled = tuple(g.flatten(0, gap) for g, gap in zip(apply(*aligned), wished, strict=True))
    return pulled, (0,) * len(pulled)


@forward_op.register_vmap
def _(info, in_dims, kind, spec, size, keep, tensors):  # type: ignore[no-untyped-def]
    outputs, dims = batched_forward(
        lambda *aligned: forward_op(kind, spec, size, keep, aligned), kind, info.batch_size, tensors, in_dims[4]
    )
    return list(outputs), list(dims)


@vjp_op.register_vmap
def _(info, in_dims, kind, spec, size, asked, counts, tensors):  # type: ignore[no-untyped-def]
    def apply(*aligned: Tensor) -> list[Tensor]:
        return vjp_op(kind, spec, size, asked, counts, aligned)

    outputs, dims = batched_vjp(apply, kind, asked, counts, info.batch_size, tensors, in_dims[5])
    return list(outputs), list(dims)


def to_leading_axis(
    batch: int, tensors: Sequence[Tensor | None], dims: Sequence[int | None], own: Iterable[int]
) -> tuple[list[Tensor | None], list[int]]:
    """Make the mapped axis the first leading axis of every tensor, so that the core's own broadcasting does the rest.

    A tensor with fewer leading axes than the image gets axes of length 1 after the mapped one; how many, the second
    result tells.
    """
    leading = [
        0 if tensor is None else tensor.ndim - (dim is not None) - axes
        for tensor, dim, axes in zip(tensors, dims, own, strict=False)
    ]
    gaps = [max(leading) - axes for axes in leading]
    aligned: list[Tensor | None] = []
    for tensor, dim, gap in zip(tensors, dims, gaps, strict=True):
        if tensor is not None:
            front = tensor.expand(batch, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
            tensor = front.reshape(batch, *(1,) * gap, *front.shape[1:])
        aligned.append(tensor)
    return aligned, gaps


def _without_inserted_axes(
    inputs: Sequence[Tensor], dims: Sequence[int | None], outputs: Sequence[Tensor]
) -> list[Tensor]:
    """Steps have the leading axes of quality and table alone, once those that alignment inserted are gone."""
    axes = [tensor.ndim - (dim is not None) for tensor, dim in zip(inputs, dims, strict=True)]
    _, quality, table_y, *chroma = axes
    for index, table in zip((1, 4), (table_y, *chroma[:1]), strict=False):
        steps = outputs[index]
        gap = steps.ndim - 3 - max(quality, table - 2)
        outputs = [*outputs[:index], steps.flatten(0, gap), *outputs[index + 1 :]]
    return list(outputs)


# --- counting ---------------------------------------------------------------------------------------------------------


def split(tensors: Sequence[Any], counts: Sequence[int]) -> tuple[Sequence[Any], Sequence[Any], Sequence[Any]]:
    """Inputs, residuals, cotangents."""
    first, second = counts[0], counts[0] + counts[1]
    return tensors[:first], tensors[first:second], tensors[second:]


def count_outputs(kind: str, spec: str) -> int:
    """How many of what `Forward` returns are outputs; grayscale ends before the first of chroma."""
    outputs = len(TRANSFORMS[kind].outputs)
    return min(outputs, 2) if is_gray(spec) else outputs
