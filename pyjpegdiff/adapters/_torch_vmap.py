"""Mapping an operation over an axis of some of its tensors: that axis becomes the first batch axis.

Every tensor's batch axes, right-aligned, broadcast against those of the image (or of the blocks). So a mapped tensor
that has fewer of them gets axes of length 1 between the mapped axis and its own.
"""

from collections.abc import Callable, Sequence

from torch import Tensor

from pyjpegdiff.adapters._torch_plans import decode_plan
from pyjpegdiff.operations import BLOCKS, IMAGES, OPERATIONS

Dims = Sequence[int | None]


def forward(
    apply: Callable[[list[Tensor]], Sequence[Tensor]], operation: str, plan: str, count: int,
    inputs: Sequence[Tensor], dims: Dims,
) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:  # fmt: skip
    """Outputs and residuals, and where their mapped axis is."""
    what = OPERATIONS[operation]
    names = what.inputs[: len(inputs)]
    core_ndims = what.core_ndims(decode_plan(plan), names)
    ndims = _batch_ndims(inputs, dims, core_ndims)
    aligned = [
        # The image tells how many samples there are, so it has to have them.
        _aligned(x, dim, count, ndims[0] - ndim) if dim is not None or name in (*IMAGES, *BLOCKS) else x
        for name, x, dim, ndim in zip(names, inputs, dims, ndims, strict=True)
    ]
    outputs = list(apply(aligned))
    out_dims: list[int | None] = [0] * len(outputs)
    if operation == "encode":
        # Steps have the batch axes of quality and table alone.
        for index, table in ((1, 2), (4, 3)) if len(inputs) > 3 else ((1, 2),):
            if dims[1] is None and dims[table] is None:
                out_dims[index] = None
            else:
                steps, ndim = outputs[index], max(ndims[1], ndims[table])
                outputs[index] = steps.reshape((count, *steps.shape[steps.ndim - 2 - ndim :]))
    return tuple(outputs), tuple(out_dims)


def vjp(
    apply: Callable[..., Sequence[Tensor]], operation: str, plan: str, needs: Sequence[bool], counts: Sequence[int],
    count: int, tensors: Sequence[Tensor | None], dims: Dims,
) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:  # fmt: skip
    """Cotangents of the inputs that need one; each has its mapped axis first."""
    what, decoded = OPERATIONS[operation], decode_plan(plan)
    inputs, residuals = counts[0], counts[1]
    names = what.inputs[:inputs]
    core_ndims = [
        *what.core_ndims(decoded, names),
        *[3] * residuals,
        *what.core_ndims(decoded, what.outputs[: len(tensors) - inputs - residuals]),
    ]
    ndims = _batch_ndims(tensors, dims, core_ndims)
    # Residuals have all batch axes of the image. An input that was not saved is an image or blocks, and has them, too.
    most = ndims[inputs]
    aligned: list[Tensor | None] = []
    for index, (x, dim, ndim) in enumerate(zip(tensors, dims, ndims, strict=True)):
        # Each mapped entry needs its own gradient also of a parameter that is the same for all.
        is_shared = dim is None and index < inputs and not needs[index] and names[index] not in (*IMAGES, *BLOCKS)
        aligned.append(x if x is None or is_shared else _aligned(x, dim, count, most - ndim))
    needed = [
        (most if x is None else ndim) + core_ndim
        for x, ndim, core_ndim, need in zip(tensors, ndims, core_ndims, needs, strict=False)
        if need
    ]
    pulled = [g.reshape((count, *g.shape[g.ndim - ndim :])) for g, ndim in zip(apply(*aligned), needed, strict=True)]
    return tuple(pulled), (0,) * len(pulled)


def _batch_ndims(tensors: Sequence[Tensor | None], dims: Dims, core_ndims: Sequence[int]) -> list[int]:
    return [
        0 if x is None else x.ndim - (dim is not None) - core_ndim
        for x, dim, core_ndim in zip(tensors, dims, core_ndims, strict=True)
    ]


def _aligned(x: Tensor, dim: int | None, count: int, missing: int) -> Tensor:
    """The mapped axis first, or an expanded one, then missing axes of length 1."""
    front = x.expand(count, *x.shape) if dim is None else x.movedim(dim, 0)
    return front.reshape(count, *(1,) * missing, *front.shape[1:]) if missing else front
