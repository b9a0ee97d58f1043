"""From a budget to the share of channels that fits it."""

from __future__ import annotations

from collections.abc import Callable

Cost = Callable[[float], float]  # share of channels kept -> what that costs; does not fall when the share grows
ARITHMETIC_STEPS = 24
MEASURED_STEPS = 8  # each costs an export and a measurement; the share is then known to 0.4 %


def largest_keep(cost: Cost, limit: float, steps: int) -> float:
    """Return the largest share of channels, 0..1, whose cost is at most `limit`, found by bisection.

    Args:
        cost: of a share; of 0 it is the cost of the smallest network that the rules allow, which must be within the
            limit.
        limit: in the units of the cost.
        steps: halvings; the share is known to 2^-steps.
    """
    if cost(1.0) <= limit:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) <= limit else (low, middle)
    return low


def nearest_keep(cost: Cost, wanted: float) -> float:
    """Return the share of channels, 0..1, whose cost is nearest to `wanted`; of equals, the smaller.

    Args:
        cost: of a share.
        wanted: in the units of the cost.
    """
    if cost(0.0) >= wanted:
        return 0.0
    below = largest_keep(cost, wanted, ARITHMETIC_STEPS)
    above = min(1.0, below + 2.0**-ARITHMETIC_STEPS)  # the first share that costs more
    return below if wanted - cost(below) <= cost(above) - wanted else above
