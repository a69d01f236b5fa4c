"""The number of bits that coefficients take in a file: the public functions."""

from collections.abc import Callable

import numpy as np
from array_api_compat import is_dask_array, is_jax_array, is_torch_array

from pyjpegdiff import arguments, checks, scan
from pyjpegdiff.arguments import Call
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
    (array([1584., 1584.]), array([652., 652.]))
    """
    call, tables = _scan(coefficients, huffman)
    return scan.bits(call.xp, tables)


def jpeg_rate_vjp(
    coefficients: Coefficients, *, huffman: str = "standard"
) -> tuple[AnyArray, Callable[[Array], Coefficients]]:
    r"""The bits of coefficients; return the function from a cotangent of the bits to those of the coefficients.

    Parameters
    ----------
    coefficients, huffman
        As in `jpeg_rate`. For slopes of quality and tables give coefficients that have not been rounded, as
        ``jpeg_encode_vjp(..., rounding="identity")`` returns them: whole ones do not tell how near to 1/2 a zero was.

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
    The bits are a step function. The derivative is that of their mean when one coefficient is dithered by uniform noise
    of width 1 before it is rounded: B(\lceil x \rceil) - B(\lfloor x \rfloor), with the real bits of both files, all
    other coefficients as they are stored and the code lengths held fixed. At a whole number it is the mean of both
    sides; at zero it is zero. Source: uniform noise in place of rounding, Balle et al., ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from pyjpegdiff import jpeg_encode_vjp, jpeg_rate_vjp
    >>> image = np.random.default_rng(0).uniform(0, 255, (3, 32, 32))
    >>> coefficients, encode_vjp = jpeg_encode_vjp(image, 50, rounding="identity", wrt=("jpeg_quality",))
    >>> bits, vjp = jpeg_rate_vjp(coefficients)
    >>> bool(encode_vjp(vjp(np.ones_like(bits))).jpeg_quality > 0)  # a higher quality takes more bits
    True
    """
    call, tables = _scan(coefficients, huffman)
    xp, library, shape = call.xp, call.library, call.inputs["y"].shape[:-4]

    def vjp(cotangent: Array) -> Coefficients:
        arguments.check_cotangent(library, "cotangent", cotangent, shape)
        found: dict[str, Array | None] = {"cb": None, "cr": None, **scan.bits_vjp(xp, tables, cotangent)}
        return Coefficients(**found, steps_y=None, steps_c=None, size=call.size, subsampling=call.subsampling)

    return scan.bits(xp, tables), vjp


def _scan(coefficients: Coefficients, huffman: str) -> tuple[Call, tuple[scan.Table, ...]]:
    huffman = checks.one_of("huffman", huffman, HUFFMAN)
    y = getattr(coefficients, "y", None)
    if is_torch_array(y) or is_jax_array(y) or is_dask_array(y):
        raise TypeError(f"coefficients.y must be an array of NumPy or CuPy, got {checks.kind(y)}")
    call = arguments.decoding(None, coefficients)
    return call, scan.scan(call, huffman, check=isinstance(y, np.ndarray))
