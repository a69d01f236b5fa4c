"""What many tests take: modes, specs, synthetic images, parameters, and the inputs of whole operations."""

import os
from typing import Any, NamedTuple

import numpy as np

from pyjpegdiff import backends
from pyjpegdiff.arguments import SAMPLINGS as SAMPLINGS
from pyjpegdiff.arrays import result_dtype
from pyjpegdiff.layout import Layout
from pyjpegdiff.numpy_namespace import xp
from pyjpegdiff.operations import CODE, ENCODE, Operation
from pyjpegdiff.spec import Plan, Spec
from pyjpegdiff.stages.color import MATRIX, OFFSET
from pyjpegdiff.tables import CHROMINANCE, LUMINANCE
from pyjpegdiff.types import ArrayType

THOROUGH = os.environ.get("PYJPEGDIFF_THOROUGH") == "1"
"""Whether this is the long run of `make thorough`."""

COMPILED = ["cpu_kernels"] if "cpu_kernels" in backends.available() else []
HOST_BACKENDS = [*COMPILED, "numpy_strips", "array_api"]
"""Those that serve NumPy arrays here, the one that is chosen for them first."""

MODES = [{"ste": False}, {"ste": True}, {"arithmetic": "libjpeg"}]


def spec_of(mode, sampling=(2, 2), rounding="rational", flooring=None, elastic=True):
    """The spec of a mode; by default the flooring and the gradient of steps that public calls have by default."""
    libjpeg = mode.get("arithmetic") == "libjpeg"
    hard = libjpeg or mode.get("ste", False)
    return Spec(hard, rounding, flooring or ("identity" if hard else "cubic"), sampling, libjpeg, hard and elastic)


# --- images and parameters --------------------------------------------------------------------------------------------


def photo_like(rng, shape, dtype=np.float64, clipped=True):
    """Rows of pixel values that wander, as those of photos do: of 0..255, or beyond if not clipped."""
    x = np.cumsum(6 * rng.standard_normal(shape), -1) + rng.uniform(40, 210, (*shape[:-2], 1, 1))
    return (x.clip(0, 255) if clipped else x).astype(dtype)


def noisy_ramp(seed, height, width, gray=False):
    """Noise on a ramp, uint8 (H, W, 3) or (H, W): neither flat nor white noise."""
    rng = np.random.default_rng(seed)
    shape = (height, width) if gray else (height, width, 3)
    ramp = np.add.outer(np.arange(height) * rng.uniform(-4, 4), np.arange(width) * rng.uniform(-4, 4))
    values = (ramp if gray else ramp[..., np.newaxis]) + rng.normal(128, rng.uniform(1, 60), shape)
    return values.clip(0, 255).astype(np.uint8)


def parameters(rng, quality, batch_shapes=((), (), (), (), ())):
    """Quality, tables, color matrix and offset near what is usual, with batch axes before the core dimensions."""
    of_quality, of_y, of_c, of_matrix, of_offset = batch_shapes
    return (
        quality + np.zeros(()) if of_quality == () else (quality + rng.uniform(-3, 3, of_quality)).clip(1, 100),
        rng.uniform(5, 90, (*of_y, 8, 8)),
        rng.uniform(5, 90, (*of_c, 8, 8)),
        np.array(MATRIX) + 0.02 * rng.standard_normal((*of_matrix, 3, 3)),
        np.array(OFFSET) + rng.standard_normal((*of_offset, 3)),
    )


def default_parameters(dtype="float32"):
    """The tables and the color conversion of JPEG."""
    return tuple(np.array(values, dtype) for values in (LUMINANCE, CHROMINANCE, MATRIX, OFFSET))


def batch_shapes_within(rng, batch_shape, count=5):
    """Batch shapes that broadcast to one: fewer axes, or axes of length 1, at random."""
    shapes = []
    for _ in range(count):
        kept = batch_shape[rng.integers(0, len(batch_shape) + 1) :]
        shapes.append(tuple(n if rng.random() < 0.7 else 1 for n in kept))
    return shapes


# --- whole operations -------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """An operation with inputs that it takes, as NumPy arrays."""

    operation: Operation
    plan: Plan
    size: tuple[int, int]
    inputs: tuple[Any, ...]

    @property
    def types(self):
        """Of the inputs."""
        return tuple(ArrayType(x.shape, x.dtype.name) for x in self.inputs)

    @property
    def all_needed(self):
        return (True,) * len(self.inputs)

    def forward(self, backend, needs=None, inputs=None):
        """Outputs and residuals, by a backend or that of a name."""
        inputs = self.inputs if inputs is None else inputs
        needs = self.all_needed if needs is None else needs
        return _backend(backend).forward(self.operation, self.plan, self.size, xp, inputs, needs)

    def vjp(self, backend, residuals, cotangents, needs=None, inputs=None):
        """Cotangents of the inputs. The backend is given what the VJP may read, and nothing more."""
        inputs = self.inputs if inputs is None else inputs
        needs = self.all_needed if needs is None else needs
        reads = self.operation.vjp_reads(needs)
        kept = tuple(x if read else None for x, read in zip(inputs, reads, strict=True))
        return _backend(backend).vjp(
            self.operation, self.plan, self.size, xp, kept, residuals, tuple(cotangents), needs
        )

    def cotangents(self, rng, outputs, size=1):
        """Random cotangents of the outputs."""
        return tuple((size * rng.standard_normal(output.shape)).astype(output.dtype) for output in outputs)


def _backend(backend):
    return backends.get(backend) if isinstance(backend, str) else backend


def problem(
    rng,
    operation,
    spec,
    size=(21, 35),
    batch_shape=(),
    *,
    channel_axis=-3,
    white=255,
    dtype="float64",
    parameter_dtype=None,
    quality=60,
    batch_shapes=((), (), (), (), ()),
    whole=False,
):
    """An operation with inputs of photo-like content; ``dtype`` is that of the image or the blocks."""
    parameter_dtype = parameter_dtype or result_dtype(np.dtype(dtype))
    layout = Layout(channel_axis, 255 / white, result_dtype(np.dtype(dtype)))
    channels = 1 if spec.sampling is None else 3
    image = photo_like(rng, (*batch_shape, channels, *size)) * (white / 255)
    if whole or np.dtype(dtype).kind in "iu":
        image = np.round(image)
    color_dtype = result_dtype(np.dtype(parameter_dtype))  # a matrix of integers could have no inverse
    values = parameters(rng, quality, batch_shapes)
    values = (*[x.astype(parameter_dtype) for x in values[:3]], *[x.astype(color_dtype) for x in values[3:]])
    if channels == 1:
        values = values[:2]
    if operation in (CODE, ENCODE):
        inputs = (np.ascontiguousarray(layout.unview(xp, image)).astype(dtype), *values)
        return Problem(operation, Plan(spec, layout, ""), size, inputs)
    encoding = problem(rng, ENCODE, spec, size, batch_shape, quality=quality, batch_shapes=batch_shapes, whole=whole)
    outputs, _ = encoding.forward("array_api", (False,) * len(encoding.inputs))
    blocks_at = (0,) if channels == 1 else (0, 2, 3)
    coefficients = tuple(
        (np.round(x) if whole or np.dtype(dtype).kind in "iu" else x).astype(dtype)
        if index in blocks_at
        else x.astype(parameter_dtype)
        for index, x in enumerate(outputs)
    )
    return Problem(operation, Plan(spec, layout, ""), size, (*coefficients, *values[3:]))
