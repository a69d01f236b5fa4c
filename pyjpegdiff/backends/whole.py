"""The whole image at once, by the array API alone: any library, any device."""

from pyjpegdiff import codec
from pyjpegdiff.codec import code_vjp
from pyjpegdiff.spec import Array, Namespace, Operands, Spec, Wanted

__all__ = ["code", "code_vjp"]


def code(
    xp: Namespace, spec: Spec, operands: Operands, image: Array, wanted: Wanted
) -> tuple[Array, tuple[Array, ...]]:
    """Code an image; residuals where any gradient is wanted."""
    return codec.code(xp, spec, operands, image, any(wanted))
