"""Who executes the codec: `select` picks a backend for an array library.

A backend is two functions that belong together, since one hands its residuals to the other:

``code(xp, spec, operands, image, wanted) -> (image, residuals)``
    ``residuals`` are a tuple of arrays that alias neither the operands nor either image; () if nothing is wanted.
``code_vjp(xp, spec, operands, image, residuals, cotangent, wanted) -> Gradients``
    ``image`` is the input, or None unless color was wanted.
"""

from types import ModuleType

from pyjpegdiff import lean
from pyjpegdiff.backends import strips, whole
from pyjpegdiff.spec import Namespace


def select(xp: Namespace) -> ModuleType:
    """The backend for arrays of namespace ``xp``."""
    return strips if xp is lean.xp else whole
