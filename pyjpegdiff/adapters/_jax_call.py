"""One call of the CPU kernels as XLA makes it: which arrays go in, which come out, and where each has its place.

All are arrays of XLA, scratch memory too, and all have the batch axes of the call, so that a mapped call is one with an
axis more. Parameters are therefore repeated for every sample.
"""

import ctypes
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pyjpegdiff.adapters._jax_meshes import type_alike, varying_alike
from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends.array_api import by_group
from pyjpegdiff.backends.cpu_call import THREADED_AREA
from pyjpegdiff.backends.cpu_frame import frame_of, new_pixels, steps_shapes
from pyjpegdiff.backends.cpu_pixels import KIND_OF
from pyjpegdiff.backends.threads import cpus
from pyjpegdiff.kernels.library import Call, ready
from pyjpegdiff.operations import BLOCKS, Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Shape, Size

Arrays = tuple[Any, ...]

FORWARD, VJP = "pyjpegdiff_forward", "pyjpegdiff_vjp"
"""What XLA knows the two functions by."""
SCRATCH = -1
"""The place of scratch memory, as in ``xla.cpp``."""
BYTE, WORD = np.dtype(np.uint8), np.dtype(np.uint32)

_xp: Any = jnp


class JaxCall:
    """One operation, on arrays with these batch axes."""

    def __init__(self, operation: Operation, plan: Plan, size: Size, batch_shape: Shape) -> None:
        spec, layout = plan.spec, plan.layout
        self.operation, self.layout, self.size, self.batch_shape = operation, layout, size, batch_shape
        # Other axes are brought to where the first of these is.
        self.channel_axis = layout.channel_axis if layout.channel_axis in (-1, None) else -3
        self.dtype = np.dtype(layout.compute_dtype)
        self.result_dtype = np.dtype(layout.dtype if layout.dtype in map(str, KIND_OF) else self.dtype)
        self.frame = frame_of(
            operation.name, size, (), spec.hard, spec.libjpeg, spec.rounding, spec.flooring, spec.elastic,
            spec.samplings, self.channel_axis, layout.scale, str(self.result_dtype), layout.compute_dtype,
        )  # fmt: skip
        self.call = Call.from_buffer_copy(self.frame.template)
        self.call.parameters_stride = self.frame.parameters_size
        # Whole numbers: some of it are bits, and as floats they might be taken for NaN.
        self.residuals = (1, 1, self.call.residuals_stride // WORD.itemsize), WORD
        self.arguments: dict[str, Any] = {}
        self.results: dict[str, tuple[Shape, Any]] = {}

    def forward(self, inputs: Arrays, keep: bool) -> tuple[Arrays, Arrays]:
        """Outputs and residuals."""
        name = self.operation.name
        self._take_parameters(inputs)
        if name == "decode":
            self._take_blocks(inputs)
        else:
            self._take_image("image", inputs[0])
        if name == "encode":
            self.results |= {f"blocks_{x}": (shape, self.dtype) for x, shape in self.frame.blocks}
        else:
            self._add_image("result")
        if keep:
            self.results["residuals"] = self.residuals
        made = self._run(FORWARD)
        residuals = (made["residuals"],) if keep else ()
        if name != "encode":
            return (self._image(made["result"]),), residuals
        blocks = [made[f"blocks_{x}"] for x, _ in self.frame.blocks]
        steps = [self._steps(made["operands"], group, shape) for group, shape in enumerate(steps_shapes(inputs))]
        return (blocks[0], steps[0], *blocks[1:], *steps[1:]), residuals

    def vjp(self, inputs: Arrays, residuals: Arrays, cotangents: Arrays, needs: tuple[bool, ...]) -> dict[str, Any]:
        """Cotangents of those inputs that need one, by name."""
        name, call, kinds = self.operation.name, self.call, self.operation.needs(needs)
        call.needs_image, call.needs_steps, call.needs_color = kinds
        self._take_parameters(inputs)
        self.arguments["residuals"] = residuals[0]
        if name == "encode":
            self._take_coefficient_cotangents(cotangents, kinds.steps)
        else:
            self._take_image("cotangent", cotangents[0])
        if name == "decode" and (kinds.steps or kinds.color):
            self._take_blocks(inputs)
        elif name != "decode" and kinds.color:
            self._take_image("image", inputs[0])
        if kinds.image and name == "decode":
            self.results |= {f"g_blocks_{x}": (shape, self.dtype) for x, shape in self.frame.blocks}
        elif kinds.image:
            self._add_image("g_image")
        if kinds.steps or kinds.color:
            self._add_sums()
        made = self._run(VJP)
        found = {x: made[f"g_blocks_{x}"] for x in BLOCKS if f"g_blocks_{x}" in made}
        if "g_image" in made:
            found["image_rgb"] = self._image(made["g_image"])
        if kinds.steps or kinds.color:
            found |= self._of_parameters(made["g_parameters"], inputs, needs)
        return found

    def _of_parameters(self, g_parameters: Any, inputs: Arrays, needs: tuple[bool, ...]) -> dict[str, Any]:
        found = {}
        for position, parameter, core, place in self.frame.parameters:
            if needs[position]:
                g = g_parameters[..., place].reshape((*self.batch_shape, *core))
                found[parameter] = unbroadcast(_xp, g, inputs[position].shape)
        return found

    # --- what it takes and makes --------------------------------------------------------------------------------------

    def _take_parameters(self, inputs: Arrays) -> None:
        parts = []
        for position, _, core, _ in self.frame.parameters:
            whole = jnp.broadcast_to(inputs[position].astype(self.dtype), (*self.batch_shape, *core))
            parts.append(whole.reshape((*self.batch_shape, -1)))
        self.arguments["parameters"] = jnp.concatenate(parts, axis=-1)

    def _take_blocks(self, inputs: Arrays) -> None:
        for name, block in zip(BLOCKS, (inputs[0], *inputs[2:4]), strict=False):
            self.arguments[f"blocks_{name}"] = block.astype(self.dtype)

    def _take_image(self, field: str, image: Any) -> None:
        if self.layout.channel_axis not in (-1, None):
            image = self.layout.view(_xp, image)
        if image.dtype not in KIND_OF:
            image = image.astype(self.dtype)
        self.arguments[field] = image
        self._set_pixels(field, image.dtype)

    def _add_image(self, field: str) -> None:
        self.results[field] = self._set_pixels(field, self.result_dtype), self.result_dtype

    def _set_pixels(self, field: str, dtype: Any) -> Shape:
        shape, pixels = new_pixels(self.channel_axis, self.call.channels, self.size, np.dtype(dtype))
        setattr(self.call, field, (None, *pixels))
        return shape

    def _image(self, made: Any) -> Any:
        image: Any = made if self.layout.channel_axis in (-1, None) else self.layout.unview(_xp, made)
        return image.astype(self.layout.dtype)

    def _add_sums(self) -> None:
        self.results["sums"] = (self.frame.sums_size,), BYTE
        self.results["g_parameters"] = (self.frame.parameters_size,), self.dtype

    def _take_coefficient_cotangents(self, cotangents: Arrays, of_steps: bool) -> None:
        g_blocks: Any
        g_steps: Any
        g_blocks, g_steps = by_group(cotangents)
        for name, g in zip(BLOCKS, g_blocks, strict=False):
            if g is not None:
                self.arguments[f"g_blocks_{name}"] = g.astype(self.dtype)
        for group, g in zip("yc", g_steps if of_steps else (), strict=False):
            if g is not None:
                self.arguments[f"g_steps_{group}"] = self._for_first(g.astype(self.dtype))

    def _for_first(self, g_steps: Any) -> Any:
        """The cotangent of steps per sample: what belongs to several samples goes to the first."""
        g = g_steps.reshape(((1,) * (len(self.batch_shape) + 2 - g_steps.ndim)) + g_steps.shape)
        after = [n - own for n, own in zip(self.batch_shape, g.shape, strict=False)]
        return jnp.pad(g, [*[(0, n) for n in after], (0, 0), (0, 0)])

    def _steps(self, operands: Any, group: int, shape: Shape) -> Any:
        """Those of a group of planes, in their shape: they are the first of the operands."""
        own = (1,) * (len(self.batch_shape) + 2 - len(shape)) + shape
        first = operands[(*[slice(n) for n in own[:-2]], slice(64 * group, 64 * (group + 1)))]
        return first.reshape(shape)

    # --- calling ------------------------------------------------------------------------------------------------------

    def _run(self, target: str) -> dict[str, Any]:
        """The results by name, from XLA's call of the kernels."""
        frame = self.frame
        threads = min(frame.strips, cpus()) if math.prod(self.size) >= THREADED_AREA else 1
        scratch_size = ready().pyjpegdiff_xla_scratch_size(ctypes.byref(self.call), threads)
        results = self.results | {
            "operands": ((frame.operands_size // self.dtype.itemsize,), self.dtype),
            "scratch": ((scratch_size,), BYTE),
        }
        cores = [x.shape[len(self.batch_shape) :] for x in self.arguments.values()]
        dtypes = [x.dtype for x in self.arguments.values()]
        types = [*zip(cores, dtypes, strict=True), *results.values()]
        buffers = [
            (SCRATCH if name == "scratch" else getattr(Call, name).offset, math.prod(core) * np.dtype(dtype).itemsize)
            for name, (core, dtype) in zip((*self.arguments, *results), types, strict=True)
        ]
        arguments = varying_alike(tuple(self.arguments.values()))
        made = jax.ffi.ffi_call(
            target,
            [type_alike((*self.batch_shape, *core), dtype, arguments[0]) for core, dtype in results.values()],
            vmap_method="broadcast_all",
        )(*arguments, call=np.frombuffer(bytes(self.call), np.int64), buffers=np.array(buffers, np.int64).ravel())
        return dict(zip(results, made, strict=True))
