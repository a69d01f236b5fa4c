"""Intervals of means, by bootstrap."""

import numpy as np
from numpy.typing import NDArray

SAMPLES = 2000


def interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Of the mean over the first axis, 95 %: what lies between the quantiles of means of values drawn again."""
    drawn = np.random.default_rng(0).integers(0, len(values), (SAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), (0.025, 0.975))
    return float(low), float(high)
