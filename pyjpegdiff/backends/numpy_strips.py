"""NumPy alone: the codec's own functions, strip by strip, so that what lies between two stages stays in the cache.

Large new arrays cost page faults and trips to memory; a strip's memory is used again from call to call. Strips are
whole blocks high. Only upsampling looks beyond one, by a row of chroma: forward, a strip waits for the planes of the
next; backward, it takes one more row of the cotangent on either side. Small images go several at a time.

Sums are added up in a fixed order, whatever the number of threads. In libjpeg arithmetic the result equals that of the
whole image to the bit; in float to a few eps, but for what lies so near a tie or a bound that the last bit decides.
"""

from typing import Any

from array_api_compat import is_numpy_namespace, is_torch_namespace

from pyjpegdiff.backends.array_api import residual_types
from pyjpegdiff.backends.memory import have_freed_memory_kept
from pyjpegdiff.backends.numpy_forward import FORWARD
from pyjpegdiff.backends.numpy_vjp import VJP
from pyjpegdiff.backends.strips import Cutting
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan, Spec
from pyjpegdiff.types import Arrays, ArrayType, Cotangents, Namespace, Size, Types


class NumPyStrips:
    """The backend of NumPy arrays, and of tensors in the host's memory."""

    name = "numpy_strips"
    takes_numpy = True
    automatic = True

    def __init__(self, cutting: Cutting | None = None) -> None:
        self.cutting = cutting or Cutting()

    def is_available(self) -> bool:
        """Everywhere."""
        return True

    def supports(self, spec: Spec, xp: Namespace, device: Any) -> bool:
        """NumPy arrays, and tensors of the host unless a custom surrogate expects tensors."""
        if is_torch_namespace(xp):  # type: ignore[arg-type]
            return device.type == "cpu" and isinstance(spec.rounding, str)
        return is_numpy_namespace(xp)  # type: ignore[arg-type]

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...]
    ) -> tuple[Arrays, Arrays]:
        """As `pyjpegdiff.backends.Backend.forward`."""
        have_freed_memory_kept()
        types = tuple([ArrayType(x.shape, "") for x in inputs])
        kept = residual_types(operation, plan, size, types) if any(needs) else ()
        outputs, residuals, batch = FORWARD[operation.name](plan, self.cutting, size, inputs, kept)
        return outputs, tuple([batch.unflat(x) for x in residuals])

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...],
    ) -> Cotangents:  # fmt: skip
        """As `pyjpegdiff.backends.Backend.vjp`."""
        found = VJP[operation.name](plan, self.cutting, size, inputs, residuals, cotangents, operation.needs(needs))
        return operation.cotangents(xp, plan, inputs, needs, found)

    def residual_types(self, operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
        """Those of `array_api`."""
        return residual_types(operation, plan, size, inputs)
