"""Between the form in which a caller holds an image and the canonical one: (..., C, H, W), pixel values 0..255."""

from dataclasses import dataclass, field
from typing import Any

from pyjpegdiff.types import Array, Namespace, Shape


@dataclass(frozen=True)
class Layout:
    """The caller's channel axis, pixel value range and dtype."""

    channel_axis: int | None = -3
    """Counted from the end; None where gray images have no such axis."""
    scale: float = 1.0
    """Pixel values 0..255 per unit of the caller's."""
    dtype: str = "float64"
    """Name of the floating dtype of results and of cotangents of the image."""

    compute_dtype: str = field(init=False, repr=False, compare=False)
    """Name of the dtype that images are computed in."""

    def __post_init__(self) -> None:
        # Not a cached property: torch's compiler cannot trace its lock.
        object.__setattr__(self, "compute_dtype", "float64" if self.dtype == "float64" else "float32")

    @property
    def core_ndim(self) -> int:
        """The number of core dimensions of the caller's image; all others are batch axes."""
        return 2 if self.channel_axis is None else 3

    def view(self, xp: Namespace, image: Array) -> Array:
        """The caller's image in canonical axis order, without a copy."""
        if self.channel_axis is None:
            return image[..., None, :, :]
        return image if self.channel_axis == -3 else xp.moveaxis(image, self.channel_axis, -3)

    def unview(self, xp: Namespace, image: Array) -> Array:
        """The inverse of `view`."""
        if self.channel_axis is None:
            return image[..., 0, :, :]
        return image if self.channel_axis == -3 else xp.moveaxis(image, -3, self.channel_axis)

    def to_canonical(self, xp: Namespace, image: Array) -> Array:
        """From the caller's form to the canonical one, in the compute dtype."""
        return self._to(xp, image, self.scale)

    def from_canonical(self, xp: Namespace, image: Array) -> Array:
        """From the canonical form to the caller's, in the dtype of results."""
        return self._from(xp, image, 1 / self.scale)

    def to_canonical_vjp(self, xp: Namespace, cotangent: Array) -> Array:
        """Cotangent of the caller's image from that of the canonical one."""
        return self._from(xp, cotangent, self.scale)

    def from_canonical_vjp(self, xp: Namespace, cotangent: Array) -> Array:
        """Cotangent of the canonical image from that of the caller's."""
        return self._to(xp, cotangent, 1 / self.scale)

    def canonical_shape(self, shape: Shape) -> Shape:
        """The canonical shape of a caller's."""
        if self.channel_axis is None:
            return (*shape[:-2], 1, *shape[-2:])
        others = list(shape)
        channels = others.pop(self.channel_axis)
        return (*others[:-2], channels, *others[-2:])

    def shape(self, canonical: Shape) -> Shape:
        """The caller's shape of a canonical one."""
        *batch, channels, height, width = canonical
        if self.channel_axis is None:
            return (*batch, height, width)
        others = [*batch, height, width]
        others.insert(len(canonical) + self.channel_axis, channels)
        return tuple(others)

    def _to(self, xp: Namespace, image: Array, factor: float) -> Array:
        dtype: Any = getattr(xp, self.compute_dtype)
        canonical = xp.astype(self.view(xp, image), dtype, copy=False)
        return canonical if factor == 1 else canonical * factor

    def _from(self, xp: Namespace, image: Array, factor: float) -> Array:
        dtype: Any = getattr(xp, self.dtype)
        scaled = image if factor == 1 else image * factor
        return xp.astype(self.unview(xp, scaled), dtype, copy=False)
