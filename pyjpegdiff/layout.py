"""Between the form in which a caller holds an image and the codec's own."""

from dataclasses import dataclass
from typing import Any

from pyjpegdiff.spec import Array, Namespace


@dataclass(frozen=True)
class Layout:
    """How the caller holds an image, and how the codec does: (..., C, H, W), 0..255, in the compute dtype."""

    channel_axis: int | None
    per_level: float
    """Sample levels 0..255 to one unit of the caller's."""
    dtype: Any
    compute_dtype: Any

    def enter(self, xp: Namespace, image: Array, per_level: float | None = None) -> Array:
        """From the caller's form to the codec's."""
        factor = self.per_level if per_level is None else per_level
        canonical = xp.astype(image, self.compute_dtype, copy=False)
        if self.channel_axis is None:
            canonical = canonical[..., None, :, :]
        elif self.channel_axis != -3:
            canonical = xp.moveaxis(canonical, self.channel_axis, -3)
        return canonical if factor == 1 else canonical * factor

    def leave(self, xp: Namespace, image: Array, per_unit: float | None = None) -> Array:
        """From the codec's form to the caller's."""
        factor = 1 / self.per_level if per_unit is None else per_unit
        image = image if factor == 1 else image * factor
        if self.channel_axis is None:
            image = image[..., 0, :, :]
        elif self.channel_axis != -3:
            image = xp.moveaxis(image, -3, self.channel_axis)
        return xp.astype(image, self.dtype, copy=False)

    def leave_vjp(self, xp: Namespace, cotangent: Array) -> Array:
        """Cotangent of the codec's image from that of the caller's."""
        return self.enter(xp, cotangent, 1 / self.per_level)

    def enter_vjp(self, xp: Namespace, cotangent: Array) -> Array:
        """Cotangent of the caller's image from that of the codec's."""
        return self.leave(xp, cotangent, self.per_level)

    def shape(self, canonical: tuple[int, ...]) -> tuple[int, ...]:
        """The caller's shape of a canonical one."""
        *leading, channels, height, width = canonical
        if self.channel_axis is None:
            return (*leading, height, width)
        others = [*leading, height, width]
        others.insert(len(canonical) + self.channel_axis, channels)
        return tuple(others)
