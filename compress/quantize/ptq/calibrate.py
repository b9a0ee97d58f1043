"""Finds the range of every activation from images: two passes, one for the extremes and one for histograms.

Shape suffixes: N images, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import onnx
import torch
from torch import Tensor

from compress.errors import StageError
from compress.quantize.ptq.importance import Moments, channel_importance
from compress.quantize.ptq.ranges import BINS, RangeHistogram, RangeRule, grid_by_rule
from compress.quantize.qdq.fake_quant import UNIT_GRID, Grid
from compress.quantize.qdq.quantizer_setup import RangeGroup
from compress.quantize.qdq.torch_graph import TorchGraph

Batches = Callable[[], Iterable[Tensor]]  # images [N, 3, H, W]; called once per pass


def calibrate(
    model: onnx.ModelProto,
    groups: tuple[RangeGroup, ...],
    batches: Batches,
    rule: RangeRule = "mse",
    percentile: float = 99.99,
) -> dict[RangeGroup, Grid]:
    """Return a grid per group of a float model, from runs over the batches; `percentile` is read by that rule alone.

    Raises:
        StageError: a tensor held NaN or infinity, or was the same number in every place of every image's input.
    """
    graph = TorchGraph(model)
    group_of = {name: group for group in groups for name in group.tensors}
    sums: dict[str, _Sums] = {}
    extremes = _extremes(graph, group_of, batches, sums if rule == "mse" else None)
    low, high = extremes[groups[0]]
    if low == high:
        raise StageError(f"all calibration images are one constant colour ({low:g}); ranges cannot be found on them")
    grids: dict[RangeGroup, Grid] = {}
    importance = channel_importance(model, {name: seen.moments() for name, seen in sums.items()})
    histograms = _histograms(graph, group_of, extremes, batches, importance) if rule != "minmax" else {}
    for group in groups:
        if group.unit:
            grids[group] = UNIT_GRID
        elif rule == "minmax":
            grids[group] = Grid.of_range(*extremes[group])
        else:
            grids[group] = grid_by_rule(rule, histograms[group], group.curve, percentile)
    return grids


class _Sums:
    """Sums over a tensor's images and places, by channel."""

    def __init__(self, channels: int) -> None:
        self._count = 0
        self._sum_C = torch.zeros(channels, dtype=torch.float64)
        self._squares_C = torch.zeros(channels, dtype=torch.float64)

    def add(self, value: Tensor) -> None:
        places = [0, *range(2, value.ndim)]
        self._count += value.numel() // value.shape[1]
        self._sum_C += value.sum(places)
        self._squares_C += value.square().sum(places)

    def moments(self) -> Moments:
        power_C = self._squares_C / self._count
        return Moments((power_C - (self._sum_C / self._count).square()).clamp(min=0.0), power_C)


def _extremes(
    graph: TorchGraph, group_of: Mapping[str, RangeGroup], batches: Batches, sums: dict[str, _Sums] | None
) -> dict[RangeGroup, tuple[float, float]]:
    """Return the least and greatest value of each group; `sums`, where given, is filled with those of every tensor."""
    found: dict[RangeGroup, tuple[float, float]] = {}
    without_channels = 3 if len(graph.outputs) > 1 else None  # a detector's [N, A, 4]

    def observe(name: str, value: Tensor) -> Tensor:
        if (group := group_of.get(name)) is not None:
            low, high = (float(end) for end in torch.aminmax(value))
            if not np.isfinite([low, high]).all():
                raise StageError(f"the tensor '{name}' holds NaN or infinity on the calibration images")
            before = found.get(group, (low, high))
            found[group] = min(low, before[0]), max(high, before[1])
        if sums is not None and value.ndim > 1 and value.ndim != without_channels:
            sums.setdefault(name, _Sums(value.shape[1])).add(value)
        return value

    _run(graph, batches, observe)
    return found


def _histograms(
    graph: TorchGraph,
    group_of: Mapping[str, RangeGroup],
    extremes: Mapping[RangeGroup, tuple[float, float]],
    batches: Batches,
    importance_C: Mapping[str, Tensor],
) -> dict[RangeGroup, RangeHistogram]:
    """Return how often values were seen, each time counted by the importance of its channel where that is known."""
    counts: dict[RangeGroup, np.ndarray] = {}

    def observe(name: str, value: Tensor) -> Tensor:
        if (group := group_of.get(name)) is not None:
            low, high = _open(extremes[group])
            if name in importance_C:
                seen = _weighted_counts(value, low, high, importance_C[name])
            else:
                seen = torch.histc(value.float(), BINS, low, high).double().numpy()
            counts[group] = counts.get(group, np.zeros(BINS)) + seen
        return value

    _run(graph, batches, observe)
    return {group: RangeHistogram(*_open(extremes[group]), counts[group]) for group in counts}


def _weighted_counts(value: Tensor, low: float, high: float, importance_C: Tensor) -> np.ndarray:
    bins = ((value - low) * (BINS / (high - low))).long().clamp_(0, BINS - 1)
    weights = importance_C.reshape(1, -1, *[1] * (value.ndim - 2)).expand(value.shape)
    return torch.bincount(bins.reshape(-1), weights.reshape(-1), BINS).numpy()


def _open(ends: tuple[float, float]) -> tuple[float, float]:
    low, high = ends
    return (low, high) if high > low else (low, low + 1.0)


def _run(graph: TorchGraph, batches: Batches, observe: Callable[[str, Tensor], Tensor]) -> None:
    with torch.inference_mode():
        for images_NCHW in batches():
            graph.run(images_NCHW, observe, lambda name, weight: weight)
