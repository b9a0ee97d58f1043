from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.prune.budget import ARITHMETIC_STEPS, largest_keep, nearest_keep

ONE_STEP = 2.0**-ARITHMETIC_STEPS


def _steps(share: float) -> float:
    """Jump at 0.25, 0.5 and 0.75, as rounded widths do."""
    return 10.0 * int(share * 4)


@pytest.mark.parametrize(("limit", "share"), [(0.0, 0.25), (5.0, 0.25), (10.0, 0.5), (20.0, 0.75), (39.9, 1.0)])
def test_the_largest_share_lies_just_below_the_first_jump_too_many(limit, share):
    found = largest_keep(_steps, limit, ARITHMETIC_STEPS)
    assert share - ONE_STEP <= found < share
    assert _steps(found) <= limit < _steps(found + ONE_STEP)


def test_a_budget_for_all_keeps_all():
    asked = []

    def cost(share):
        asked.append(share)
        return 40.0 * share

    assert largest_keep(cost, 40.0, 8) == 1.0
    assert asked == [1.0], "nothing else is measured"


def test_each_halving_asks_once():
    asked = []

    def cost(share):
        asked.append(share)
        return share

    assert largest_keep(cost, 0.3, 8) == pytest.approx(0.3, abs=2**-8)
    assert len(asked) == 1 + 8


jumps = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 100.0)), max_size=6)


@given(jumps, st.floats(0.0, 300.0), st.floats(0.0, 10.0))
def test_of_any_cost_that_does_not_fall_the_largest_share_within_is_found(steps, limit, slope):
    def cost(share):
        return slope * share + sum(height for place, height in steps if share >= place)

    if cost(0.0) > limit:
        return
    found = largest_keep(cost, limit, ARITHMETIC_STEPS)
    assert cost(found) <= limit
    assert found == 1.0 or cost(found + ONE_STEP) > limit


@given(jumps, st.floats(0.0, 300.0))
def test_nothing_is_nearer_than_the_nearest(steps, wanted):
    def cost(share):
        return sum(height for place, height in steps if share >= place)

    found = nearest_keep(cost, wanted)
    distance = abs(cost(found) - wanted)
    for share in (0.0, 1.0, *(place for place, _ in steps), *(max(0.0, place - 2 * ONE_STEP) for place, _ in steps)):
        between = [other for other, _ in steps if 0 < abs(other - share) <= 2 * ONE_STEP]
        assert between or distance <= abs(cost(share) - wanted)


@pytest.mark.parametrize(
    ("wanted", "cost"), [(-1.0, 0.0), (4.9, 0.0), (5.0, 0.0), (5.1, 10.0), (14.0, 10.0), (26.0, 30.0), (99.0, 40.0)]
)
def test_the_nearest_may_cost_more_and_of_equals_the_smaller_is_taken(wanted, cost):
    assert _steps(nearest_keep(_steps, wanted)) == cost
