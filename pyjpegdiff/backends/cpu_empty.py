"""Batches without a sample, by `array_api`: only steps and their cotangents have numbers, and no kernel has work."""

import numpy as np

from pyjpegdiff.backends.array_api import ArrayAPI
from pyjpegdiff.backends.array_api import residual_types as residual_types_of_array_api
from pyjpegdiff.backends.cpu_frame import residual_types
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Array, Arrays, ArrayType, Cotangents, Shape, Size, Types


def forward(
    operation: Operation, plan: Plan, size: Size, inputs: Arrays, needs: tuple[bool, ...]
) -> tuple[Arrays, Arrays]:
    """As `pyjpegdiff.backends.Backend.forward`, with residuals of the CPU kernels."""
    outputs, _ = ArrayAPI().forward(operation, plan, size, xp, inputs, (False,) * len(needs))
    types = tuple([ArrayType(x.shape, "") for x in inputs])
    return outputs, _empty(residual_types(operation, plan, size, types)) if any(needs) else ()


def vjp(
    operation: Operation, plan: Plan, size: Size, inputs: Cotangents, batch_shape: Shape, cotangents: Cotangents,
    needs: tuple[bool, ...],
) -> Cotangents:  # fmt: skip
    """As `pyjpegdiff.backends.Backend.vjp`; residuals have no number that it could read."""
    if operation.name == "decode":
        first: Shape = (*batch_shape, 1, 1, 8, 8)
    else:
        first = plan.layout.shape((*batch_shape, 1 if plan.spec.sampling is None else 3, *size))
    residuals = _empty(residual_types_of_array_api(operation, plan, size, (ArrayType(first, ""),)))
    return ArrayAPI().vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)


def _empty(types: Types) -> Arrays:
    made: list[Array] = [np.empty(shape, dtype) for shape, dtype in types]
    return tuple(made)
