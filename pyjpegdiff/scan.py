"""The scan of a file, composed of the stages of entropy coding: its bits, and the VJP of these."""

from typing import NamedTuple, Protocol

import numpy as np

from pyjpegdiff.arguments import Call
from pyjpegdiff.arrays import constant_like, device, result_dtype, to_dtype, to_host
from pyjpegdiff.huffman import STANDARD_AC, STANDARD_DC, optimal_lengths
from pyjpegdiff.operations import BLOCKS
from pyjpegdiff.stages import entropy
from pyjpegdiff.stages.entropy_slopes import ac_slopes, dc_slopes
from pyjpegdiff.types import Array, Arrays, Namespace, Shape


class Counted(Protocol):
    """Coefficients whose symbols have been counted."""

    def bits(self) -> Array:
        """The number of bits: the batch shape."""

    def bits_by_table(self) -> tuple[tuple[Array, Array], ...]:
        """The same, of DC and of AC, for luma and, where there is any, for chroma."""

    def bits_vjp(self, cotangent: Array) -> Arrays:
        """Cotangents of the coefficients, in the shape and the floating dtype of each component."""


class Component(NamedTuple):
    """The coefficients of a component."""

    dc: Array
    """In the order of the scan, not yet rounded."""
    ac: Array
    shape: Shape
    dtype: str
    """Of its cotangent."""


class Table(NamedTuple):
    """Components with the same Huffman tables: luma, or both of chroma."""

    group: tuple[int, int]
    """Rows and columns of blocks that are stored together."""
    components: tuple[Component, ...]
    counts: tuple[Array, Array]
    """How often the symbols of DC and of AC occur in all of them."""
    lengths: tuple[Array, Array]
    """Of their codes."""


def blocks_of(call: Call) -> Arrays:
    """The coefficients of a call."""
    return tuple([call.inputs[name] for name in BLOCKS if name in call.inputs])


def scan(xp: Namespace, sampling: tuple[int, int] | None, huffman: str, blocks: Arrays, check: bool = False) -> "Scan":
    """The scan of coefficients: luma, and both of chroma where there is a sampling of it."""
    luma = _table(xp, huffman, check, 0, {"y": blocks[0]}, sampling or (1, 1))
    if sampling is None:
        return Scan(xp, (luma,))
    return Scan(xp, (luma, _table(xp, huffman, check, 1, {"cb": blocks[1], "cr": blocks[2]}, (1, 1))))


class Scan(NamedTuple):
    """What is `Counted` by the array API's functions."""

    xp: Namespace
    tables: tuple[Table, ...]

    def bits(self) -> Array:
        """The number of bits: the batch shape."""
        total: Array | None = None
        for pair in self.bits_by_table():
            for part in pair:
                total = part if total is None else total + part
        assert total is not None
        return np.asarray(total) if isinstance(total, np.generic) else total

    def bits_by_table(self) -> tuple[tuple[Array, Array], ...]:
        """The same, of DC and of AC, for luma and, where there is any, for chroma."""
        found = []
        for table in self.tables:
            dc, ac = (entropy.bits(self.xp, *each) for each in zip(table.counts, table.lengths, strict=True))
            found.append((dc, ac))
        return tuple(found)

    def bits_vjp(self, cotangent: Array) -> Arrays:
        """Cotangents of the coefficients, in the shape and the floating dtype of each component."""
        xp = self.xp
        found: Arrays = ()
        for table in self.tables:
            of_dc, of_ac = table.lengths
            for dc, ac, shape, dtype in table.components:
                ones = xp.reshape(xp.ones_like(ac[..., 0]), shape[:-2])
                stored = entropy.dc_in_order(xp, ones, table.group, dummies=0)
                in_order = dc_slopes(xp, dc, of_dc, stored)
                g_dc = entropy.dc_in_order_vjp(xp, in_order, table.group, (shape[-4], shape[-3]))
                slopes = entropy.from_order(xp, g_dc, ac_slopes(xp, ac, of_ac), shape)
                found += (to_dtype(xp, slopes * cotangent[..., None, None, None, None], dtype),)
        return found


def _table(
    xp: Namespace, huffman: str, check: bool, index: int, blocks: dict[str, Array], group: tuple[int, int]
) -> Table:
    components: tuple[Component, ...] = ()
    counts: tuple[Array, ...] = ()
    for name, given in blocks.items():
        floating = to_dtype(xp, given, "float64" if given.dtype == xp.float64 else "float32")
        # A copy, as that of AC is: the caller may write to arguments before the VJP is called.
        dc, ac = entropy.dc_in_order(xp, floating[..., 0, 0] + 0, group), entropy.ac_in_order(xp, floating)
        components += (Component(dc, ac, given.shape, result_dtype(given.dtype)),)
        differences, whole = entropy.differences(xp, xp.round(dc)), xp.round(ac)
        if check:
            _check_values(f"coefficients.{name}", "differences of DC", differences, entropy.LARGEST_DC)
            _check_values(f"coefficients.{name}", "AC coefficients", whole, entropy.LARGEST_AC)
        own = (entropy.dc_counts(xp, differences), entropy.ac_counts(xp, whole, dc.shape[-1]))
        counts = tuple([a + b for a, b in zip(counts, own, strict=True)]) if counts else own
    of_dc, of_ac = counts
    if huffman == "standard":
        lengths = (constant_like(xp, STANDARD_DC[index], of_dc), constant_like(xp, STANDARD_AC[index], of_ac))
    else:
        lengths = (_optimized(xp, of_dc), _optimized(xp, of_ac))
    return Table(group, components, (of_dc, of_ac), lengths)


def _optimized(xp: Namespace, counts: Array) -> Array:
    """Lengths for the counts of each sample, made on the host."""
    host = to_host(counts)
    made = [optimal_lengths(each) for each in host.reshape(-1, host.shape[-1]).astype(np.int64)]
    flat = xp.asarray(np.ravel(made).tolist(), dtype=counts.dtype, device=device(counts))
    return xp.reshape(flat, host.shape)


def _check_values(name: str, what: str, values: Array, largest: int) -> None:
    found = np.max(np.abs(values), initial=0)  # type: ignore[call-overload]
    if not found <= largest:
        raise ValueError(f"{name} must hold {what} within -{largest}..{largest}, as baseline JPEG does, got {found:g}")
