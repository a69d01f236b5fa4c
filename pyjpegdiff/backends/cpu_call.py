"""One call of the CPU kernels: a struct filled with pointers to arrays, and its strips given to threads."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends import threads
from pyjpegdiff.backends.cpu_frame import frame_of
from pyjpegdiff.backends.cpu_pixels import address, pixels_of
from pyjpegdiff.kernels.library import Call, ready
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Arrays, Cotangents, Shape, Size

NumPyArray = np.ndarray[Any, Any]

THREADED_AREA = 2**18
"""Pixels that are worth threads."""
ALIGNMENT = 64

_BYTES = np.dtype("uint8")


class CpuCall:
    """A call that is being filled; it holds every array that the struct points to."""

    def __init__(self, operation: Operation, plan: Plan, size: Size, batch_shape: Shape) -> None:
        spec, layout = plan.spec, plan.layout
        # Flat: to hash a plan would take longer than all the rest of this.
        self.frame = frame_of(
            operation.name, size, batch_shape, spec.hard, spec.libjpeg, spec.rounding, spec.flooring,
            spec.samplings, layout.channel_axis, layout.scale, layout.dtype, layout.compute_dtype,
        )  # fmt: skip
        self.layout, self.batch_shape = layout, batch_shape
        self.dtype = self.frame.dtype
        self.library = ready()
        self.call = Call.from_buffer_copy(self.frame.template)
        self.held: list[Any] = []

    # --- images -------------------------------------------------------------------------------------------------------

    def pixels(self, image: Any) -> tuple[int, ...]:
        """The caller's image where it lies; a copy of it where the kernels cannot read that."""
        found, held = pixels_of(self.layout, image, self.dtype)
        self.held.append(held)
        return found

    def new_image(self) -> tuple[NumPyArray, tuple[int, ...]]:
        """A new image of results, which `image` takes, and where it lies."""
        frame = self.frame
        made = np.empty(frame.image_shape, frame.image_dtype)
        return made, (address(made), *frame.image_pixels)

    def image(self, made: NumPyArray) -> Any:
        """The caller's form of a new image."""
        return made if self.layout.channel_axis in (-3, -1, None) else self.layout.unview(xp, made)

    # --- parameters ---------------------------------------------------------------------------------------------------

    def take_parameters(self, inputs: Cotangents) -> None:
        """Copy all of them into one array, one per sample of those that have batch axes, and derive the operands."""
        call, count, parts, places, shared, start = self.call, self.call.samples, [], [], True, 0
        for parameter in self.frame.parameters:
            x: Any = inputs[parameter.position]
            core, stride = parameter.core, 0
            if x.ndim > len(core):
                x = np.broadcast_to(x, (*self.batch_shape, *core))
                shared, stride = False, parameter.core_size
            parts.append(x)
            places.append((parameter.field, start, stride))
            start += x.size
        packed = np.concatenate(parts, axis=None, dtype=self.dtype, casting="unsafe")
        base = address(packed)
        for field, place, stride in places:
            setattr(call, field, (base + place * self.dtype.itemsize, stride))
        size = self.library.pyjpegdiff_operands_size(ctypes.byref(call))
        self.operands = np.empty((1 if shared else count, size), _BYTES)
        self.held += packed, self.operands
        call.operands, call.operands_stride = address(self.operands), 0 if shared else size
        self.library.pyjpegdiff_prepare(ctypes.byref(call))

    def new_cotangents(self, inputs: Cotangents, wanted: Sequence[str]) -> dict[str, NumPyArray]:
        """Zeros for cotangents of parameters to be added to, by their names: one per sample as of the parameters."""
        found: dict[str, NumPyArray] = {}
        for parameter in self.frame.parameters:
            if parameter.name in wanted:
                x: Any = inputs[parameter.position]
                own = x.ndim > len(parameter.core)
                shape = (*self.batch_shape, *parameter.core) if own else parameter.core
                found[parameter.name] = made = np.zeros(shape, self.dtype)
                setattr(self.call, f"g_{parameter.field}", (address(made), parameter.core_size if own else 0))
        self.held.append(found)
        return found

    def steps(self, group: int, shape: Shape) -> NumPyArray:
        """The step sizes of a group of planes, in their shape, from the operands: they are the first of those."""
        item = self.dtype.itemsize
        part = self.operands[:, 64 * group * item : 64 * (group + 1) * item].copy().view(self.dtype)
        if not self.call.operands_stride:
            return part.reshape(shape)
        return part.reshape((*self.batch_shape, 8, 8))[self._once(shape)].reshape(shape)

    def take_steps_cotangent(self, field: str, cotangent: Any) -> None:
        """That of encode's own steps, in the form of the operands; what belongs to several samples goes to the first.

        Mapped functions give it batch axes that the steps have not.
        """
        if self.call.operands_stride:
            whole = np.zeros((*self.batch_shape, 8, 8), self.dtype)
            whole[self._once(cotangent.shape)] = cotangent
            setattr(self.call, field, (self.contiguous(whole), 64))
        else:
            setattr(self.call, field, (self.contiguous(unbroadcast(xp, cotangent, (8, 8))), 0))

    def _once(self, shape: Shape) -> tuple[Any, ...]:
        added = len(self.batch_shape) - (len(shape) - 2)
        return tuple([0 if axis < added else slice(shape[axis - added]) for axis in range(len(self.batch_shape))])

    # --- other arrays -------------------------------------------------------------------------------------------------

    def contiguous(self, x: Any, dtype: Any = None) -> int:
        """Where an array lies, or a copy of it in C order and the compute dtype."""
        x = np.asarray(x, dtype or self.dtype, order="C")
        if not x.flags.aligned:
            x = x.copy()
        self.held.append(x)
        return address(x)

    def new(self, field: str, shape: Shape, dtype: Any) -> NumPyArray:
        """A new array that the struct knows by that name."""
        made = np.empty(shape, dtype)
        setattr(self.call, field, address(made))
        return made

    def new_residuals(self) -> tuple[Any, ...]:
        """New arrays for what the forward keeps."""
        return tuple([self.new(field, *type_) for field, type_ in self.frame.residuals])

    def take_residuals(self, residuals: Arrays) -> None:
        """What a forward has kept."""
        for (field, (_, dtype)), residual in zip(self.frame.residuals, residuals, strict=True):
            setattr(self.call, field, self.contiguous(residual, dtype))

    # --- computing ----------------------------------------------------------------------------------------------------

    def new_sums(self) -> None:
        """Zeros for the sums of every strip."""
        reference = ctypes.byref(self.call)
        strips = self.call.samples * self.library.pyjpegdiff_strips(reference)
        sums = np.zeros(strips * self.library.pyjpegdiff_sums_size(reference), _BYTES)
        self.held.append(sums)
        self.call.sums = address(sums)

    def finish(self) -> None:
        """From the sums to cotangents of parameters."""
        self.library.pyjpegdiff_finish(ctypes.byref(self.call))

    def run(self, function: Callable[..., None]) -> None:
        """Every strip, in several threads where there is enough to do. Strips know nothing of each other."""
        reference = ctypes.byref(self.call)
        strips = self.call.samples * self.library.pyjpegdiff_strips(reference)
        size = self.library.pyjpegdiff_scratch_size(reference) + ALIGNMENT

        def work(run: Sequence[int]) -> None:
            scratch = np.empty(size, _BYTES)
            start = address(scratch)
            function(reference, run[0], run[-1] + 1, start + -start % ALIGNMENT)

        small = self.call.samples * self.call.height * self.call.width < THREADED_AREA
        if small:
            work(range(strips))
        else:
            threads.spread(work, range(strips), threads.get_num_threads())
