"""From a budget to widths: which share of the channels fits, and what each group keeps of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from compress.prune.allocate import Scores, best_channels
from compress.prune.budget import ARITHMETIC_STEPS, MEASURED_STEPS, largest_keep, nearest_keep
from compress.prune.cost import Costs

Unit = Literal["keep", "macs", "params", "latency_ms"]
Curve = Callable[[float], dict[str, Tensor]]  # share of the full channels, 0..1 -> channels kept; grows with the share
Measure = Callable[[Mapping[str, Tensor]], float]  # channels kept -> milliseconds


@dataclass(frozen=True)
class Budget:
    """What the pruned network may cost.

    Attributes:
        unit: `keep` is the share of channels itself; `macs` and `params` are counted, `latency_ms` is measured.
        limit: in that unit; a share for `keep`, else absolute.
        nearest: come as near as possible instead of staying below.
    """

    unit: Unit
    limit: float
    nearest: bool = False

    def after(self, full: float, part: float) -> Budget:
        """Return the budget of a round: geometrically between the full cost and the limit, `part` 0..1 of the way."""
        return replace(self, limit=full * (self.limit / full) ** part)


def choose(budget: Budget, curve: Curve, costs: Costs, measure: Measure) -> tuple[float, dict[str, Tensor]]:
    """Return the share of channels that the budget allows, and which stay.

    Raises:
        StageError: even the smallest network does not fit.
    """
    if budget.unit == "keep":
        share = budget.limit
    elif budget.unit == "latency_ms":
        share = largest_keep(_remembered(curve, measure), budget.limit, MEASURED_STEPS)
    else:
        unit = budget.unit

        def counted(share: float) -> float:
            return costs.count(unit, curve(share))

        share = (
            nearest_keep(counted, budget.limit)
            if budget.nearest
            else largest_keep(counted, budget.limit, ARITHMETIC_STEPS)
        )
    return share, curve(share)


def path_curve(path: Sequence[Mapping[str, int]], scores: Scores, costs: Costs) -> Curve:
    """Return the curve along a path of widths, from whole to narrowest, as `sensitivity.cheapest_cuts` finds it."""
    present = {root: len(score) for root, score in scores.items()}
    states = [
        best_channels(scores, {root: min(width, present[root]) for root, width in widths.items()}) for widths in path
    ]
    sizes = [costs.count("channels", kept) for kept in states]

    def curve(share: float) -> dict[str, Tensor]:
        limit = share * sizes[0]
        return next((kept for kept, size in zip(states, sizes, strict=True) if size <= limit), states[-1])

    return curve


def _remembered(curve: Curve, measure: Measure) -> Callable[[float], float]:
    """Return the measured cost of a share; equal widths are measured once."""
    found: dict[tuple[int, ...], float] = {}

    def cost(share: float) -> float:
        kept = curve(share)
        widths = tuple(len(channels) for channels in kept.values())
        if widths not in found:
            found[widths] = measure(kept)
        return found[widths]

    return cost
