"""How many channels each group keeps, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["local", "global", "isomorphic"]
Scores = Mapping[str, Tensor]  # root of a group -> score per channel, [C]
MIN_WIDTH = 8
_POOL_FLOOR = 0.25  # a ranking over many layers may not starve one: below this the network collapses (Tanaka 2020)
_LARGEST_LOSS = 0.9  # MobileNet's rule: rounding may take at most a tenth


@dataclass(frozen=True)
class Widths:
    """The rules for widths.

    Attributes:
        full: root of a group -> the width that shares are counted from: the network's before the first round.
        round_to: widths become multiples of this (or stay as they are).
        least: no group gets narrower than this, unless it is already.
    """

    full: Mapping[str, int]
    round_to: int = 8
    least: int = MIN_WIDTH

    def allowed(self, wanted: float, width: int) -> int:
        """Return the width nearest to `wanted` that the rules allow, at most `width`."""
        return round_width(wanted, width, self.round_to, self.least)


@dataclass(frozen=True)
class Ranking:
    """Which channels compete with which.

    Attributes:
        scope: `local` gives every group the same share of its channels; `global` keeps the best of all channels;
            `isomorphic` keeps the best among the groups of equal structure (Fang 2024, Isomorphic Pruning for Vision
            Models, section 3.2), since scores of unlike layers are not comparable.
        structures: root of a group -> what it is made of; read by `isomorphic` alone.
    """

    scope: Scope = "local"
    structures: Mapping[str, object] = field(default_factory=dict)

    def pools(self, scores: Scores) -> list[list[str]]:
        """Return the roots of the groups that are ranked together."""
        found: dict[object, list[str]] = {}
        for root in scores:
            found.setdefault(self._pool(root), []).append(root)
        return list(found.values())

    def _pool(self, root: str) -> object:
        match self.scope:
            case "local":
                return root
            case "global":
                return None
            case "isomorphic":
                return self.structures[root]


def round_width(wanted: float, width: int, round_to: int, least: int = MIN_WIDTH) -> int:
    """Return the multiple of `round_to` near `wanted`, at least `least`, at most `width`.

    It is the rule of MobileNet's reference code: to the nearest multiple, but to the next one up where that would
    be less than 0.9 of what is wanted. A result of `width` or more is `width`, whatever it is a multiple of.
    """
    if wanted >= width:
        return width
    smallest = -(-least // round_to) * round_to
    rounded = max(smallest, int(wanted + round_to / 2) // round_to * round_to)
    if rounded < _LARGEST_LOSS * wanted:
        rounded += round_to
    return min(rounded, width)


def allocate(scores: Scores, keep: float, ranking: Ranking, widths: Widths) -> dict[str, Tensor]:
    """Return the channels each group keeps, as ascending channel numbers.

    Args:
        scores: of the channels that are there now.
        keep: share of the full widths, 0 < keep <= 1, before rounding. Where channels compete, each group keeps at
            least a quarter of it.
        ranking: which channels compete.
        widths: what shares are counted from, and how widths are rounded.
    """
    wanted: dict[str, float] = {}
    for pool in ranking.pools(scores):
        wanted |= _pool_widths({root: scores[root] for root in pool}, keep, widths.full)
    return best_channels(scores, {root: widths.allowed(wanted[root], len(score)) for root, score in scores.items()})


def best_channels(scores: Scores, counts: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the best-scored channels of each group, ascending; equal scores are decided by channel number."""
    # a stable sort: the same on every machine
    return {
        root: torch.sort(torch.sort(score, descending=True, stable=True).indices[: counts[root]]).values
        for root, score in scores.items()
    }


def _pool_widths(scores: Scores, keep: float, full: Mapping[str, int]) -> dict[str, float]:
    roots = list(scores)
    if len(roots) == 1:
        return {roots[0]: keep * full[roots[0]]}
    everything = torch.cat([scores[root] for root in roots])
    owner = torch.cat([torch.full((len(scores[root]),), index) for index, root in enumerate(roots)])
    count = round(keep * sum(full[root] for root in roots))
    best = torch.sort(everything, descending=True, stable=True).indices[:count]
    counts = torch.bincount(owner[best], minlength=len(roots)).tolist()
    floor = _POOL_FLOOR if keep >= _POOL_FLOOR else keep
    return {root: max(float(number), floor * full[root]) for root, number in zip(roots, counts, strict=True)}
