"""The compiled CPU kernels as a backend of JAX: XLA calls them itself, as foreign functions, with memory of its own.

They are what XLA runs where it compiles for the CPU. For any other platform the same call is that of `array_api`, whose
residuals have another form: there the VJP computes its forward once more. So nothing needs to be known of the platform
before XLA is.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp

from pyjpegdiff.adapters._jax_call import FORWARD, VJP, JaxCall
from pyjpegdiff.adapters._jax_meshes import varying_alike
from pyjpegdiff.backends.array_api import ArrayAPI
from pyjpegdiff.backends.cpu_frame import batch_shape_of
from pyjpegdiff.kernels.library import load, ready
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Shape, Size

Arrays = tuple[Any, ...]
Needs = tuple[bool, ...]


@functools.cache
def _are_registered() -> bool:
    library = ready()
    try:
        for name, function in ((FORWARD, library.pyjpegdiff_xla_forward), (VJP, library.pyjpegdiff_xla_vjp)):
            jax.ffi.register_ffi_target(name, jax.ffi.pycapsule(function), platform="cpu")
    except jax.errors.JaxRuntimeError:  # XLA is of a version that they do not know
        return False
    return True


def are_here() -> bool:
    """Whether there are kernels, and JAX computes on the CPU unless it is told otherwise."""
    config: Any = jax.config
    device = config.jax_default_device
    platform = jax.default_backend() if device is None else getattr(device, "platform", device)
    return platform == "cpu" and load() is not None and _are_registered()


# --- the backend ------------------------------------------------------------------------------------------------------


class JaxKernels:
    """Forward and VJP as those of `pyjpegdiff.backends.Backend`."""

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Arrays, needs: Needs
    ) -> tuple[Arrays, Arrays]:
        """Outputs, and residuals of which other platforms make no use."""
        batch_shape = batch_shape_of(operation, plan, inputs[0].shape)
        keep = any(needs)

        def elsewhere(*inputs: Any) -> tuple[Arrays, Arrays]:
            outputs, _ = ArrayAPI().forward(operation, plan, size, xp, inputs, (False,) * len(needs))
            if not keep:
                return outputs, ()
            shape, dtype = JaxCall(operation, plan, size, batch_shape).residuals
            return outputs, (varying_alike((outputs[0], jnp.zeros((*batch_shape, *shape), dtype)))[1],)

        def by_kernels(*inputs: Any) -> tuple[Arrays, Arrays]:
            return JaxCall(operation, plan, size, batch_shape).forward(inputs, keep)

        return _by_platform(batch_shape, by_kernels, elsewhere, *inputs)

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Any, inputs: Arrays, residuals: Arrays,
        cotangents: Arrays, needs: Needs,
    ) -> Arrays:  # fmt: skip
        """A cotangent per input; unlike other backends it needs all inputs."""

        def elsewhere(inputs: Arrays, residuals: Arrays, cotangents: Arrays) -> Arrays:
            array_api = ArrayAPI()
            _, residuals = array_api.forward(operation, plan, size, xp, inputs, needs)
            return array_api.vjp(operation, plan, size, xp, inputs, residuals, cotangents, needs)

        def by_kernels(inputs: Arrays, residuals: Arrays, cotangents: Arrays) -> Arrays:
            found = JaxCall(operation, plan, size, residuals[0].shape[:-3]).vjp(inputs, residuals, cotangents, needs)
            return operation.cotangents(xp, plan, inputs, needs, found)

        return _by_platform(residuals[0].shape[:-3], by_kernels, elsewhere, inputs, residuals, cotangents)


def _by_platform(batch_shape: Shape, by_kernels: Any, elsewhere: Any, *arrays: Any) -> Any:
    # Batches without a sample have parameters all the same; lengths that are symbols are those of exported functions,
    # which may hold nothing of this library.
    if not all(isinstance(n, int) and n > 0 for n in batch_shape):
        return elsewhere(*arrays)
    return jax.lax.platform_dependent(*arrays, cpu=by_kernels, default=elsewhere)
