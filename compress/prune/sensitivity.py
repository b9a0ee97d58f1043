"""What each group can spare: accuracy and loss with the channels of one group alone switched off.

Switching off is exact: a channel whose makers have zero weights and bias is zero behind every activation used here
(they map zero to zero) and every gate (it is multiplied), so the layers that read it see what a cut leaves.
Suffixes: N images, H and W pixels, K classes, M channels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor, nn

from compress.core.stage import Reporter
from compress.prune.allocate import Scores, Widths, best_channels
from compress.prune.cost import Costs, Countable
from compress.prune.groups import ChannelGroup

LEVELS = (0.875, 0.75, 0.625, 0.5, 0.375, 0.25)  # shares of its full width that a group is cut to


@dataclass(frozen=True)
class WidthPoint:
    """One group at one width.

    Attributes:
        width: channels left on.
        keep: their share of the group's full width.
        top1_pct: accuracy, 0..100.
        loss: mean cross entropy, in nats.
    """

    width: int
    keep: float
    top1_pct: float
    loss: float


@dataclass(frozen=True)
class GroupSensitivity:
    """Accuracy against keep for every group, all others whole.

    Attributes:
        images: number of images.
        whole: the network with all channels; width and keep are of no group and 1.
        curves: root of a group -> its points from wide to narrow.
        layers: root of a group -> its layers.
    """

    images: int
    whole: WidthPoint
    curves: Mapping[str, tuple[WidthPoint, ...]]
    layers: Mapping[str, tuple[str, ...]]

    def as_json(self) -> dict[str, object]:
        """Return it as JSON data."""
        groups = [
            {"group": root, "layers": list(self.layers[root]), "points": [vars(point) for point in points]}
            for root, points in self.curves.items()
        ]
        whole = {"top1_pct": self.whole.top1_pct, "loss": self.whole.loss}
        return {"images": self.images, "judged_on": "train", "whole": whole, "groups": groups}


def measure_sensitivity(
    folded: nn.Module,
    groups: Sequence[ChannelGroup],
    scores: Scores,
    widths: Widths,
    batches: Sequence[tuple[Tensor, Tensor]],
    reporter: Reporter,
) -> GroupSensitivity:
    """Switch off the least important channels of one group after another, at each of `LEVELS`.

    Args:
        folded: from `fold_batch_norm`; as it was afterwards.
        groups: those that may lose channels.
        scores: root -> importance of each channel.
        widths: how widths are rounded; levels that round to the same width are measured once.
        batches: images [N, 3, H, W] and labels [N].
        reporter: shows progress.
    """
    whole = _judge(folded, batches)
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
                    top1, loss = _judge(folded, batches)
                points.append(WidthPoint(width, width / full, top1, loss))
            curves[group.root] = tuple(points)
            advance(1, group.root)
    images = sum(len(labels_N) for _, labels_N in batches)
    layers = {group.root: group.makes() for group in groups}
    return GroupSensitivity(images, WidthPoint(0, 1.0, *whole), curves, layers)


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


def _judge(model: nn.Module, batches: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return top-1 in percent and the mean cross entropy."""
    right, loss, count = 0, 0.0, 0
    with torch.inference_mode():
        for images_NCHW, labels_N in batches:
            logits_NK = model(images_NCHW.contiguous(memory_format=torch.channels_last))
            right += int((logits_NK.argmax(1) == labels_N).sum())
            loss += float(F.cross_entropy(logits_NK, labels_N, reduction="sum"))
            count += len(labels_N)
    return 100.0 * right / count, loss / count


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
