"""Finds the range of every activation from pictures: two passes, one for the extremes and one for histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from compress.errors import StageError
from compress.quantize.fake_quant import QMAX, UNIT_GRID, Grid
from compress.quantize.points import GATED, RangeGroup
from compress.quantize.rewrites import GATE_SHIFT, GATE_TOP
from compress.quantize.torch_graph import TorchGraph

BINS = 2048
# Fractions of the seen extreme that are tried as the end of the range.
FRACTIONS = np.linspace(0.10, 1.0, 91)
ROUNDS = 3  # of the search over one end, then the other

Batches = Callable[[], Iterable[Tensor]]  # images [N, 3, H, W]; called once per pass
RangeRule = Literal["mse", "minmax"]


@dataclass(frozen=True)
class Histogram:
    """How often values fell into equal bins between low and high."""

    low: float
    high: float
    counts: np.ndarray  # [BINS]

    def centres(self) -> np.ndarray:
        """Return the middle of each bin [BINS]."""
        width = (self.high - self.low) / BINS
        return np.asarray(self.low + width * (np.arange(BINS) + 0.5))


def calibrate(
    graph: TorchGraph, groups: tuple[RangeGroup, ...], batches: Batches, rule: RangeRule = "mse"
) -> dict[RangeGroup, Grid]:
    """Return a grid per group, from float runs over the batches.

    Raises:
        StageError: a tensor held NaN or infinity, or was the same number in every place of every picture's input.
    """
    group_of = {name: group for group in groups for name in group.tensors}
    extremes = _extremes(graph, group_of, batches)
    low, high = extremes[groups[0]]
    if low == high:
        raise StageError(f"all calibration pictures are one constant colour ({low:g}); ranges cannot be found on them")
    grids: dict[RangeGroup, Grid] = {}
    histograms = _histograms(graph, group_of, extremes, batches) if rule == "mse" else {}
    for group in groups:
        if group.unit:
            grids[group] = UNIT_GRID
        elif rule == "minmax":
            grids[group] = Grid.of_range(*extremes[group])
        else:
            grids[group] = best_grid(histograms[group], group.curve)
    return grids


def _extremes(
    graph: TorchGraph, group_of: Mapping[str, RangeGroup], batches: Batches
) -> dict[RangeGroup, tuple[float, float]]:
    found: dict[RangeGroup, tuple[float, float]] = {}

    def observe(name: str, value: Tensor) -> Tensor:
        if (group := group_of.get(name)) is not None:
            low, high = (float(end) for end in torch.aminmax(value))
            if not np.isfinite([low, high]).all():
                raise StageError(f"the tensor '{name}' holds NaN or infinity on the calibration pictures")
            before = found.get(group, (low, high))
            found[group] = min(low, before[0]), max(high, before[1])
        return value

    _run(graph, batches, observe)
    return found


def _histograms(
    graph: TorchGraph,
    group_of: Mapping[str, RangeGroup],
    extremes: Mapping[RangeGroup, tuple[float, float]],
    batches: Batches,
) -> dict[RangeGroup, Histogram]:
    counts: dict[RangeGroup, np.ndarray] = {}

    def observe(name: str, value: Tensor) -> Tensor:
        if (group := group_of.get(name)) is not None:
            low, high = extremes[group]
            seen = torch.histc(value.float(), BINS, low, high if high > low else low + 1.0).double().numpy()
            counts[group] = counts.get(group, np.zeros(BINS)) + seen
        return value

    _run(graph, batches, observe)
    return {group: Histogram(*_open(extremes[group]), counts[group]) for group in counts}


def _open(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    return (low, high) if high > low else (low, low + 1.0)


def _run(graph: TorchGraph, batches: Batches, observe: Callable[[str, Tensor], Tensor]) -> None:
    with torch.inference_mode():
        for images_NCHW in batches():
            graph.run(images_NCHW, observe, lambda name, weight: weight)


def best_grid(histogram: Histogram, curve: str | None) -> Grid:
    """Return the grid with the least squared error, measured after the curve that follows.

    Under hard-swish everything below -3 becomes zero, so that no step of the grid need be spent on it.
    """
    centres, weights = histogram.centres(), histogram.counts
    apply = _CURVES[curve]
    wanted = apply(centres)

    def error(low: float, high: float) -> float:
        grid = Grid.of_range(low, high)
        steps = np.clip(np.round(centres / grid.scale) + grid.zero_point, 0, QMAX) - grid.zero_point
        return float(np.sum(weights * (apply(steps * grid.scale) - wanted) ** 2))

    low, high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    lows, highs = low * FRACTIONS, high * FRACTIONS
    if curve is not None:
        lows = np.append(np.maximum(lows, _DEAD[curve]), max(low, _DEAD[curve]))
    for _ in range(ROUNDS):
        high = float(min(highs, key=lambda end: error(low, end)))
        low = float(min(lows, key=lambda end: error(end, high)))
    return Grid.of_range(low, high)


# Below these the curve is zero and flat.
_DEAD = {"HardSwish": -3.0, "HardSigmoid": -3.0, GATED: -GATE_SHIFT}


def _hard_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.clip(x / 6.0 + 0.5, 0.0, 1.0)


def _gated(u: np.ndarray) -> np.ndarray:
    return u * np.clip(u + GATE_SHIFT, 0.0, GATE_TOP)


_CURVES: dict[str | None, Callable[[np.ndarray], np.ndarray]] = {
    GATED: _gated,
    None: lambda x: x,
    "HardSwish": lambda x: x * _hard_sigmoid(x),
    "HardSigmoid": _hard_sigmoid,
}
