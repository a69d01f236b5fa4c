"""The bits of coefficients as a function of autograd."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from pyjpegdiff import scan
from pyjpegdiff.adapters._torch_constants import torch_namespace
from pyjpegdiff.adapters._torch_ops import NO_FORWARD_MODE, FirstDerivative, to_numpy
from pyjpegdiff.backends import cpu_scan, threads
from pyjpegdiff.backends.cpu_kernels import CpuKernels

Sampling = tuple[int, int] | None

NO_COMPILER = "pyjpegdiff: jpeg_rate is not compiled; it runs between two graphs, so not with fullgraph=True"


class Rate(torch.autograd.Function):
    """Bits from blocks; coefficients that need no gradient are not kept."""

    @staticmethod
    def forward(backend: str, sampling: Sampling, huffman: str, *blocks: Tensor) -> Tensor:
        with threads.at_most(torch.get_num_threads()):
            return _as_tensor(_counted(backend, sampling, huffman, blocks).bits())

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.choices, blocks = inputs[:3], inputs[3:]
        ctx.save_for_backward(*blocks)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        return None, None, None, *RateVJP.apply(*ctx.choices, cotangent, *ctx.saved_tensors)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], backend: str, sampling: Sampling, huffman: str, *blocks: Tensor
    ) -> Any:
        return Rate.apply(backend, sampling, huffman, *_in_front(info.batch_size, blocks, in_dims[3:])), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(NO_FORWARD_MODE)


class RateVJP(FirstDerivative):
    """The VJP of `Rate`."""

    @staticmethod
    def forward(
        backend: str, sampling: Sampling, huffman: str, cotangent: Tensor, *blocks: Tensor
    ) -> tuple[Tensor, ...]:
        with threads.at_most(torch.get_num_threads()):
            counted = _counted(backend, sampling, huffman, blocks)
            found = counted.bits_vjp(cotangent if isinstance(counted, scan.Scan) else to_numpy(cotangent))  # type: ignore[arg-type]
        pairs = zip(map(_as_tensor, found), blocks, strict=True)
        return tuple([g.to(x.dtype) if x.is_floating_point() else g for g, x in pairs])

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], backend: str, sampling: Sampling, huffman: str, *tensors: Tensor
    ) -> Any:
        found = RateVJP.apply(backend, sampling, huffman, *_in_front(info.batch_size, tensors, in_dims[3:]))
        return found, (0,) * len(found)


# Compilers break their graph here. The host makes optimized tables from counts that a graph does not have.
@torch.compiler.disable(reason=NO_COMPILER)  # type: ignore[untyped-decorator]
def bits_of(backend: str, sampling: Sampling, huffman: str, *blocks: Tensor) -> Tensor:
    """Bits from blocks."""
    bits: Tensor = Rate.apply(backend, sampling, huffman, *blocks)
    return bits


def _counted(backend: str, sampling: Sampling, huffman: str, blocks: tuple[Tensor, ...]) -> scan.Counted:
    """By the compiled kernels where they serve and can count all values."""
    plain: Any = tuple([block.detach() for block in blocks])
    if backend == CpuKernels.name:
        counted = cpu_scan.scan(sampling, huffman, tuple(map(to_numpy, plain)))
        if counted is not None:
            return counted
    return scan.scan(torch_namespace, sampling, huffman, plain)


def _as_tensor(array: Any) -> Tensor:
    return array if isinstance(array, Tensor) else torch.from_numpy(np.asarray(array))


def _in_front(size: int, tensors: tuple[Tensor, ...], in_dims: tuple[int | None, ...]) -> list[Tensor]:
    """The mapped axis first: a batch axis as any other."""
    return [
        x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0) for x, dim in zip(tensors, in_dims, strict=True)
    ]
