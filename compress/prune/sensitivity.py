"""What each group can spare: accuracy and loss with the channels of one group alone switched off.

Switching off is exact: a channel whose makers have zero weights and bias is zero behind every activation used here
(they map zero to zero) and every gate (it is multiplied), so the layers that read it see what a cut leaves.
Suffix: M channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from compress.core.stage import Reporter
from compress.prune.allocate import Scores, Widths, best_channels
from compress.prune.cost import Costs, Countable
from compress.prune.groups import ChannelGroup
from compress.prune.images import PruneImages

LEVELS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # shares of its full width that a group is cut to


@dataclass(frozen=True)
class WidthPoint:
    """One group at one width.

    Attributes:
        width: channels left on.
        keep: their share of the group's full width.
        accuracy_pct: 0..100.
        loss: mean; cross entropy in nats, or a detector's.
    """

    width: int
    keep: float
    accuracy_pct: float
    loss: float


@dataclass(frozen=True)
class GroupSensitivity:
    """Accuracy against keep for every group, all others whole.

    Attributes:
        images: number of images.
        whole: the network with all channels; width and keep are of no group and 1.
        curves: root of a group -> its points from wide to narrow.
        layers: root of a group -> its layers.
        metric: what accuracy is, "top1" or "map".
    """

    images: int
    whole: WidthPoint
    curves: Mapping[str, tuple[WidthPoint, ...]]
    layers: Mapping[str, tuple[str, ...]]
    metric: str = "top1"

    def as_json(self) -> dict[str, object]:
        """Return it as JSON data."""
        groups = [
            {"group": root, "layers": list(self.layers[root]), "points": [self._point(point) for point in points]}
            for root, points in self.curves.items()
        ]
        whole = {f"{self.metric}_pct": self.whole.accuracy_pct, "loss": self.whole.loss}
        return {"images": self.images, "judged_on": "train", "whole": whole, "groups": groups}

    def _point(self, point: WidthPoint) -> dict[str, float]:
        accuracy = {f"{self.metric}_pct": point.accuracy_pct}
        return {"width": point.width, "keep": point.keep, **accuracy, "loss": point.loss}


def measure_sensitivity(
    folded: nn.Module,
    groups: Sequence[ChannelGroup],
    scores: Scores,
    widths: Widths,
    images: PruneImages,
    reporter: Reporter,
) -> GroupSensitivity:
    """Switch off the least important channels of one group after another, at each of `LEVELS`.

    Args:
        folded: from `fold_batch_norm`; as it was afterwards.
        groups: those that may lose channels.
        scores: root -> importance of each channel.
        widths: how widths are rounded; levels that round to the same width are measured once.
        images: that judge.
        reporter: shows progress.
    """
    whole = images.judge(folded)
    curves: dict[str, tuple[WidthPoint, ...]] = {}
    with reporter.progress("sensitivity", len(groups)) as advance:
        for group in groups:
            full = widths.full[group.root]
            steps = sorted(
                {widths.allowed(level * full, group.width) for level in LEVELS} - {group.width}, reverse=True
            )
            points = []
            for width in steps:
                kept = best_channels({group.root: scores[group.root]}, {group.root: width})[group.root]
                with _switched_off(folded, group, kept):
                    accuracy, loss = images.judge(folded)
                points.append(WidthPoint(width, width / full, accuracy, loss))
            curves[group.root] = tuple(points)
            advance(1, group.root)
    layers = {group.root: group.makes() for group in groups}
    return GroupSensitivity(images.judged, WidthPoint(0, 1.0, *whole), curves, layers, images.metric)


def cheapest_cuts(
    found: GroupSensitivity, costs: Costs, what: Countable, full: Mapping[str, int]
) -> list[dict[str, int]]:
    """Return root -> width, whole network first, each next one narrower in one group, until all are narrowest.

    Each step takes the cut that adds the least loss for what it saves, as a group's cut is judged with all other
    groups whole: losses are taken to add up. A group may skip levels, so that a bad one does not hide a good one.

    Args:
        found: the measured curves.
        costs: of the network.
        what: that is to be saved.
        full: root -> width before any cut.
    """
    state = dict(full)
    loss = dict.fromkeys(full, found.whole.loss)
    path = [dict(state)]
    while True:
        now = costs.count(what, _leading(state))
        moves = [
            (
                max(0.0, point.loss - loss[root]) / (now - costs.count(what, _leading({**state, root: point.width}))),
                root,
                point,
            )
            for root, points in found.curves.items()
            for point in points
            if point.width < state[root]
        ]
        if not moves:
            return path
        _, root, point = min(moves, key=lambda move: move[0])
        state[root] = point.width
        loss[root] = max(loss[root], point.loss)
        path.append(dict(state))


def _leading(widths: Mapping[str, int]) -> dict[str, Tensor]:
    """Return channels of these widths; which ones does not matter for what they cost."""
    return {root: torch.arange(width) for root, width in widths.items()}


@contextmanager
def _switched_off(model: nn.Module, group: ChannelGroup, kept: Tensor) -> Iterator[None]:
    """Set the makers of all other channels of the group to zero inside the block."""
    gone = torch.ones(group.width, dtype=torch.bool)
    gone[kept] = False
    saved: list[tuple[Tensor, Tensor]] = []
    for member in group.members:
        layer = model.get_submodule(member.layer)
        if member.role != "out" or not isinstance(layer, nn.Conv2d | nn.Linear):
            continue
        rows_M = member.own[gone[member.root]]
        for parameter in (layer.weight, layer.bias):
            if parameter is not None:
                saved.append((parameter.data, parameter.data.clone()))
                parameter.data[rows_M] = 0.0
    try:
        yield
    finally:
        for data, before in saved:
            data.copy_(before)
