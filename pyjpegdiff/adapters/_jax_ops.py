"""The operations as functions of JAX: forward and VJP, each compiled by XLA, each with a rule for its derivative.

No transformation of JAX ever differentiates what a backend does, where the derivative of a rounding is zero. The rule
of `forward` calls `pull`; the rule of `pull`, which a second derivative meets, raises.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from pyjpegdiff import backends
from pyjpegdiff.adapters import NO_SECOND
from pyjpegdiff.adapters._jax_kernels import JaxKernels
from pyjpegdiff.adapters._jax_meshes import varying_alike
from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Size

Arrays = tuple[Any, ...]
Needs = tuple[bool, ...]

# A module, whose functions differ in their types from the protocol's.
jax_namespace: Any = jnp


def _backend(plan: Plan) -> Any:
    return JaxKernels() if plan.backend == CpuKernels.name else backends.get(plan.backend)


# --- forward ----------------------------------------------------------------------------------------------------------


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3, 4))
def _forward(
    operation: Operation, plan: Plan, size: Size, keep: bool, traced: Needs, inputs: Arrays
) -> tuple[Arrays, Arrays]:
    needs = (keep,) * len(inputs)
    # GPUs and TPUs would take fewer bits for products.
    with jax.default_matmul_precision("highest"):
        return _backend(plan).forward(operation, plan, size, jax_namespace, inputs, needs)


def _forward_fwd(
    operation: Operation, plan: Plan, size: Size, keep: bool, traced: Needs, inputs: Arrays
) -> tuple[Any, Any]:
    # By its own rule again: an outer derivative must not get inside.
    outputs, residuals = _forward(operation, plan, size, True, traced, inputs)
    return (outputs, residuals if keep else ()), (inputs, residuals)


def _forward_bwd(
    operation: Operation, plan: Plan, size: Size, keep: bool, traced: Needs, kept: tuple[Arrays, Arrays],
    cotangents: tuple[Arrays, Arrays],
) -> tuple[Arrays]:  # fmt: skip
    # Residuals go to `pull` alone, through which no cotangent comes back.
    of_outputs, _ = cotangents
    inputs, residuals = kept
    # Of all that may be differentiated: with `symbolic_zeros` JAX would tell which are, but it was seen to give the
    # residuals of one such call to the rule of another, whose gradient then was zero.
    needs = tuple([jnp.issubdtype(x.dtype, jnp.floating) and may for x, may in zip(inputs, traced, strict=True)])
    return (_pull(operation, plan, size, needs, inputs, residuals, of_outputs),)


_forward.defvjp(_forward_fwd, _forward_bwd)


# --- VJP --------------------------------------------------------------------------------------------------------------


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1, 2, 3))
def _pull(
    operation: Operation, plan: Plan, size: Size, needs: Needs, inputs: Arrays, residuals: Arrays, cotangents: Arrays
) -> Arrays:
    with jax.default_matmul_precision("highest"):
        return _backend(plan).vjp(operation, plan, size, jax_namespace, inputs, residuals, cotangents, needs)


def _pull_fwd(operation: Operation, plan: Plan, size: Size, needs: Needs, *arrays: Arrays) -> tuple[Arrays, None]:
    return _pull(operation, plan, size, needs, *arrays), None


def _pull_bwd(operation: Operation, plan: Plan, size: Size, needs: Needs, kept: None, cotangents: Arrays) -> Any:
    raise NotImplementedError(NO_SECOND)


_pull.defvjp(_pull_fwd, _pull_bwd)


# --- what calls use ---------------------------------------------------------------------------------------------------

forward = jax.jit(_forward, static_argnums=(0, 1, 2, 3, 4))
pull = jax.jit(_pull, static_argnums=(0, 1, 2, 3))


class Transformable:
    """Executes calls so that JAX's transformations of either result are right, or raise."""

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, needs: Needs
    ) -> tuple[Arrays, Arrays]:
        """As `pyjpegdiff.execution.Executor.forward`; the VJP finds its inputs among the residuals."""
        # What no transformation has traced on the way here, none of them differentiates.
        traced = tuple([isinstance(x, jax.core.Tracer) for x in inputs])
        inputs = varying_alike(inputs)
        outputs, residuals = forward(operation, plan, size, any(needs), traced, inputs)
        return outputs, (inputs, residuals)

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Any, residuals: Any, cotangents: Any,
        needs: Needs,
    ) -> Arrays:  # fmt: skip
        """As `pyjpegdiff.execution.Executor.vjp`."""
        return pull(operation, plan, size, needs, *residuals, cotangents)
