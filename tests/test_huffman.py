import heapq
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyjpegdiff.huffman import AC_SYMBOLS, DC_SYMBOLS, LONGEST, STANDARD_AC, STANDARD_DC, optimal_lengths

FIBONACCI = [1, 1]
while len(FIBONACCI) < 40:
    FIBONACCI.append(FIBONACCI[-1] + FIBONACCI[-2])


def kraft(lengths):
    return sum(Fraction(1, 2 ** int(bits)) for bits in lengths if bits)


def least_bits(counts):
    """The cost of Huffman's code without a limit, by the sums of its merges."""
    heap = [int(count) for count in counts if count]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        merged = heapq.heappop(heap) + heapq.heappop(heap)
        total += merged
        heapq.heappush(heap, merged)
    return total


@pytest.mark.parametrize("lengths", [*STANDARD_DC, *STANDARD_AC])
def test_standard_codes_have_every_symbol_and_leave_the_code_of_all_ones(lengths):
    symbols = {symbol for symbol, bits in enumerate(lengths) if bits}
    if len(lengths) == DC_SYMBOLS:
        assert symbols == set(range(12))
    else:
        assert len(lengths) == AC_SYMBOLS
        assert symbols == {16 * run + c for run in range(16) for c in range(1, 11)} | {0x00, 0xF0}
    assert kraft(lengths) == 1 - Fraction(1, 2 ** max(lengths))


@given(st.lists(st.integers(0, 3000), min_size=1, max_size=256).filter(any))
def test_optimal_codes_are_shortest(counts):
    lengths = optimal_lengths(np.array(counts))
    assert [bool(bits) for bits in lengths] == [bool(count) for count in counts]
    assert kraft(lengths) <= 1 - Fraction(1, 2 ** int(max(lengths)))
    if max(lengths) < LONGEST:
        # With the additional symbol, whose own code is one of the longest.
        assert int(lengths @ counts) + max(lengths) == least_bits([*counts, 1])


@pytest.mark.parametrize("symbols", [17, 20, 25, 32])
def test_codes_of_steep_counts_are_limited(symbols):
    counts = np.array(FIBONACCI[1 : symbols + 1])
    lengths = optimal_lengths(counts)
    assert max(lengths) == LONGEST
    assert kraft(lengths) == 1 - Fraction(1, 2**LONGEST)
    assert (np.diff(lengths) <= 0).all()
    assert int(lengths @ counts) > least_bits(counts)


def test_one_symbol_takes_one_bit():
    assert optimal_lengths(np.array([0, 5, 0])).tolist() == [0, 1, 0]
