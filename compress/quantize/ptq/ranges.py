"""Rules that pick the grid of a tensor from the histogram of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from compress.graph.operators import CURVES, HARD_SIGMOID, HARD_SWISH, OPERATORS
from compress.quantize.ptq.rewrites import GATE_SHIFT, GATE_TOP
from compress.quantize.qdq.fake_quant import QMAX, Grid
from compress.quantize.qdq.quantizer_setup import GATED

BINS = 2048
# Fractions of the seen extreme that are tried as the end of the range.
FRACTIONS = np.linspace(0.10, 1.0, 91)
ROUNDS = 3  # of the search over one end, then the other

RangeRule = Literal["mse", "minmax", "percentile", "entropy"]


@dataclass(frozen=True)
class RangeHistogram:
    """How often values fell into equal bins between low and high, or how much those that did matter together."""

    low: float
    high: float
    counts: np.ndarray  # [BINS]

    def centres(self) -> np.ndarray:
        """Return the middle of each bin [BINS]."""
        width = (self.high - self.low) / BINS
        return np.asarray(self.low + width * (np.arange(BINS) + 0.5))


def grid_by_rule(rule: RangeRule, histogram: RangeHistogram, curve: str | None, percentile: float) -> Grid:
    """Return the grid that a rule other than `minmax` (which needs no histogram) picks.

    Args:
        rule: `mse`, `percentile` or `entropy`.
        histogram: of the tensor's values.
        curve: what follows the tensor; under hard-swish no rule spends a step on what becomes zero.
        percentile: share of the values inside the range, in percent, for that rule.
    """
    if rule == "mse":
        return best_grid(histogram, curve)
    low, high = percentile_range(histogram, percentile) if rule == "percentile" else entropy_range(histogram)
    return Grid.of_range(max(low, _DEAD[curve] if curve else low), high)


def percentile_range(histogram: RangeHistogram, percentile: float) -> tuple[float, float]:
    """Return the ends between which the middle `percentile` percent of the values lie."""
    share = np.cumsum(histogram.counts) / histogram.counts.sum()
    outside = (100.0 - percentile) / 200.0
    edges = np.linspace(histogram.low, histogram.high, BINS + 1)
    first = int(np.searchsorted(share, outside, side="right"))
    last = int(np.searchsorted(share, 1.0 - outside, side="left"))
    return float(edges[first]), float(edges[min(last + 1, BINS)])


def entropy_range(histogram: RangeHistogram) -> tuple[float, float]:
    """Return the ends whose 256 levels keep the distribution best.

    Best is the least Kullback-Leibler divergence of the clipped histogram from the one its levels can express
    (Migacz, 8-bit inference with TensorRT, 2017); one end is searched, then the other.
    """
    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    return _least(lambda low, high: _divergence(histogram, low, high), low, low * FRACTIONS, high * FRACTIONS)


def _least(
    error: Callable[[float, float], float], low: float, lows: np.ndarray, highs: np.ndarray
) -> tuple[float, float]:
    """Return the ends with the least error; the upper is searched from `low`, then the other, `ROUNDS` times."""
    # often most are equal: a tensor behind a ReLU has no values below zero
    some_lows, some_highs = list(dict.fromkeys(lows.tolist())), list(dict.fromkeys(highs.tolist()))
    for _ in range(ROUNDS):
        start = low
        high = min(some_highs, key=lambda end: error(start, end))
        low = min(some_lows, key=lambda end: error(end, high))
        if low == start:
            break  # the next round would find the same
    return low, high


def _divergence(histogram: RangeHistogram, low: float, high: float) -> float:
    centres, counts = histogram.centres(), histogram.counts
    inside = (centres >= low) & (centres <= high)
    if not counts[inside].any():
        return float("inf")
    clipped = counts[inside].copy()
    clipped[0] += counts[centres < low].sum()
    clipped[-1] += counts[centres > high].sum()
    levels = np.clip(((centres[inside] - low) / max(high - low, 1e-12) * (QMAX + 1)).astype(int), 0, QMAX)
    # each level spreads what it holds over the bins that held anything
    held = np.bincount(levels, weights=counts[inside], minlength=QMAX + 1)
    bins = np.bincount(levels, weights=counts[inside] > 0, minlength=QMAX + 1)
    expressed = np.where(counts[inside] > 0, held[levels] / np.maximum(bins[levels], 1.0), 0.0)
    p, q = clipped / clipped.sum(), expressed / max(expressed.sum(), 1e-12)
    known = p > 0
    return float(np.sum(p[known] * np.log(p[known] / np.maximum(q[known], 1e-12))))


def best_grid(histogram: RangeHistogram, curve: str | None) -> Grid:
    """Return the grid with the least squared error, measured after the curve that follows.

    Under hard-swish everything below -3 becomes zero, so that no step of the grid need be spent on it.
    """
    centres, weights = histogram.centres(), histogram.counts
    apply = _CURVES[curve]
    wanted = apply(centres)

    rounded = np.empty_like(centres)  # one buffer: this runs some hundred times for every tensor of a network

    def error(low: float, high: float) -> float:
        grid = Grid.of_range(low, high)
        np.rint(np.divide(centres, grid.scale, out=rounded), out=rounded)
        # the same numbers as clipped to 0..QMAX with the zero point added
        np.minimum(np.maximum(rounded, -grid.zero_point, out=rounded), QMAX - grid.zero_point, out=rounded)
        off = apply(np.multiply(rounded, grid.scale, out=rounded))
        off = np.subtract(off, wanted, out=rounded)
        return float(np.multiply(weights, np.square(off, out=rounded), out=rounded).sum())

    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    lows, highs = low * FRACTIONS, high * FRACTIONS
    if curve is not None:
        lows = np.append(np.maximum(lows, _DEAD[curve]), max(low, _DEAD[curve]))
    return Grid.of_range(*_least(error, low, lows, highs))


# Below these the curve is zero and flat.
_DEAD = {name: float(OPERATORS[name].zero_below or 0.0) for name in CURVES} | {GATED: -GATE_SHIFT}


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _gated(u: np.ndarray) -> np.ndarray:
    return u * np.clip(u + GATE_SHIFT, 0.0, GATE_TOP)


_CURVES: dict[str | None, Callable[[np.ndarray], np.ndarray]] = {
    GATED: _gated,
    None: lambda x: x,
    HARD_SWISH: lambda x: x * _hard_sigmoid(x),
    HARD_SIGMOID: _hard_sigmoid,
}
