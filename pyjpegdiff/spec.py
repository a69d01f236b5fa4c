"""What is fixed before any array is seen: the choices of a call, the caller's layout, and who executes it."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pyjpegdiff.layout import Layout
from pyjpegdiff.types import Array, Rounding


@dataclass(frozen=True)
class Spec:
    """The choices of a call; hashable, so that compilers can specialize on it."""

    hard: bool
    """Perform every rounding and clip, instead of its smooth surrogate."""
    rounding: Rounding
    """Surrogate for the rounding of coefficients."""
    flooring: str
    """Surrogate for the floors in scale and step sizes."""
    sampling: tuple[int, int] | None = (2, 2)
    """Rows and columns of luma samples per chroma sample; None for grayscale."""
    libjpeg: bool = False
    """Compute as libjpeg does, to the bit; implies ``hard``."""
    elastic: bool = False
    """Step sizes get the elastic cotangent, not that of the rounding's surrogate; needs ``hard``."""

    samplings: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)
    """The sampling of each group of planes: luma and, unless grayscale, chroma."""

    def __post_init__(self) -> None:
        # Not a cached property: torch's compiler cannot trace its lock.
        object.__setattr__(self, "samplings", ((1, 1),) if self.sampling is None else ((1, 1), self.sampling))


@dataclass(frozen=True)
class Plan:
    """Everything static about a call. It is made once, before the forward; the VJP gets the same one."""

    spec: Spec
    layout: Layout
    """How the caller holds images."""
    backend: str
    """The name of the backend that executes both forward and VJP."""


class Needs(NamedTuple):
    """Which kinds of gradients are needed."""

    image: bool
    """Of the image, or of the coefficients where those are the input."""
    steps: bool
    """Of the step sizes, so of quality or tables."""
    color: bool
    """Of the color matrix or offset."""


class Operands(NamedTuple):
    """The small arrays that every sample meets, in the compute dtype; batch axes broadcast against the image's.

    Grayscale has no color: all but ``steps`` is None then.
    """

    steps: tuple[Array, ...]
    """Step sizes (..., 8, 8) of each group of planes."""
    matrix: Array | None
    """RGB -> YCbCr, (..., 3, 3)."""
    shift: Array | None
    """What to add after the matrix, level shift included, (..., 3)."""
    inverse: Array | None
    """YCbCr -> RGB, (..., 3, 3)."""
    unshift: Array | None
    """What to add after the inverse, (..., 3)."""
