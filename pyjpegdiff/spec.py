"""What is fixed before any array is seen (`Spec`) and the small arrays that all samples meet (`Operands`)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

Array: TypeAlias = Any
"""An array of any library that follows the Python array API standard."""

Namespace: TypeAlias = Any
"""The array API namespace of such an array."""

Rounding: TypeAlias = str | tuple[Callable[[Array], Array], Callable[[Array], Array]]
"""The name of a rounding surrogate, or its (value, derivative) pair of functions."""


@dataclass(frozen=True)
class Spec:
    """The static choices of a codec run; hashable, so that compilers can specialize on it."""

    hard: bool
    """Perform every rounding and range limit, instead of its smooth surrogate."""
    rounding: Rounding
    """Surrogate of the rounding of coefficients."""
    flooring: str
    """Surrogate of the floors in scale and step sizes."""
    sampling: tuple[int, int] | None = (2, 2)
    """Rows and columns of luma samples to one chroma sample; None for grayscale."""
    exact: bool = False
    """Compute as libjpeg does, to the bit; implies ``hard``."""

    @property
    def samplings(self) -> tuple[tuple[int, int], ...]:
        """The sampling of each group of planes: luma and, unless grayscale, chroma."""
        return ((1, 1),) if self.sampling is None else ((1, 1), self.sampling)


class Operands(NamedTuple):
    """The small arrays that all samples meet, in the image's dtype; leading axes broadcast against its own.

    Grayscale has no color: all but ``steps`` is None then.
    """

    steps: tuple[Array, ...]
    """Step sizes (..., 8, 8) of each group of planes."""
    matrix: Array
    """RGB -> YCbCr, (..., 3, 3)."""
    shift: Array
    """What the matrix leaves to add, level shift included, (..., 3)."""
    inverse: Array
    """YCbCr -> RGB, (..., 3, 3)."""
    unshift: Array
    """What the inverse leaves to add, (..., 3)."""


class Wanted(NamedTuple):
    """Which cotangents a caller asked for."""

    image: bool
    steps: bool
    color: bool
