"""Compiled kernels for arrays in the host's memory: whole operations, strip by strip, in one pass over the image.

Images are read and written where they lie, in any dtype, order of axes and strides. Every array that the kernels write
to is made here, so that where there is no memory left, Python's `MemoryError` says so.

Sums are added up in a fixed order, whatever the number of threads. In libjpeg arithmetic the result equals that of
`array_api` to the bit; in float to a few eps, but for what lies so near a tie or a bound that the last bit decides.
"""

from typing import Any

from array_api_compat import is_numpy_namespace, is_torch_namespace

from pyjpegdiff.backends import cpu_empty
from pyjpegdiff.backends.array_api import by_group
from pyjpegdiff.backends.cpu_call import CpuCall
from pyjpegdiff.backends.cpu_frame import batch_shape_of, residual_types, steps_shapes
from pyjpegdiff.backends.memory import have_freed_memory_kept
from pyjpegdiff.kernels.library import load
from pyjpegdiff.operations import BLOCKS, Operation
from pyjpegdiff.spec import Needs, Plan, Spec
from pyjpegdiff.types import Arrays, Cotangents, Namespace, Size, Types


class CpuKernels:
    """The backend of NumPy arrays, and of tensors in the host's memory, where there is a compiled library."""

    name = "cpu_kernels"
    takes_numpy = True
    automatic = True

    def is_available(self) -> bool:
        """Where the library is there and loads."""
        return load() is not None

    def supports(self, spec: Spec, xp: Namespace, device: Any) -> bool:
        """NumPy arrays and tensors of the host, with surrogates that have a name."""
        if load() is None or not isinstance(spec.rounding, str):
            return False
        if is_torch_namespace(xp):  # type: ignore[arg-type]
            return bool(device.type == "cpu")
        return is_numpy_namespace(xp)  # type: ignore[arg-type]

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...]
    ) -> tuple[Arrays, Arrays]:
        """As `pyjpegdiff.backends.Backend.forward`."""
        have_freed_memory_kept()
        batch_shape = batch_shape_of(operation, plan, inputs[0].shape)
        if 0 in batch_shape:
            return cpu_empty.forward(operation, plan, size, inputs, needs)
        job = CpuCall(operation, plan, size, batch_shape)
        call, library = job.call, job.library
        job.take_parameters(inputs)
        outputs: tuple[Any, ...] = ()
        if operation.name == "decode":
            _take_blocks(job, inputs)
        else:
            call.image = job.pixels(inputs[0])
        if operation.name == "encode":
            blocks = [job.new(f"blocks_{x}", shape) for x, shape in job.frame.blocks]
        else:
            made, call.result = job.new_image()
            outputs = (job.image(made),)
        residuals: tuple[Any, ...] = ()
        if any(needs):
            residuals = (job.new("residuals", job.frame.residuals_shape),)
        job.run(library.pyjpegdiff_forward)
        if operation.name == "encode":
            steps = [job.steps(group, shape) for group, shape in enumerate(steps_shapes(inputs))]
            outputs = (blocks[0], steps[0], *blocks[1:], *steps[1:])
        return outputs, residuals

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...],
    ) -> Cotangents:  # fmt: skip
        """As `pyjpegdiff.backends.Backend.vjp`."""
        batch_shape, kinds = residuals[0].shape[:-3], operation.needs(needs)
        if 0 in batch_shape:
            return cpu_empty.vjp(operation, plan, size, inputs, batch_shape, cotangents, needs)
        job = CpuCall(operation, plan, size, batch_shape)
        call, library = job.call, job.library
        call.needs_image, call.needs_steps, call.needs_color = kinds
        job.take_parameters(inputs, sums=kinds.steps or kinds.color)
        call.residuals = job.contiguous(residuals[0])
        _take_cotangents(job, operation, cotangents, kinds)
        found: dict[str, Any] = {}
        if operation.name == "decode":
            _take_blocks(job, inputs)
            if kinds.image:
                found |= {x: job.new(f"g_blocks_{x}", shape) for x, shape in job.frame.blocks}
        else:
            if kinds.color and inputs[0] is not None:
                call.image = job.pixels(inputs[0])
            if kinds.image:
                made, call.g_image = job.new_image()
                found["image_rgb"] = job.image(made)
        job.run(library.pyjpegdiff_vjp)
        if kinds.steps or kinds.color:
            found |= job.finish(inputs, needs)
        return operation.cotangents(xp, plan, inputs, needs, found)

    def residual_types(self, operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
        """Coefficients in units of their step, and a bit per pixel and per sample of what each clip left as it is."""
        return residual_types(operation, plan, size, inputs)


# --- parts ------------------------------------------------------------------------------------------------------------


def _take_blocks(job: CpuCall, inputs: Cotangents) -> None:
    for name, block in zip(BLOCKS, (inputs[0], *inputs[2:4]), strict=False):
        if block is not None:
            setattr(job.call, f"blocks_{name}", job.contiguous(block))


def _take_cotangents(job: CpuCall, operation: Operation, cotangents: Cotangents, kinds: Needs) -> None:
    if operation.name != "encode":
        assert cotangents[0] is not None, "an image has a cotangent wherever its VJP is called"
        job.call.cotangent = job.pixels(cotangents[0])
        return
    g_blocks, g_steps = by_group(cotangents)
    for name, g in zip(BLOCKS, g_blocks, strict=False):
        if g is not None:
            setattr(job.call, f"g_blocks_{name}", job.contiguous(g))
    if kinds.steps:
        for group, g in zip("yc", g_steps, strict=False):
            if g is not None:
                job.take_steps_cotangent(f"g_steps_{group}", g)
