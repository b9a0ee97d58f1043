"""How many channels each group keeps, and which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

Scope = Literal["local", "global"]
MIN_WIDTH = 8
_GLOBAL_FLOOR = 0.25  # a ranking over all layers may not starve one: below this the network collapses (Tanaka 2020)
_LARGEST_LOSS = 0.9  # MobileNet's rule: rounding may take at most a tenth


def round_width(wanted: float, width: int, round_to: int) -> int:
    """Return the multiple of `round_to` near `wanted`, at least 8, at most `width`.

    It is the rule of MobileNet's reference code: to the nearest multiple, but to the next one up where that would
    be less than 0.9 of what is wanted. A result of `width` or more is `width`, whatever it is a multiple of.
    """
    if wanted >= width:
        return width
    least = -(-MIN_WIDTH // round_to) * round_to
    rounded = max(least, int(wanted + round_to / 2) // round_to * round_to)
    if rounded < _LARGEST_LOSS * wanted:
        rounded += round_to
    return min(rounded, width)


def allocate(scores: Mapping[str, Tensor], keep: float, scope: Scope, round_to: int) -> dict[str, Tensor]:
    """Return the channels each group keeps, as ascending channel numbers.

    Args:
        scores: root name of the group -> score per channel, [C].
        keep: share of channels, 0 < keep <= 1, before rounding.
        scope: `local` gives every group this share; `global` keeps the best of all channels, but at least a quarter
            of each group.
        round_to: widths become multiples of this (or stay as they are).
    """
    wanted = _global_widths(scores, keep) if scope == "global" else {n: keep * len(s) for n, s in scores.items()}
    return {name: _best(score, round_width(wanted[name], len(score), round_to)) for name, score in scores.items()}


def _best(score: Tensor, count: int) -> Tensor:
    # a stable sort: equal scores are decided by channel number, on every machine
    return torch.sort(torch.sort(score, descending=True, stable=True).indices[:count]).values


def _global_widths(scores: Mapping[str, Tensor], keep: float) -> dict[str, float]:
    names: Sequence[str] = list(scores)
    everything = torch.cat([scores[name] for name in names])
    owner = torch.cat([torch.full((len(scores[name]),), index) for index, name in enumerate(names)])
    best = torch.sort(everything, descending=True, stable=True).indices[: round(keep * len(everything))]
    counts = torch.bincount(owner[best], minlength=len(names)).tolist()
    return {
        name: max(float(count), _GLOBAL_FLOOR * len(scores[name])) for name, count in zip(names, counts, strict=True)
    }
