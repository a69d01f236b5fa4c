"""Who executes the codec: `select` picks a backend for an array.

A backend is two functions that belong together, since one hands its residuals to the other:

``code(xp, spec, operands, image, wanted) -> (image, residuals)``
    ``residuals`` are a tuple of arrays that alias neither the operands nor either image, of three own axes each;
    () if nothing is wanted.
``code_vjp(xp, spec, operands, image, residuals, cotangent, wanted) -> Gradients``
    ``image`` is the input, or None unless color was wanted.

NumPy arrays go by `strips`, all others by `whole`. CuPy arrays and CUDA tensors can go by `fused` kernels, where CuPy
is installed and the environment variable PYJPEGDIFF_FUSED was 1 at import: those have not yet run on a GPU, and are
promised to nobody until they have. The device of a CuPy array is to be the current one, as everywhere in CuPy.
"""

import functools
import os
from typing import Any, Protocol

from array_api_compat import is_cupy_array, is_numpy_namespace, is_torch_array

from pyjpegdiff.backends import fused, strips, whole
from pyjpegdiff.codec import Gradients
from pyjpegdiff.parameters import Parameters, prepare, prepare_vjp
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted

FUSED = os.environ.get("PYJPEGDIFF_FUSED", "0") == "1"
"""Whether fused kernels are wished for. Read once: the two halves of a pair must not disagree."""


NOTHING = Wanted(False, False, False)


class Backend(Protocol):
    """The pair of functions."""

    def code(
        self, xp: Namespace, spec: Spec, operands: Operands, image: Array, wanted: Wanted, /
    ) -> tuple[Array, tuple[Array, ...]]:
        """Code an image; residuals where any gradient is wanted."""

    def code_vjp(
        self, xp: Namespace, spec: Spec, operands: Operands, image: Array | None, residuals: tuple[Array, ...],
        g_image: Array, wanted: Wanted, /,
    ) -> Gradients:  # fmt: skip
        """Cotangents of the image and the operands."""


def select(xp: Namespace, spec: Spec, like: Array) -> Backend:
    """The backend for ``like``, the image or its cotangent: the same for both halves of a pair."""
    if is_numpy_namespace(xp):
        return strips
    if FUSED and fused.serves(spec) and _is_on_cuda(like):
        return _by_cupy() or whole
    return whole


def prepared(
    backend: Backend, xp: Namespace, spec: Spec, parameters: Parameters, leading: tuple[int, ...],
    wanted: Wanted = NOTHING,
) -> Operands:  # fmt: skip
    """The operands that an image of those leading axes meets; kernels know no gradients of color."""
    if isinstance(backend, fused.Fused) and not wanted.color:
        return backend.prepare(xp, spec, parameters, leading)
    return prepare(xp, spec, parameters)


def prepared_vjp(
    backend: Backend, xp: Namespace, spec: Spec, parameters: Parameters, g: Operands, leading: tuple[int, ...],
    wanted: Wanted,
) -> Parameters:  # fmt: skip
    """Cotangents of the parameters; of those alone whose operands have one."""
    if isinstance(backend, fused.Fused) and not wanted.color:
        return backend.prepare_vjp(xp, spec, parameters, g, leading)
    return prepare_vjp(xp, spec, parameters, g)


def _is_on_cuda(array: Array) -> bool:
    return is_cupy_array(array) or (is_torch_array(array) and array.device.type == "cuda")


@functools.cache
def _by_cupy() -> Any:
    try:
        from pyjpegdiff.backends.cuda.launch import launch
    except ImportError:
        return None
    return fused.Fused(launch)
