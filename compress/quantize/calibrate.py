"""Finds the range of every activation from pictures: two passes, one for the extremes and one for histograms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from compress.errors import StageError
from compress.quantize.fake_quant import UNIT_GRID, Grid
from compress.quantize.points import RangeGroup
from compress.quantize.ranges import BINS, Histogram, RangeRule, grid_by_rule
from compress.quantize.torch_graph import TorchGraph

Batches = Callable[[], Iterable[Tensor]]  # images [N, 3, H, W]; called once per pass


def calibrate(
    graph: TorchGraph,
    groups: tuple[RangeGroup, ...],
    batches: Batches,
    rule: RangeRule = "mse",
    percentile: float = 99.99,
) -> dict[RangeGroup, Grid]:
    """Return a grid per group, from float runs over the batches; `percentile` is read by that rule alone.

    Raises:
        StageError: a tensor held NaN or infinity, or was the same number in every place of every picture's input.
    """
    group_of = {name: group for group in groups for name in group.tensors}
    extremes = _extremes(graph, group_of, batches)
    low, high = extremes[groups[0]]
    if low == high:
        raise StageError(f"all calibration pictures are one constant colour ({low:g}); ranges cannot be found on them")
    grids: dict[RangeGroup, Grid] = {}
    histograms = _histograms(graph, group_of, extremes, batches) if rule != "minmax" else {}
    for group in groups:
        if group.unit:
            grids[group] = UNIT_GRID
        elif rule == "minmax":
            grids[group] = Grid.of_range(*extremes[group])
        else:
            grids[group] = grid_by_rule(rule, histograms[group], group.curve, percentile)
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
