r"""What a small change of a coefficient costs in bits: the derivative that stands in for that of entropy coding.

The bits B of a scan are a step function of its coefficients. The surrogate is their mean when one coefficient x is
dithered before it is rounded, by t from the uniform distribution on -w/2..w/2, and all others are as they are stored:

.. math:: \mathrm{E}\, B(\ldots, \mathrm{round}(x + t), \ldots)

It is B where x is farther than w/2 from a tie, and linear across the tie. So its derivative is a difference of the bits
of two files, exactly, over w = ``DITHER``: B with the next whole number above x minus B with the next one below, and
zero farther from the tie.

A whole number is one whose place within -1/2..1/2 is not known. There the derivative is the mean over all of these
places, :math:`(B(x + 1) - B(x - 1)) / 2`: zero at zero, since bits depend on magnitudes. Zeros that are near to 1/2
weigh most in a file, so sums over whole coefficients have the right sign but are too small, by about a half.

For AC it has to be known what a coefficient of zero would do to its block: it ends a run of zeros and begins another,
or moves the end of the block. For DC both differences in which it is change. The tables of Huffman codes are held
fixed. A symbol to which an optimized table gives no code counts as one of 16 bits, the longest there may be.

Source: uniform noise in place of rounding is from Balle et al., *End-to-end Optimized Image Compression*, ICLR 2017;
here its derivative is taken of real code lengths, not of a model of them.
"""

from pyjpegdiff.arrays import constant_like, device
from pyjpegdiff.huffman import LONGEST, SIXTEEN_ZEROS
from pyjpegdiff.stages.entropy import LARGEST_AC, LARGEST_DC, category, running_maximum
from pyjpegdiff.types import Array, Namespace

DITHER = 0.5
"""Width of the dither: a wider one has less noise, a narrower one less bias."""


def dc_slopes(xp: Namespace, dc: Array, lengths: Array, is_stored: Array) -> Array:
    """Of the DC coefficients in the order of the scan, not yet rounded: (..., n) -> (..., n).

    Where ``is_stored`` is not 1, a dummy repeats the one before and has no difference of its own.
    """
    costs = dc_costs(xp, lengths)

    def cost(differences: Array) -> Array:
        return look_up(xp, costs, category(xp, differences, LARGEST_DC))

    whole = xp.round(dc)
    below, above = _neighbors(xp, dc)
    before = xp.concat((xp.zeros_like(whole[..., :1]), whole[..., :-1]), axis=-1)
    own = (cost(above - before) - cost(below - before)) * is_stored
    after = whole[..., 1:]
    next_ = (cost(after - above[..., :-1]) - cost(after - below[..., :-1])) * is_stored[..., 1:]
    return _mean(xp, own + xp.concat((next_, xp.zeros_like(own[..., :1])), axis=-1), dc)


def ac_slopes(xp: Namespace, ac: Array, lengths: Array) -> Array:
    """Of AC coefficients in the order of the scan, not yet rounded: (..., n, 63) -> (..., n, 63)."""
    costs = ac_costs(xp, lengths)
    whole = xp.round(ac)
    positions = constant_like(xp, tuple(range(1, 64)), ac)
    none = xp.zeros_like(ac[..., :1])
    nonzero = xp.astype(xp.abs(whole) >= 1, ac.dtype)
    before = running_maximum(xp, xp.concat((none, (positions * nonzero)[..., :-1]), axis=-1))
    # The nearest after it has the largest of these numbers; each has its category with it.
    coded = ((64 - positions) * 16 + category(xp, whole, LARGEST_AC)) * nonzero
    after = running_maximum(xp, xp.concat((coded[..., 1:], none), axis=-1), backward=True)
    until_end = xp.floor(after / 16)
    symbol_after = after - 16 * until_end
    ends = after == 0
    run, run_after = positions - 1 - before, 63 - until_end - positions
    end = costs[..., :1][..., None]
    is_last = constant_like(xp, (0,) * 62 + (1,), ac)

    def cost(runs: Array, symbols: Array) -> Array:
        return look_up(xp, costs, 16 * runs + symbols)

    # Runs that nothing ends are not looked up.
    run_after = xp.where(ends, xp.zeros_like(run), run_after)
    joined = xp.where(ends, xp.zeros_like(run), run + run_after + 1)
    rest_if_stored = xp.where(ends, end * (1 - is_last), cost(run_after, symbol_after))
    rest_if_zero = xp.where(ends, end + 0 * is_last, cost(joined, symbol_after))
    below, above = _neighbors(xp, ac)

    def bits(values: Array) -> Array:
        stored = cost(run, category(xp, values, LARGEST_AC)) + rest_if_stored
        return xp.where(values == 0, rest_if_zero, stored)

    return _mean(xp, bits(above) - bits(below), ac)


def _neighbors(xp: Namespace, x: Array) -> tuple[Array, Array]:
    """The whole numbers next to x below and above; a whole number has those next to itself."""
    above = xp.floor(x) + 1
    return -(xp.floor(-x) + 1), above


def _mean(xp: Namespace, differences: Array, x: Array) -> Array:
    """The derivative from the differences of bits between both neighbors."""
    down = xp.floor(x)
    from_tie = xp.abs(x - down - 0.5)
    across = xp.where(from_tie <= DITHER / 2, differences / DITHER, xp.zeros_like(x))
    return xp.where(x == down, differences / 2, across)


# --- costs ------------------------------------------------------------------------------------------------------------


def dc_costs(xp: Namespace, lengths: Array) -> Array:
    """Bits by category: (..., 12) -> (..., 12)."""
    return _known(xp, lengths) + constant_like(xp, tuple(range(lengths.shape[-1])), lengths)


def ac_costs(xp: Namespace, lengths: Array) -> Array:
    """Bits by 16 times a run of zeros, to 63, plus a category: (..., 256) -> (..., 1024); first, the end of a block."""
    known = _known(xp, lengths)
    *batch, size = known.shape
    zeros = constant_like(xp, (0, 1, 2, 3), known)[:, None] * known[..., SIXTEEN_ZEROS, None, None]
    costs = xp.reshape(known[..., None, :] + zeros, (*batch, 4 * size))
    return costs + constant_like(xp, tuple([index % 16 for index in range(4 * size)]), costs)


def _known(xp: Namespace, lengths: Array) -> Array:
    return xp.where(lengths == 0, xp.full_like(lengths, LONGEST), lengths)


def look_up(xp: Namespace, tables: Array, indices: Array) -> Array:
    """Entries of a table for all (m,), or of one per sample (*batch shape, m), at whole numbers (*batch shape, ...)."""
    size = tables.shape[-1]
    at = xp.astype(indices, xp.int32)
    if tables.ndim > 1:
        samples = 1
        for n in tables.shape[:-1]:
            samples *= n
        first = size * xp.arange(samples, dtype=xp.int32, device=device(tables))
        at = at + xp.reshape(first, (*tables.shape[:-1], *(1,) * (indices.ndim - tables.ndim + 1)))
    found = xp.take(xp.reshape(tables, (-1,)), xp.reshape(at, (-1,)), axis=0)
    return xp.reshape(found, indices.shape)
