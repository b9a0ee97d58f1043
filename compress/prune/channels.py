"""`prune_channels`: a trained network in, a narrower copy of it out, and what was kept where."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from torch import Tensor, nn

from compress.errors import UsageError
from compress.models.fold import fold_batch_norm
from compress.prune.allocate import Scope, allocate
from compress.prune.groups import ChannelGraph, ChannelGroup
from compress.prune.importance import LayerScores, bn_scale_scores, group_scores, norm_scores, taylor_scores

Importance = Literal["l1", "l2", "bn_scale", "taylor"]
Batches = Iterable[tuple[Tensor, Tensor]]  # images_NCHW, labels_N
_FEW_NAMES = 6


@dataclass(frozen=True)
class GroupRow:
    """One line of the table: how many channels a group of layers had and has, and why all where it kept all."""

    layers: tuple[str, ...]
    before: int
    after: int
    protected: bool


def prune_channels(
    model: nn.Module,
    input_chw: tuple[int, int, int],
    *,
    keep: float,
    importance: Importance,
    scope: Scope,
    round_to: int,
    head: str,
    protected: Sequence[str],
    batches: Batches = (),
) -> tuple[nn.Module, tuple[GroupRow, ...]]:
    """Return a narrower copy of the network in eval mode, and one row per group of coupled layers.

    Args:
        model: on the CPU; not changed.
        input_chw: size of one image.
        keep: share of channels kept, 0 < keep <= 1, before rounding.
        importance: what a channel is worth, see `compress.prune.importance`.
        scope: `local` or `global`, see `allocate`.
        round_to: widths become multiples of this.
        head: module name of the classifier, whose outputs stay.
        protected: patterns of layers whose outputs stay.
        batches: images_NCHW and labels_N; read by `taylor` alone.

    Raises:
        UsageError: a pattern names no layer.
        StageError: the network has no batch norm and the importance is `bn_scale`.
    """
    narrow = copy.deepcopy(model)
    graph = ChannelGraph(narrow, input_chw)
    groups = graph.groups(head)
    _check_patterns(protected, narrow)
    free = [group for group in groups if not _is_protected(group, protected)]
    kept = allocate(_scores(model, input_chw, free, importance, batches), keep, scope, round_to)
    rows = []
    for group in groups:
        after = len(kept[group.root]) if group.root in kept else group.width
        rows.append(GroupRow(group.makes(), group.width, after, protected=group.root not in kept))
        if group.root in kept:
            graph.cut(group, kept[group.root])
    return narrow, tuple(rows)


def _scores(
    model: nn.Module,
    input_chw: tuple[int, int, int],
    groups: Sequence[ChannelGroup],
    importance: Importance,
    batches: Batches,
) -> dict[str, Tensor]:
    folded = fold_batch_norm(model, input_chw)
    norms = norm_scores(folded, 2 if importance == "l2" else 1)
    chosen: LayerScores = norms
    if importance == "bn_scale":
        chosen = bn_scale_scores(model)
    elif importance == "taylor":
        chosen = taylor_scores(folded, batches)
    # Taylor's votes are all in units of the loss; others are comparable only relative to their own layer.
    normalise = importance != "taylor"
    scores = {}
    for group in groups:
        score = group_scores(group, chosen, normalise=normalise)
        if score is None:  # bn_scale has no opinion on squeeze widths and hidden linears
            score = group_scores(group, norms, normalise=normalise)
        if score is None:
            raise RuntimeError(f"no layer of the group of {group.root} has a score")
        scores[group.root] = score
    return scores


def _is_protected(group: ChannelGroup, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(layer, pattern) for layer in group.makes() for pattern in patterns)


def _check_patterns(patterns: Sequence[str], model: nn.Module) -> None:
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for pattern in patterns:
        if not any(fnmatchcase(layer, pattern) for layer in layers):
            near = difflib.get_close_matches(pattern, layers, n=_FEW_NAMES, cutoff=0.4) or layers[:_FEW_NAMES]
            raise UsageError(
                f"protect: '{pattern}' names no layer of this network", hint=f"it has, among others: {', '.join(near)}"
            )
