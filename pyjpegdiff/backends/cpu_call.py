"""One call of the CPU kernels: a struct filled with pointers to arrays, and its strips given to threads."""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pyjpegdiff.arrays import unbroadcast
from pyjpegdiff.backends import threads
from pyjpegdiff.backends.cpu_frame import ALIGNMENT, frame_of
from pyjpegdiff.backends.cpu_pixels import address, address_of_new, pixels_of
from pyjpegdiff.backends.memory import empty
from pyjpegdiff.kernels.library import Call, ready
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan
from pyjpegdiff.types import Cotangents, Shape, Size

NumPyArray = np.ndarray[Any, Any]

THREADED_AREA = 2**18
"""Pixels that are worth threads."""

_BYTES = np.dtype("uint8")


class CpuCall:
    """A call that is being filled; it holds every array that the struct points to."""

    def __init__(self, operation: Operation, plan: Plan, size: Size, batch_shape: Shape) -> None:
        spec, layout = plan.spec, plan.layout
        # Flat: to hash a plan would take longer than all the rest of this.
        self.frame = frame_of(
            operation.name, size, batch_shape, spec.hard, spec.libjpeg, spec.rounding, spec.flooring,
            spec.elastic, spec.samplings, layout.channel_axis, layout.scale, layout.dtype, layout.compute_dtype,
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
        made = empty(frame.image_shape, frame.image_dtype)
        return made, (address_of_new(made), *frame.image_pixels)

    def image(self, made: NumPyArray) -> Any:
        """The caller's form of a new image."""
        return made if self.layout.channel_axis in (-3, -1, None) else self.layout.unview(xp, made)

    # --- parameters ---------------------------------------------------------------------------------------------------

    def take_parameters(self, inputs: Cotangents, sums: bool = False) -> None:
        """Copy all of them into one array, one set per sample if samples differ, and derive the operands."""
        call, frame, count = self.call, self.frame, 1
        parts: list[Any] = [inputs[parameter.position] for parameter in frame.parameters]
        if sum([x.size for x in parts]) == frame.parameters_size:
            self.packed = np.concatenate(parts, axis=None, dtype=self.dtype, casting="unsafe")
        else:
            count, call.parameters_stride = call.samples, frame.parameters_size
            self.packed = np.empty((*self.batch_shape, frame.parameters_size), self.dtype)
            for x, parameter in zip(parts, frame.parameters, strict=True):
                own_axes = x.shape[: x.ndim - len(parameter.core)]
                self.packed[..., parameter.place] = x.reshape((*own_axes, -1))
        call.parameters = address_of_new(self.packed)
        size = frame.operands_size * count
        self.operands = np.empty(size + (frame.sums_size if sums else 0), _BYTES)
        call.operands = address_of_new(self.operands)
        if sums:
            call.sums = call.operands + size
        self.library.pyjpegdiff_prepare(ctypes.byref(call))

    def steps(self, group: int, shape: Shape) -> NumPyArray:
        """The step sizes of a group of planes, in their shape, from the operands: they are the first of those."""
        first = 64 * group * self.dtype.itemsize
        operands = self.operands.reshape(-1, self.frame.operands_size)
        part = operands[:, first : first + 64 * self.dtype.itemsize].copy().view(self.dtype)
        if not self.call.parameters_stride:
            return part.reshape(shape)
        return part.reshape((*self.batch_shape, 8, 8))[self._once(shape)].reshape(shape)

    def take_steps_cotangent(self, field: str, cotangent: Any) -> None:
        """That of encode's own steps, one per set of parameters; what belongs to several samples goes to the first.

        Mapped functions give it batch axes that the steps have not.
        """
        if self.call.parameters_stride:
            whole = np.zeros((*self.batch_shape, 8, 8), self.dtype)
            whole[self._once(cotangent.shape)] = cotangent
            setattr(self.call, field, self.contiguous(whole))
        else:
            setattr(self.call, field, self.contiguous(unbroadcast(xp, cotangent, (8, 8))))

    def _once(self, shape: Shape) -> tuple[Any, ...]:
        added = len(self.batch_shape) - (len(shape) - 2)
        return tuple([0 if axis < added else slice(shape[axis - added]) for axis in range(len(self.batch_shape))])

    def finish(self, inputs: Cotangents, needs: tuple[bool, ...]) -> dict[str, NumPyArray]:
        """From the sums to cotangents of the parameters that need one, each in its parameter's shape."""
        made = np.empty_like(self.packed)
        self.call.g_parameters = address_of_new(made)
        self.library.pyjpegdiff_finish(ctypes.byref(self.call))
        found = {}
        for parameter in self.frame.parameters:
            if needs[parameter.position]:
                g, shape = made[..., parameter.place], inputs[parameter.position].shape  # type: ignore[union-attr]
                if self.call.parameters_stride:
                    g = unbroadcast(xp, g.reshape((*self.batch_shape, *parameter.core)), shape)  # type: ignore[assignment]
                found[parameter.name] = g.reshape(shape)
        return found

    # --- other arrays -------------------------------------------------------------------------------------------------

    def contiguous(self, x: Any) -> int:
        """Where an array lies, or a copy of it in C order and the compute dtype."""
        x = np.asarray(x, self.dtype, order="C")
        if not x.flags.aligned:
            x = x.copy()
        self.held.append(x)
        return address(x)

    def new(self, field: str, shape: Shape) -> NumPyArray:
        """A new array of the compute dtype, which the struct knows by that name."""
        made = empty(shape, self.dtype)
        setattr(self.call, field, address_of_new(made))
        return made

    # --- computing ----------------------------------------------------------------------------------------------------

    def run(self, function: Callable[..., None]) -> None:
        """Every strip, in several threads where there is enough to do. Strips know nothing of each other."""
        call, frame = self.call, self.frame

        def work(run: Sequence[int]) -> None:
            scratch = np.empty(frame.scratch_size + ALIGNMENT, _BYTES)
            start = address_of_new(scratch)
            function(ctypes.byref(call), run[0], run[-1] + 1, start + -start % ALIGNMENT)

        if call.samples * call.height * call.width < THREADED_AREA:
            work(range(frame.strips))
        else:
            threads.spread(work, range(frame.strips), threads.get_num_threads())
