"""The number of bits that coefficients take in a file: the public functions."""

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from pyjpegdiff import arguments, checks, scan
from pyjpegdiff.adapters import adapter_of
from pyjpegdiff.arguments import NUMPY, Call, Library
from pyjpegdiff.backends import cpu_scan
from pyjpegdiff.backends.cpu_kernels import CpuKernels
from pyjpegdiff.operations import BLOCKS
from pyjpegdiff.results import Coefficients
from pyjpegdiff.types import AnyArray, Array

HUFFMAN = ("standard", "optimized")


def jpeg_rate(coefficients: Coefficients, *, huffman: str = "standard") -> AnyArray:
    r"""The bits that coefficients take in the file that libjpeg-turbo writes of them.

    Counted are the entropy-coded bits of the scan of a baseline file: codes and the bits that follow them, without
    markers, headers and tables, before zero bytes are stuffed in and the last byte is filled.

    Parameters
    ----------
    coefficients : Coefficients
        As `jpeg_encode` returns them, or made of arrays from elsewhere. They are rounded to the nearest integer first,
        ties to even.
    huffman : {"standard", "optimized"}
        Whether the file has the Huffman tables of Annex K.3 of ITU-T T.81, or those that libjpeg makes for each image
        with ``optimize_coding`` (Pillow: ``optimize=True``). The latter take fewer bits, 35 % at quality 5, 3 % at 50.

    Returns
    -------
    array, the batch shape of the coefficients
        float64 whatever the dtype of the coefficients.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed. NumPy arrays that hold what a baseline file cannot: AC
        coefficients beyond -1023..1023, differences of DC beyond -2047..2047, NaN. Arrays of other libraries are not
        looked at, since a device would have to be waited for: there they count as the nearest bound, NaN as 0.

    Notes
    -----
    A value of DC is the difference to the block before it in the scan. Chroma's codes are those of both its
    components. Where luma blocks do not fill the groups in which subsampling has them stored, dummy blocks do, at the
    cost of two codes each. Source: ITU-T T.81, F.1.2 and K.2.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode, jpeg_rate
    >>> ramp = np.arange(0, 192, 2, dtype=np.uint8) + np.zeros((2, 3, 64, 1), np.uint8)
    >>> coefficients = jpeg_encode(ramp, 50, arithmetic="libjpeg")
    >>> jpeg_rate(coefficients), jpeg_rate(coefficients, huffman="optimized")
    (array([1650., 1650.]), array([1072., 1072.]))
    """
    if adapter := _adapter(coefficients):
        return adapter.jpeg_rate(coefficients, huffman=huffman)
    call, huffman = checked(None, coefficients, huffman)
    return _counted(call, huffman).bits()


def jpeg_rate_vjp(
    coefficients: Coefficients, *, huffman: str = "standard"
) -> tuple[AnyArray, Callable[[Array], Coefficients]]:
    r"""The bits of coefficients; return the function from a cotangent of the bits to those of the coefficients.

    Parameters
    ----------
    coefficients, huffman
        As in `jpeg_rate`. For slopes of quality and tables give coefficients that have not been rounded, as
        ``jpeg_encode(..., rounding="identity")`` returns them in the smooth variant: whole ones do not tell how near to
        1/2 a zero was.

    Returns
    -------
    bits : array
        What `jpeg_rate` returns.
    vjp : callable
        ``vjp(cotangent)``, for one of the shape of the bits, is `Coefficients` of cotangents, ready for the ``vjp`` of
        `jpeg_encode_vjp`; those of step sizes are None.

    Raises
    ------
    TypeError, ValueError
        Naming the argument, what came and what is allowed.

    Notes
    -----
    The bits are a step function. The derivative is that of their mean when one coefficient x is dithered by uniform
    noise of width w = 1/2 before it is rounded, all others as they are stored and the code lengths held fixed. It is a
    difference of the bits B of two files,

    .. math:: (B(\lceil x \rceil) - B(\lfloor x \rfloor)) / w

    within w/2 of a tie, and zero farther from it. A whole number counts as one whose place within -1/2..1/2 is not
    known: there the derivative is :math:`(B(x + 1) - B(x - 1)) / 2`, zero at zero. Source: uniform noise in place of
    rounding, Balle et al., *End-to-end Optimized Image Compression*, ICLR 2017.

    Examples
    --------
    The slope of bits over quality: bits and steps of the file, its coefficients before rounding.

    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode, jpeg_encode_vjp, jpeg_rate, jpeg_rate_vjp
    >>> image = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    >>> stored, encode_vjp = jpeg_encode_vjp(
    ...     image, 60, arithmetic="libjpeg", rounding="identity", steps_gradient="surrogate", wrt=("jpeg_quality",)
    ... )
    >>> unrounded = jpeg_encode(  # at quality 50 tables are steps
    ...     image.astype(np.float32), 50, stored.steps_y, stored.steps_c, rounding="identity"
    ... )
    >>> bits, vjp = jpeg_rate_vjp(unrounded)
    >>> slope = encode_vjp(vjp(np.ones_like(bits))).jpeg_quality
    >>> more, fewer = (float(jpeg_rate(jpeg_encode(image, q, arithmetic="libjpeg"))) for q in (63, 57))
    >>> bool(abs(slope / ((more - fewer) / 6) - 1) < 0.1)
    True
    """
    if adapter := _adapter(coefficients):
        return adapter.jpeg_rate_vjp(coefficients, huffman=huffman)
    call, huffman = checked(None, coefficients, huffman)
    counted = _counted(call, huffman, copy=True)
    return counted.bits(), vjp_of(call, counted.bits_vjp)


def bits_by_table(coefficients: Coefficients, *, huffman: str = "standard") -> tuple[tuple[Array, Array], ...]:
    """The parts of `jpeg_rate` for NumPy arrays: of DC and of AC, for luma and, where there is any, for chroma.

    Ends of blocks are counted as AC.
    """
    call, huffman = checked(None, coefficients, huffman)
    return _counted(call, huffman).bits_by_table()


def _adapter(coefficients: object) -> ModuleType | None:
    return adapter_of(getattr(coefficients, "y", None))


def checked(library: Library | None, coefficients: Coefficients, huffman: object) -> tuple[Call, str]:
    """Checked arguments."""
    return arguments.decoding(library, coefficients), checks.one_of("huffman", huffman, HUFFMAN)


def vjp_of(call: Call, pull: Callable[[Any], Sequence[Array]]) -> Callable[[Any], Coefficients]:
    """The function that callers get, from one that takes a checked cotangent to those of the blocks."""
    library, shape, size, subsampling = call.library, call.inputs["y"].shape[:-4], call.size, call.subsampling

    def vjp(cotangent: Any) -> Coefficients:
        arguments.check_cotangent(library, "cotangent", cotangent, shape)
        found = dict(zip(BLOCKS, pull(cotangent), strict=False))
        missing = dict.fromkeys(("cb", "cr", "steps_y", "steps_c"))
        return Coefficients(**{**missing, **found}, size=size, subsampling=subsampling)

    return vjp


def _counted(call: Call, huffman: str, copy: bool = False) -> scan.Counted:
    """By the compiled kernels where they serve; what they cannot count is said, or counted, by the array code."""
    sampling, blocks, is_numpy = call.plan.spec.sampling, scan.blocks_of(call), call.library is NUMPY
    if is_numpy and call.plan.backend == CpuKernels.name:
        counted = cpu_scan.scan(sampling, huffman, blocks, copy)
        if counted is not None:
            return counted
    return scan.scan(call.xp, sampling, huffman, blocks, check=is_numpy)
