"""The bits of coefficients as a function of autograd."""

from typing import Any

import torch
from torch import Tensor

from pyjpegdiff import scan
from pyjpegdiff.adapters._torch_constants import torch_namespace
from pyjpegdiff.adapters._torch_ops import NO_FORWARD_MODE, FirstDerivative

Sampling = tuple[int, int] | None

NO_COMPILER = "pyjpegdiff: jpeg_rate is not compiled; it runs between two graphs, so not with fullgraph=True"


class Rate(torch.autograd.Function):
    """Bits from blocks; coefficients that need no gradient are not kept."""

    @staticmethod
    def forward(sampling: Sampling, huffman: str, *blocks: Tensor) -> Tensor:
        bits: Any = scan.bits(torch_namespace, scan.scan(torch_namespace, sampling, huffman, _plain(blocks)))
        return bits

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.sampling, ctx.huffman, *blocks = inputs
        ctx.save_for_backward(*blocks)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
        return None, None, *RateVJP.apply(ctx.sampling, ctx.huffman, cotangent, *ctx.saved_tensors)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], sampling: Sampling, huffman: str, *blocks: Tensor) -> Any:
        return Rate.apply(sampling, huffman, *_in_front(info.batch_size, blocks, in_dims[2:])), 0

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        raise NotImplementedError(NO_FORWARD_MODE)


class RateVJP(FirstDerivative):
    """The VJP of `Rate`."""

    @staticmethod
    def forward(sampling: Sampling, huffman: str, cotangent: Tensor, *blocks: Tensor) -> tuple[Tensor, ...]:
        tables = scan.scan(torch_namespace, sampling, huffman, _plain(blocks))
        found: Any = scan.bits_vjp(torch_namespace, tables, cotangent)  # type: ignore[arg-type]
        return found

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], sampling: Sampling, huffman: str, *tensors: Tensor) -> Any:
        found = RateVJP.apply(sampling, huffman, *_in_front(info.batch_size, tensors, in_dims[2:]))
        return found, (0,) * len(found)


# Compilers break their graph here. The host makes optimized tables from counts that a graph does not have.
@torch.compiler.disable(reason=NO_COMPILER)  # type: ignore[untyped-decorator]
def bits_of(sampling: Sampling, huffman: str, *blocks: Tensor) -> Tensor:
    """Bits from blocks."""
    bits: Tensor = Rate.apply(sampling, huffman, *blocks)
    return bits


def _plain(blocks: tuple[Tensor, ...]) -> Any:
    return tuple([tensor.detach() for tensor in blocks])


def _in_front(size: int, tensors: tuple[Tensor, ...], in_dims: tuple[int | None, ...]) -> list[Tensor]:
    """The mapped axis first: a batch axis as any other."""
    return [
        x.expand(size, *x.shape) if dim is None else x.movedim(dim, 0) for x, dim in zip(tensors, in_dims, strict=True)
    ]
