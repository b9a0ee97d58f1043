"""`PrunableNetwork`: a trained network seen as groups of channels that are scored, counted, and cut out of a copy."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from torch import Tensor, nn

from compress.engine.losses import Loss
from compress.errors import StageError, UsageError
from compress.models.fold import fold_batch_norm
from compress.prune.cost import Costs, Kept
from compress.prune.groups import ChannelGraph, ChannelGroup
from compress.prune.images import Batches
from compress.prune.importance import (
    LayerScores,
    bn_scale_scores,
    fisher_scores,
    group_scores,
    norm_scores,
    taylor_scores,
)

Importance = Literal["l1", "l2", "bn_scale", "taylor", "fisher"]
MEASURED: frozenset[Importance] = frozenset({"taylor", "fisher"})  # these look at images
_FEW_NAMES = 6


@dataclass(frozen=True)
class GroupRow:
    """One line of the table: how many channels a group of layers had and has, and whether it was free to lose any."""

    root: str
    layers: tuple[str, ...]
    before: int
    after: int
    protected: bool


class PrunableNetwork:
    """One network: its groups, which of them may lose channels, and what they cost."""

    def __init__(
        self, model: nn.Module, input_chw: tuple[int, int, int], *, heads: Sequence[str], protected: Sequence[str] = ()
    ) -> None:
        """Find the groups of coupled layers.

        Args:
            model: on the CPU; not changed.
            input_chw: size of one image.
            heads: module names of the layers that give the answers, whose outputs stay.
            protected: patterns of layers whose outputs stay.

        Raises:
            UsageError: a pattern names no layer.
            StageError: a grouped convolution that is not depthwise, or one with a depth multiplier.
        """
        _check_patterns(protected, model)
        _refuse_grouped(model)
        self._model, self._input_chw, self._heads = model, input_chw, heads
        self.groups: Sequence[ChannelGroup] = ChannelGraph(copy.deepcopy(model), input_chw).groups(heads)
        self.free = [group for group in self.groups if not _is_protected(group, protected)]
        self.costs = Costs(model, input_chw, self.groups)

    def widths(self) -> dict[str, int]:
        """Return root -> width of the groups that may lose channels."""
        return {group.root: group.width for group in self.free}

    def structures(self) -> dict[str, object]:
        """Return root -> what the group is made of; equal for groups that differ in width and place alone."""
        return {group.root: _structure(group, self._model) for group in self.free}

    def scores(self, importance: Importance, loss: Loss, batches: Batches = ()) -> dict[str, Tensor]:
        """Return root -> score per channel of the groups that may lose some, see `compress.prune.importance`.

        Args:
            importance: what a channel is worth.
            loss: of a batch, see `taylor_scores`.
            batches: read by the measures in `MEASURED` alone.

        Raises:
            StageError: the network has no batch norm and the importance is `bn_scale`.
        """
        folded = fold_batch_norm(self._model, self._input_chw)
        norms = norm_scores(folded, 2 if importance == "l2" else 1)
        chosen: LayerScores = norms
        if importance == "bn_scale":
            chosen = bn_scale_scores(self._model)
        elif importance == "taylor":
            chosen = taylor_scores(folded, loss, batches)
        elif importance == "fisher":
            chosen = fisher_scores(folded, loss, batches)
        # What was measured is all in units of the loss; norms are comparable only relative to their own layer.
        normalise = importance not in MEASURED
        return {group.root: _scores(group, chosen, norms, normalise=normalise) for group in self.free}

    def cut(self, kept: Kept) -> nn.Module:
        """Return a copy of the network in eval mode with these channels alone."""
        narrow = copy.deepcopy(self._model)
        graph = ChannelGraph(narrow, self._input_chw)
        for group in graph.groups(self._heads):
            if group.root in kept:
                graph.cut(group, kept[group.root])
        return narrow

    def rows(self, left: Mapping[str, int]) -> tuple[GroupRow, ...]:
        """Return one row per group, for root -> width left of the groups that could lose channels."""
        return tuple(
            GroupRow(
                group.root,
                group.makes(),
                group.width,
                left.get(group.root, group.width),
                protected=group.root not in left,
            )
            for group in self.groups
        )


def _scores(group: ChannelGroup, chosen: LayerScores, norms: LayerScores, *, normalise: bool) -> Tensor:
    score = group_scores(group, chosen, normalise=normalise)
    if score is None:  # bn_scale has no opinion on squeeze widths and hidden linears
        score = group_scores(group, norms, normalise=normalise)
    if score is None:
        raise RuntimeError(f"no layer of the group of {group.root} has a score")
    return score


def _structure(group: ChannelGroup, model: nn.Module) -> tuple[object, ...]:
    sides = []
    for member in group.members:
        module = model.get_submodule(member.layer)
        kernel = module.kernel_size if isinstance(module, nn.Conv2d) else ()
        depthwise = isinstance(module, nn.Conv2d) and module.groups > 1
        sides.append((member.role, member.gate, type(module).__name__, kernel, depthwise))
    return tuple(sides)


def _is_protected(group: ChannelGroup, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer, pattern) for layer in group.makes() for pattern in patterns)


def _refuse_grouped(model: nn.Module) -> None:
    for name, module in model.named_modules():
        plain = not isinstance(module, nn.Conv2d) or module.groups == 1
        if not (plain or module.groups == module.in_channels == module.out_channels):
            raise StageError(
                f"layer '{name}' is a convolution of {module.groups} groups from {module.in_channels} to "
                f"{module.out_channels} channels: its channels cannot be cut",
                hint="allowed are plain and depthwise convolutions, as all architectures of `imgc train` have",
            )


def _check_patterns(patterns: Sequence[str], model: nn.Module) -> None:
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for pattern in patterns:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            near = difflib.get_close_matches(pattern, layers, n=_FEW_NAMES, cutoff=0.4) or layers[:_FEW_NAMES]
            raise UsageError(
                f"protect: '{pattern}' names no layer of this network", hint=f"it has, among others: {', '.join(near)}"
            )
