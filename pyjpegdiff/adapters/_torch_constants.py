"""The package's own numbers as tensors, under whatever transform, compiler or mode of torch a call is made."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import array_api_compat.torch
import torch
from torch import Tensor

from pyjpegdiff.arrays import constant, is_remote, kept

# A module, whose functions differ in their types from the protocol's.
torch_namespace: Any = array_api_compat.torch


def constant_of_call(xp: Any, values: Any, dtype: Any, device: Any) -> Any:
    """As `pyjpegdiff.arrays.constant`, outside of the operators and under whatever transform."""
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
    sent: Any = constant(torch_namespace, tuple(values), dtype, device)
    return sent.clone()


@constant_op.register_fake
def _(values, dtype, device):  # type: ignore[no-untyped-def]
    return torch.empty(len(values), dtype=dtype, device=device)


@constant_op.register_vmap
def _(info, in_dims, values, dtype, device):  # type: ignore[no-untyped-def]
    return constant_op(values, dtype, device), None
