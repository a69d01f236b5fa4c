r"""Entropy coding: how often each symbol of a baseline scan occurs, and how many bits the scan has.

With :math:`|v|` in category c, the number of its bits, a value takes the code of its symbol and c more bits. Of DC,
the values are differences to the block before, in the order of the scan; its symbols are categories. Of AC, the values
are what is not zero, in zigzag order, after a run of r zeros:

.. math::

    b(r, c) = \lfloor r / 16 \rfloor\, L_{\mathrm{ZRL}} + L_{16 (r \bmod 16) + c} + c ,

and a block whose last coefficient is zero ends with :math:`L_{\mathrm{EOB}}`. L are the lengths of the Huffman codes.

Groups of luma blocks that the image does not fill are completed by dummies, as libjpeg has it: the DC of the block
before, so that the difference is zero, and no AC.

All of it is whole numbers, exact in float32 up to 2^24. Categories end at 10 for AC and 11 for DC, as in a file: what
exceeds 1023 and 2047 is counted as these are.
"""

from pyjpegdiff.arrays import constant, constant_like, device, histogram
from pyjpegdiff.huffman import AC_SYMBOLS, DC_SYMBOLS, END_OF_BLOCK, SIXTEEN_ZEROS
from pyjpegdiff.tables import ZIGZAG
from pyjpegdiff.types import Array, Namespace, Shape, Size

IN_ORDER = tuple([8 * row + column for row, column in ZIGZAG])
BACK = tuple([IN_ORDER.index(at) for at in range(64)])
LARGEST_AC, LARGEST_DC = 1023, 2047
"""Magnitudes of what baseline can store: coefficients, and differences."""


def dc_in_order(xp: Namespace, dc: Array, group: tuple[int, int], dummies: int | None = None) -> Array:
    """DC coefficients, those of dummies included, in the order of the scan: (..., rows, columns) -> (..., n).

    ``group`` is the number of rows and columns of blocks that are stored together. Dummies repeat the one before them
    in the scan, or have the value that is given.
    """
    high, wide = group
    if dc.shape[-1] % wide:
        dc = xp.concat((dc, _or_value(xp, dc[..., -1:], dummies)), axis=-1)
    *batch, rows, columns = dc.shape
    if rows % high:
        last = dc[..., -1:, wide - 1 :: wide][..., None]
        row = xp.reshape(xp.broadcast_to(last, (*batch, 1, columns // wide, wide)), (*batch, 1, columns))
        dc, rows = xp.concat((dc, _or_value(xp, row, dummies)), axis=-2), rows + 1
    grouped = xp.moveaxis(xp.reshape(dc, (*batch, rows // high, high, columns // wide, wide)), -3, -2)
    return xp.reshape(grouped, (*batch, rows * columns))


def _or_value(xp: Namespace, x: Array, value: int | None) -> Array:
    return x if value is None else xp.full_like(x, value)


def dc_in_order_vjp(xp: Namespace, g: Array, group: tuple[int, int], size: Size) -> Array:
    """The adjoint of `dc_in_order` for so many rows and columns: a dummy's goes to the one that it repeats."""
    (high, wide), (rows, columns) = group, size
    *batch, _ = g.shape
    across, down = -(-columns // wide), -(-rows // high)
    g = xp.moveaxis(xp.reshape(g, (*batch, down, across, high, wide)), -3, -2)
    g = xp.reshape(g, (*batch, down * high, across * wide))
    if rows % high:
        repeated = xp.sum(xp.reshape(g[..., -1:, :], (*batch, 1, across, wide)), axis=-1)[..., None]
        row = xp.concat((*[xp.zeros_like(repeated)] * (wide - 1), repeated), axis=-1)
        row = g[..., -2:-1, :] + xp.reshape(row, (*batch, 1, across * wide))
        g = xp.concat((g[..., :-2, :], row), axis=-2)
    return xp.concat((g[..., :-2], g[..., -2:-1] + g[..., -1:]), axis=-1) if columns % wide else g


def differences(xp: Namespace, dc: Array) -> Array:
    """What a file has of DC coefficients in order: the first, then what is added to the one before."""
    return xp.concat((dc[..., :1], dc[..., 1:] - dc[..., :-1]), axis=-1)


def ac_in_order(xp: Namespace, blocks: Array) -> Array:
    """AC coefficients in the order of the scan: (..., rows, columns, 8, 8) -> (..., n, 63)."""
    *batch, rows, columns, _, _ = blocks.shape
    flat = xp.reshape(blocks, (*batch, rows * columns, 64))
    return xp.take(flat, constant(xp, IN_ORDER[1:], xp.int32, device(flat)), axis=-1)


def from_order(xp: Namespace, dc: Array, ac: Array, shape: Shape) -> Array:
    """Blocks of DC (..., rows, columns) and of AC in the order of the scan."""
    flat = xp.concat((xp.reshape(dc, (*ac.shape[:-1], 1)), ac), axis=-1)
    return xp.reshape(xp.take(flat, constant(xp, BACK, xp.int32, device(flat)), axis=-1), shape)


def category(xp: Namespace, values: Array, largest: int) -> Array:
    """The number of bits of magnitudes, at most that of ``largest``; 0 for NaN."""
    magnitudes = xp.abs(values)
    bits = xp.zeros_like(values)
    for bit in range(largest.bit_length()):
        bits = bits + xp.astype(magnitudes >= 2**bit, values.dtype)
    return bits


def runs(xp: Namespace, ac: Array) -> Array:
    """Zeros right before each coefficient of its block: (..., n, 63) -> (..., n, 63)."""
    positions = constant_like(xp, tuple(range(1, 64)), ac)
    stored = xp.where(xp.abs(ac) >= 1, positions, xp.zeros_like(ac))
    before = xp.concat((xp.zeros_like(ac[..., :1]), stored[..., :-1]), axis=-1)
    return positions - 1 - running_maximum(xp, before)


def running_maximum(xp: Namespace, x: Array, backward: bool = False) -> Array:
    """The largest of each entry and those before it along the last axis, or after it where ``backward``."""
    step = 1
    while step < x.shape[-1]:
        larger = xp.maximum(x[..., step:], x[..., :-step])
        x = xp.concat((larger, x[..., -step:]) if backward else (x[..., :step], larger), axis=-1)
        step *= 2
    return x


# --- counts -----------------------------------------------------------------------------------------------------------


def dc_counts(xp: Namespace, differences: Array) -> Array:
    """How often each DC symbol occurs: (..., n) -> (..., 12)."""
    return histogram(xp, category(xp, differences, LARGEST_DC)[..., None], DC_SYMBOLS)


def ac_counts(xp: Namespace, ac: Array, blocks: int) -> Array:
    """How often each AC symbol occurs, of so many blocks with the dummies: (..., n, 63) -> (..., 256)."""
    nonzero = xp.abs(ac) >= 1  # not NaN
    run = runs(xp, ac)
    whole = xp.floor(run / 16)
    symbols = 16 * (run - 16 * whole) + category(xp, ac, LARGEST_AC)
    counts = histogram(xp, xp.where(nonzero, symbols, xp.zeros_like(ac)), AC_SYMBOLS)
    full = xp.sum(xp.astype(nonzero[..., -1], counts.dtype), axis=-1)[..., None]
    zeros = xp.sum(xp.astype(xp.where(nonzero, whole, xp.zeros_like(ac)), counts.dtype), axis=(-2, -1))[..., None]
    # Zeros have been counted as ends of blocks.
    return (
        counts * _unit(xp, counts, END_OF_BLOCK, 0, 1)
        + (blocks - full) * _unit(xp, counts, END_OF_BLOCK)
        + zeros * _unit(xp, counts, SIXTEEN_ZEROS)
    )


def _unit(xp: Namespace, like: Array, symbol: int, at: int = 1, elsewhere: int = 0) -> Array:
    return constant_like(xp, tuple([at if s == symbol else elsewhere for s in range(AC_SYMBOLS)]), like)


# --- bits -------------------------------------------------------------------------------------------------------------


def bits(xp: Namespace, counts: Array, lengths: Array) -> Array:
    """Bits of symbols that occur so often, with what follows them: (..., symbols) -> (...)."""
    size = counts.shape[-1]
    # A DC symbol is the number of bits that follow, an AC symbol has it in its lower half.
    following = constant_like(xp, tuple([symbol % 16 for symbol in range(size)]), counts)
    return xp.sum(counts * (lengths + following), axis=-1)
