"""Who executes the operations: a backend implements each of them, forward and VJP, from parameters to results.

A call's backend is chosen once, before its forward, and its VJP has the same one. As a rule nobody names it: the first
that is registered, automatic, and serves the call is chosen. `use_backend` names one.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any, Protocol

from pyjpegdiff.backends.array_api import ArrayAPI
from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.backends.cuda_kernels import CudaKernels
from pyjpegdiff.backends.numpy_strips import NumPyStrips
from pyjpegdiff.operations import Operation
from pyjpegdiff.spec import Plan, Spec
from pyjpegdiff.types import Arrays, Cotangents, Namespace, Size, Types

__all__ = ["Backend", "available", "choose", "get", "register", "use_backend"]


class Backend(Protocol):
    """What a backend implements.

    Inputs, outputs, cotangents and their order are those of `pyjpegdiff.operations`: images in the caller's layout and
    dtype, parameters in any dtype. A result has the dtype of ``plan.layout``, coefficients and steps have its compute
    dtype, a cotangent has the shape and the floating dtype of its input (float32 for integers). No input is written to.
    Residuals are arrays of three core dimensions after the image's batch axes. They share memory with no input and no
    output. There are none where no gradient is needed.
    """

    name: str
    takes_numpy: bool
    """Whether it takes NumPy arrays only: adapters hand it arrays of the host's memory as such, without a copy."""
    automatic: bool
    """Whether it may be chosen for a call for which nobody named it."""

    def is_available(self) -> bool:
        """Whether it can serve here at all."""

    def supports(self, spec: Spec, xp: Namespace, device: Any) -> bool:
        """Whether it serves calls with these choices, for arrays of that namespace and device."""

    def forward(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Arrays, needs: tuple[bool, ...], /
    ) -> tuple[Arrays, Arrays]:
        """Outputs, and the residuals that `vjp` needs; ``needs`` tells of each input whether its gradient is needed."""

    def vjp(
        self, operation: Operation, plan: Plan, size: Size, xp: Namespace, inputs: Cotangents, residuals: Arrays,
        cotangents: Cotangents, needs: tuple[bool, ...], /,
    ) -> Cotangents:  # fmt: skip
        """A cotangent per input, None where not needed; `pyjpegdiff.operations.Operation.vjp_reads` tells which are."""

    def residual_types(self, operation: Operation, plan: Plan, size: Size, inputs: Types) -> Types:
        """Shapes and dtypes of the residuals: formulas without branches, since sizes may be a compiler's symbols."""


_registered: dict[str, Backend] = {}
_named: ContextVar[str | None] = ContextVar("pyjpegdiff_backend", default=None)


def register(backend: Backend) -> None:
    """Add a backend, or replace that of the same name; the one added last comes first.

    Parameters
    ----------
    backend : Backend
        An object with the attributes and methods of `Backend`.

    Examples
    --------
    >>> from pyjpegdiff import backends
    >>> from pyjpegdiff.backends.array_api import ArrayAPI
    >>> class Mine(ArrayAPI):
    ...     name, automatic = "mine", False
    >>> backends.register(Mine())
    >>> backends.available()[0]
    'mine'
    """
    others = {name: other for name, other in _registered.items() if name != backend.name}
    _registered.clear()
    _registered.update({backend.name: backend, **others})


register(ArrayAPI())
register(CudaKernels())
register(NumPyStrips())
register(CpuKernels())


def available() -> tuple[str, ...]:
    """The names of the backends that can serve here.

    Returns
    -------
    tuple of str
        In the order in which they are considered. ``"cpu_kernels"``: NumPy arrays and tensors in the host's memory, and
        JAX's on the CPU, by compiled kernels, where this package was built with a compiler. ``"numpy_strips"``: NumPy
        arrays and tensors by NumPy, strip by strip. ``"cuda_kernels"``: CUDA kernels launched by CuPy, where there is a
        GPU; only if named. ``"array_api"``: arrays of any library and device, whole images at once.

    Examples
    --------
    >>> from pyjpegdiff import backends
    >>> {"numpy_strips", "array_api"} <= set(backends.available())
    True
    """
    return tuple([name for name, backend in _registered.items() if backend.is_available()])


@contextlib.contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Have the calls within executed by one backend.

    It holds for this thread and task alone. A ``vjp`` keeps the backend of its forward, wherever it is called. A
    compiled function keeps the one that held when it was traced.

    Parameters
    ----------
    name : str
        One of `available`.

    Raises
    ------
    ValueError
        If the name is not one of `available`. Calls within that this backend cannot serve raise it, too.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import diff_jpeg_coding
    >>> from pyjpegdiff.backends import use_backend
    >>> image = np.arange(3.0 * 64).reshape(3, 8, 8)
    >>> with use_backend("array_api"):
    ...     whole = diff_jpeg_coding(image, 50, arithmetic="libjpeg")
    >>> bool((whole == diff_jpeg_coding(image, 50, arithmetic="libjpeg")).all())
    True
    """
    if name not in available():
        raise ValueError(f"name must be one of {available()}, got {name!r}")
    token = _named.set(name)
    try:
        yield
    finally:
        _named.reset(token)


def choose(spec: Spec, xp: Namespace, device: Any) -> str:
    """The name of the backend for a call."""
    name = _named.get()
    where = "" if device is None else f" on {device}"
    if name is None:
        for backend in _registered.values():
            if backend.automatic and backend.supports(spec, xp, device):
                return backend.name
    elif _registered[name].supports(spec, xp, device):
        return name
    else:
        custom = "" if isinstance(spec.rounding, str) else " with a custom rounding"
        raise ValueError(f"backend {name!r} cannot serve arrays of {xp.__name__}{where}{custom}")  # type: ignore[attr-defined]
    raise ValueError(f"no backend serves arrays of {xp.__name__}{where}")  # type: ignore[attr-defined]


def get(name: str) -> Backend:
    """The backend of that name."""
    return _registered[name]
