"""The compiled CPU kernels as a backend of JAX: XLA calls them itself, as foreign functions, with memory of its own.

They are what XLA runs where it compiles for the CPU. For any other platform the same call is that of `array_api`, whose
residuals have another form: there the VJP computes its forward once more. So nothing needs to be known of the platform
before XLA is.
"""

import ctypes
import functools
import math
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pyjpegdiff.adapters._jax_meshes import type_alike, varying_alike
from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends.array_api import ArrayAPI, by_group
from pyjpegdiff.backends.cpu_call import THREADED_AREA
from pyjpegdiff.backends.cpu_frame import Frame, batch_shape_of, frame_of, new_pixels, residual_types
from pyjpegdiff.backends.cpu_pixels import KIND_OF
from pyjpegdiff.kernels.library import FROM_U, TO_COLOR_SUMS, Call, load, ready
from pyjpegdiff.operations import BLOCKS, COLOR, Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import ArrayType, Shape, Size

Arrays = tuple[Any, ...]
Needs = tuple[bool, ...]

FORWARD, VJP = "pyjpegdiff_forward", "pyjpegdiff_vjp"
SCRATCH = -1
"""The place of scratch memory, as in `xla.cpp`."""

BYTE = np.dtype(np.uint8)

_xp: Any = jnp


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
    device: Any = jax.config.jax_default_device
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
            types = residual_types(operation, plan, size, tuple([ArrayType(x.shape, "") for x in inputs]))
            unused = [varying_alike((outputs[0], jnp.zeros(*type_)))[1] for type_ in types if keep]
            return outputs, tuple(unused)

        def by_kernels(*inputs: Any) -> tuple[Arrays, Arrays]:
            return _Job(operation, plan, size, batch_shape).forward(inputs, keep)

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
            found = _Job(operation, plan, size, residuals[0].shape[:-3]).vjp(inputs, residuals, cotangents, needs)
            return operation.cotangents(xp, plan, inputs, needs, found)

        return _by_platform(residuals[0].shape[:-3], by_kernels, elsewhere, inputs, residuals, cotangents)


def _by_platform(batch_shape: Shape, by_kernels: Any, elsewhere: Any, *arrays: Any) -> Any:
    # Batches without a sample have parameters all the same; lengths that are symbols are those of exported functions,
    # which may hold nothing of this library.
    if not all(isinstance(n, int) and n > 0 for n in batch_shape):
        return elsewhere(*arrays)
    return jax.lax.platform_dependent(*arrays, cpu=by_kernels, default=elsewhere)


# --- a call -----------------------------------------------------------------------------------------------------------


class _Job:
    """One operation on arrays with these batch axes. Parameters are repeated for every sample."""

    def __init__(self, operation: Operation, plan: Plan, size: Size, batch_shape: Shape) -> None:
        spec, layout = plan.spec, plan.layout
        self.operation, self.layout, self.size, self.batch_shape = operation, layout, size, batch_shape
        # Other axes are brought to where the first of these is.
        self.channel_axis = layout.channel_axis if layout.channel_axis in (-1, None) else -3
        self.dtype = np.dtype(layout.compute_dtype)
        self.result_dtype = np.dtype(layout.dtype if layout.dtype in map(str, KIND_OF) else self.dtype)
        self.frame: Frame = frame_of(
            operation.name, size, (), spec.hard, spec.libjpeg, spec.rounding, spec.flooring, spec.samplings,
            self.channel_axis, layout.scale, str(self.result_dtype), layout.compute_dtype,
        )  # fmt: skip
        self.call = Call.from_buffer_copy(self.frame.template)
        self.call.parameters_stride = self.frame.parameters_size
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
            self.results["residuals"] = self.frame.residuals_shape, self.dtype
        made = self._run(FORWARD)
        residuals = (made["residuals"],) if keep else ()
        if name != "encode":
            return (self._image(made["result"]),), residuals
        blocks = [made[f"blocks_{x}"] for x, _ in self.frame.blocks]
        steps = [self._steps(made["operands"], group, shape) for group, shape in enumerate(_steps_shapes(inputs))]
        return (blocks[0], steps[0], *blocks[1:], *steps[1:]), residuals

    def vjp(self, inputs: Arrays, residuals: Arrays, cotangents: Arrays, needs: Needs) -> dict[str, Any]:
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
        g_parameters = made.get("g_parameters")
        g_color = g_parameters
        if kinds.color and name != "encode":
            g_color += self._way_back_to_rgb()
        for position, parameter, core, place in self.frame.parameters if g_parameters is not None else ():
            if needs[position]:
                g = (g_color if parameter in COLOR else g_parameters)[..., place]
                found[parameter] = unbroadcast(_xp, g.reshape((*self.batch_shape, *core)), inputs[position].shape)
        return found

    def _way_back_to_rgb(self) -> Any:
        """Its share of the color's cotangents: RGB is computed again, its samples are no residuals."""
        self.results.clear()
        self._add_sums()
        self.call.needs_steps = False
        self.call.sink = TO_COLOR_SUMS
        if self.operation.name == "code":
            self.call.source = FROM_U
        return self._run(FORWARD)["g_parameters"]

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
        image = made if self.layout.channel_axis in (-1, None) else self.layout.unview(_xp, made)
        return image.astype(self.layout.dtype)

    def _add_sums(self) -> None:
        self.results["sums"] = (self.frame.sums_size,), BYTE
        self.results["g_parameters"] = (self.frame.parameters_size,), self.dtype

    def _take_coefficient_cotangents(self, cotangents: Arrays, of_steps: bool) -> None:
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
        threads = min(frame.strips, os.cpu_count() or 1) if math.prod(self.size) >= THREADED_AREA else 1
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


def _steps_shapes(inputs: Arrays) -> list[Shape]:
    """Of each group of planes, as `Operation.output_types` has them."""
    return [(*np.broadcast_shapes(inputs[1].shape, table.shape[:-2]), 8, 8) for table in inputs[2:4]]
