"""Percentiles of a sample with their intervals, without an assumption about its distribution."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, sqrt

import numpy as np

_Z95 = 1.96


def percentile(values: Sequence[float], rank: float) -> float | None:
    """Return the percentile, None of nothing."""
    return float(np.percentile(values, rank)) if values else None


def percentile_ci95(values: Sequence[float], rank: float) -> tuple[float, float] | None:
    """Return the 95 % interval of a percentile; None where the sample is too small for it to have both ends.

    The number of values below the true percentile is binomial; its interval, taken as normal, gives the two ranks
    (Hahn and Meeker 1991, "Statistical Intervals", section 5.2). The 99th percentile needs about 400 values.

    Args:
        values: in any order.
        rank: of the percentile, 0..100.
    """
    n, share = len(values), rank / 100
    middle, reach = n * share, _Z95 * sqrt(n * share * (1 - share))
    low, high = floor(middle - reach), floor(middle + reach) + 1  # counted from 1
    if low < 1 or high > n:
        return None
    ordered = sorted(values)
    return ordered[low - 1], ordered[high - 1]
