"""From a budget to widths: which share of the channels fits, and what each group keeps of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor

from compress.errors import StageError
from compress.prune.allocate import Scores, best_channels
from compress.prune.budget import ARITHMETIC_STEPS, MEASURED_STEPS, Cost, largest_keep, nearest_keep
from compress.prune.cost import Costs

Unit = Literal["keep", "macs", "params", "latency_ms"]
Curve = Callable[[float], dict[str, Tensor]]  # share of the full channels, 0..1 -> channels kept; grows with the share
Measure = Callable[[Mapping[str, Tensor]], float]  # channels kept -> milliseconds
_UNITS: dict[Unit, tuple[str, int]] = {"macs": ("MACs", 0), "params": ("parameters", 0), "latency_ms": ("ms", 3)}


@dataclass(frozen=True)
class PruningBudget:
    """What the pruned network may cost.

    Attributes:
        unit: `keep` is the share of channels itself; `macs` and `params` are counted, `latency_ms` is measured.
        limit: in that unit; a share for `keep`, else absolute.
        option: that set it, for messages.
        asked: value of the option, which the limit is proportional to.
        nearest: come as near as possible instead of staying below.
    """

    unit: Unit
    limit: float
    option: str = "keep"
    asked: float = 1.0
    nearest: bool = False

    def after(self, full: float, part: float) -> PruningBudget:
        """Return the budget of a round: geometrically between the full cost and the limit, `part` 0..1 of the way."""
        return replace(self, limit=full * (self.limit / full) ** part)


def cost_of(unit: Unit, curve: Curve, costs: Costs, measure: Measure) -> Cost:
    """Return the cost in this unit as a function of the share of channels; equal widths are measured once."""
    if unit == "keep":
        return lambda share: share
    if unit == "latency_ms":
        return _remembered(curve, measure)
    return lambda share: costs.count(unit, curve(share))


def choose(budget: PruningBudget, cost: Cost) -> float:
    """Return the share of channels that the budget allows; it must be one that can be met."""
    if budget.unit == "keep":
        return budget.limit
    if budget.nearest:
        return nearest_keep(cost, budget.limit)
    steps = MEASURED_STEPS if budget.unit == "latency_ms" else ARITHMETIC_STEPS
    return largest_keep(cost, budget.limit, steps)


def require_reachable(budget: PruningBudget, cost: Cost) -> None:
    """Refuse a budget that even the smallest network does not fit.

    Raises:
        StageError: says what was asked for and what can be had.
    """
    if budget.unit == "keep" or budget.nearest or (smallest := cost(0.0)) <= budget.limit:
        return
    name, digits = _UNITS[budget.unit]
    reachable = math.ceil(1000 * budget.asked * smallest / budget.limit) / 1000
    raise StageError(
        f"{budget.option}: {budget.asked:g} cannot be met: that is {budget.limit:,.{digits}f} {name}, and the smallest "
        f"network that min_width, round_to, protect and allocation allow has {smallest:,.{digits}f}",
        hint=f"{budget.option} can be {reachable:g} here; or lower min_width or round_to, protect fewer layers, or "
        "start from a smaller network",
    )


def path_curve(path: Sequence[Mapping[str, int]], scores: Scores) -> Curve:
    """Return the curve along a path of widths, from whole to narrowest, as `sensitivity.cheapest_cuts` finds it.

    Args:
        path: root -> width; shares are counted from the first widths.
        scores: of the channels that are there now.
    """
    present = {root: len(score) for root, score in scores.items()}
    states = [
        best_channels(scores, {root: min(width, present[root]) for root, width in widths.items()}) for widths in path
    ]
    sizes = [sum(len(channels) for channels in kept.values()) for kept in states]
    full = sum(path[0].values())

    def curve(share: float) -> dict[str, Tensor]:
        limit = share * full
        return next((kept for kept, size in zip(states, sizes, strict=True) if size <= limit), states[-1])

    return curve


def _remembered(curve: Curve, measure: Measure) -> Cost:
    """Return the measured cost of a share; equal widths are measured once."""
    found: dict[tuple[int, ...], float] = {}

    def cost(share: float) -> float:
        kept = curve(share)
        widths = tuple(len(channels) for channels in kept.values())
        if widths not in found:
            found[widths] = measure(kept)
        return found[widths]

    return cost
