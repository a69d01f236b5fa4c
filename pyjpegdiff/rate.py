"""The number of bits that coefficients take in a file: the public functions."""

from typing import NamedTuple

import numpy as np
from array_api_compat import is_dask_array, is_jax_array, is_torch_array

from pyjpegdiff import arguments, checks
from pyjpegdiff.arguments import Call
from pyjpegdiff.arrays import constant_like, is_numpys, to_dtype, to_host
from pyjpegdiff.huffman import STANDARD_AC, STANDARD_DC, optimal_lengths
from pyjpegdiff.results import Coefficients
from pyjpegdiff.stages import entropy
from pyjpegdiff.types import AnyArray, Array, Namespace

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
    call = _call(coefficients)
    return _scan(call, checks.one_of("huffman", huffman, HUFFMAN)).bits(call.xp)


# --- a scan -----------------------------------------------------------------------------------------------------------


class Table(NamedTuple):
    """Components that share their Huffman tables: luma, or both of chroma."""

    names: tuple[str, ...]
    group: tuple[int, int]
    dc: tuple[Array, ...]
    """By component, in the order of the scan, rounded."""
    ac: tuple[Array, ...]
    counts: tuple[Array, Array]
    """How often symbols of DC and AC occur in all of them."""
    lengths: tuple[Array, Array]
    """Of the codes of these symbols."""


class Scan(NamedTuple):
    """What a file holds of coefficients."""

    tables: tuple[Table, ...]

    def bits(self, xp: Namespace) -> Array:
        """The bits of all."""
        parts = [
            entropy.bits(xp, counts, lengths)
            for table in self.tables
            for counts, lengths in zip(table.counts, table.lengths, strict=True)
        ]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return np.asarray(total) if isinstance(total, np.generic) else total


def _call(coefficients: Coefficients) -> Call:
    """Checked coefficients."""
    y = getattr(coefficients, "y", None)
    if is_torch_array(y) or is_jax_array(y) or is_dask_array(y):
        raise TypeError(f"coefficients.y must be an array of NumPy or CuPy, got {checks.kind(y)}")
    return arguments.decoding(None, coefficients)


def _scan(call: Call, huffman: str) -> Scan:
    sampling = call.plan.spec.sampling
    tables = [_table(call, huffman, 0, ("y",), sampling or (1, 1))]
    if sampling is not None:
        tables.append(_table(call, huffman, 1, ("cb", "cr"), (1, 1)))
    return Scan(tuple(tables))


def _table(call: Call, huffman: str, index: int, names: tuple[str, ...], group: tuple[int, int]) -> Table:
    xp, dc, ac = call.xp, (), ()
    counts: list[Array] = []
    for name in names:
        whole = xp.round(as_floating(xp, call.inputs[name]))
        dc += (entropy.dc_in_order(xp, whole, group),)
        ac += (entropy.zigzag(xp, whole),)
        differences = entropy.differences(xp, dc[-1])
        if is_numpys(whole.dtype):
            _check_values(f"coefficients.{name}", "differences of DC", differences, entropy.LARGEST_DC)
            _check_values(f"coefficients.{name}", "AC coefficients", ac[-1], entropy.LARGEST_AC)
        own = (entropy.dc_counts(xp, differences), entropy.ac_counts(xp, ac[-1], dc[-1].shape[-1]))
        counts = [a + b for a, b in zip(counts, own, strict=True)] if counts else list(own)
    standard = (STANDARD_DC[index], STANDARD_AC[index])
    lengths = tuple(
        [
            constant_like(xp, values, each) if huffman == "standard" else _optimized(xp, each)
            for values, each in zip(standard, counts, strict=True)
        ]
    )
    return Table(names, group, dc, ac, (counts[0], counts[1]), (lengths[0], lengths[1]))


def _optimized(xp: Namespace, counts: Array) -> Array:
    host = to_host(counts)
    lengths = [optimal_lengths(each) for each in host.reshape(-1, host.shape[-1]).astype(np.int64)]
    as_lists = np.reshape(lengths, host.shape).tolist()
    return xp.asarray(as_lists, dtype=counts.dtype, device=arguments.arrays.device(counts))


def as_floating(xp: Namespace, blocks: Array) -> Array:
    """In float64 if they have it, else in float32."""
    return to_dtype(xp, blocks, "float64" if blocks.dtype == xp.float64 else "float32")


def _check_values(name: str, what: str, values: Array, largest: int) -> None:
    found = np.max(np.abs(values), initial=0)  # type: ignore[call-overload]
    if not found <= largest:
        raise ValueError(f"{name} must hold {what} within -{largest}..{largest}, as baseline JPEG does, got {found:g}")
