"""What the package asks of an array and of its library: a part of the Python array API standard, as types.

The type checker holds stages to these protocols. They leave out what some libraries lack: ``.device`` (JAX's tracers
and Dask have none) and in-place arithmetic (JAX has none). ``pyjpegdiff.arrays`` has functions for both.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Never, NewType, Protocol, TypeAlias

Shape: TypeAlias = tuple[int, ...]
"""Lengths of axes."""
Size: TypeAlias = tuple[int, int]
"""Height and width."""


class Array(Protocol):
    """An array of any library that follows the Python array API standard."""

    @property
    def dtype(self) -> Any: ...  # noqa: D102
    @property
    def ndim(self) -> int: ...  # noqa: D102
    @property
    def shape(self) -> Shape: ...  # noqa: D102
    def __getitem__(self, key: Any, /) -> "Array": ...
    def __neg__(self) -> "Array": ...
    def __add__(self, other: Any, /) -> "Array": ...
    def __radd__(self, other: Any, /) -> "Array": ...
    def __sub__(self, other: Any, /) -> "Array": ...
    def __rsub__(self, other: Any, /) -> "Array": ...
    def __mul__(self, other: Any, /) -> "Array": ...
    def __rmul__(self, other: Any, /) -> "Array": ...
    def __truediv__(self, other: Any, /) -> "Array": ...
    def __rtruediv__(self, other: Any, /) -> "Array": ...
    def __and__(self, other: Any, /) -> "Array": ...
    def __eq__(self, other: object, /) -> "Array": ...  # type: ignore[override]
    def __ne__(self, other: object, /) -> "Array": ...  # type: ignore[override]
    def __lt__(self, other: Any, /) -> "Array": ...
    def __le__(self, other: Any, /) -> "Array": ...
    def __gt__(self, other: Any, /) -> "Array": ...
    def __ge__(self, other: Any, /) -> "Array": ...

    # Never: a library may have these, but shared code must not call them.
    def __iadd__(self, other: Never, /) -> "Array": ...  # type: ignore[misc]
    def __isub__(self, other: Never, /) -> "Array": ...  # type: ignore[misc]
    def __imul__(self, other: Never, /) -> "Array": ...  # type: ignore[misc]
    def __setitem__(self, key: Never, value: Never, /) -> None: ...


class Namespace(Protocol):
    """The functions and dtypes of the standard that stages may call."""

    bool: Any
    float32: Any
    float64: Any
    int32: Any

    def abs(self, x: Array, /) -> Array: ...  # noqa: D102
    def arange(self, start: int, /, *, dtype: Any = None, device: Any = None) -> Array: ...  # noqa: D102
    def asarray(self, obj: Any, /, *, dtype: Any = None, device: Any = None, copy: Any = None) -> Array: ...  # noqa: D102
    def astype(self, x: Array, dtype: Any, /, *, copy: Any = True) -> Array: ...  # noqa: D102
    def broadcast_to(self, x: Array, /, shape: Shape) -> Array: ...  # noqa: D102
    def clip(self, x: Array, /, min: float, max: float) -> Array: ...  # noqa: A002, D102
    def concat(self, arrays: Sequence[Array], /, *, axis: int = 0) -> Array: ...  # noqa: D102
    def cos(self, x: Array, /) -> Array: ...  # noqa: D102
    def floor(self, x: Array, /) -> Array: ...  # noqa: D102
    def full(self, shape: Shape, fill_value: float, *, dtype: Any = None, device: Any = None) -> Array: ...  # noqa: D102
    def full_like(self, x: Array, /, fill_value: float) -> Array: ...  # noqa: D102
    def isdtype(self, dtype: Any, kind: str) -> Any: ...  # noqa: D102
    def finfo(self, type: Any, /) -> Any: ...  # noqa: A002, D102
    def matmul(self, x1: Array, x2: Array, /) -> Array: ...  # noqa: D102
    def matrix_transpose(self, x: Array, /) -> Array: ...  # noqa: D102
    def maximum(self, x1: Array, x2: Any, /) -> Array: ...  # noqa: D102
    def minimum(self, x1: Array, x2: Any, /) -> Array: ...  # noqa: D102
    def moveaxis(self, x: Array, source: int, destination: int, /) -> Array: ...  # noqa: D102
    def ones_like(self, x: Array, /) -> Array: ...  # noqa: D102
    def permute_dims(self, x: Array, /, axes: Shape) -> Array: ...  # noqa: D102
    def reshape(self, x: Array, /, shape: Shape) -> Array: ...  # noqa: D102
    def round(self, x: Array, /) -> Array: ...  # noqa: D102
    def sin(self, x: Array, /) -> Array: ...  # noqa: D102
    def stack(self, arrays: Sequence[Array], /, *, axis: int = 0) -> Array: ...  # noqa: D102
    def sum(self, x: Array, /, *, axis: Any = None, keepdims: Any = False) -> Array: ...  # noqa: D102
    def take(self, x: Array, indices: Array, /, *, axis: int) -> Array: ...  # noqa: D102
    def tanh(self, x: Array, /) -> Array: ...  # noqa: D102
    def tile(self, x: Array, repetitions: Shape, /) -> Array: ...  # noqa: D102
    def where(self, condition: Array, x1: Array, x2: Array, /) -> Array: ...  # noqa: D102
    def zeros(self, shape: Shape, *, dtype: Any = None, device: Any = None) -> Array: ...  # noqa: D102
    def zeros_like(self, x: Array, /) -> Array: ...  # noqa: D102


class ArrayType(NamedTuple):
    """Shape and dtype of an array that is not there yet."""

    shape: Shape
    dtype: str
    """Its name, the same in every library."""


if TYPE_CHECKING:
    AnyArray: TypeAlias = Any
    """An array of the caller's library: for type checkers `typing.Any`, since they cannot know which one it is."""
else:
    # A name of its own: the signatures that `help` and the manual show would say `Any`.
    AnyArray = NewType("AnyArray", object)

Arrays: TypeAlias = tuple[Array, ...]
"""Inputs, outputs or residuals, in an order that is fixed."""
Cotangents: TypeAlias = tuple[Array | None, ...]
"""One per input or output; None where there is none."""
Types: TypeAlias = tuple[ArrayType, ...]
"""Those of `Arrays`."""

Rounding: TypeAlias = str | tuple[Callable[[Array], Array], Callable[[Array], Array]]
"""The name of a rounding surrogate, or its (value, derivative) pair of functions."""
