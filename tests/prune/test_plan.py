from __future__ import annotations

from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from compress.errors import StageError
from compress.models.build import arch_info
from compress.prune.allocate import Ranking, Widths, allocate
from compress.prune.plan import PruningBudget, choose, cost_of, path_curve, require_reachable
from compress.prune.prunable_network import PrunableNetwork


@pytest.fixture(scope="module")
def planned(lively):
    """Return a tiny prunable network, and its widths as a function of the share."""
    model, spec = lively("tiny", 48)
    info = arch_info("tiny")
    network = PrunableNetwork(model, spec.input_chw, heads=[info.head], protected=(info.stem,))
    scores, widths = network.scores("l2", cross_entropy), Widths(network.widths())
    return network, lambda share: allocate(scores, share, Ranking(), widths)


def _no_measure(kept):
    raise AssertionError("nothing is to be measured")


def test_a_share_of_the_channels_is_itself(planned):
    network, curve = planned
    cost = cost_of("keep", curve, network.costs, _no_measure)
    budget = PruningBudget("keep", 0.35)
    require_reachable(budget, cost)
    assert choose(budget, cost) == 0.35


@pytest.mark.parametrize("unit", ["macs", "params"])
@pytest.mark.parametrize("part", [0.25, 0.5, 0.9, 1.0])
def test_counted_budgets_are_kept_and_used_up(planned, unit, part):
    network, curve = planned
    cost = cost_of(unit, curve, network.costs, _no_measure)
    limit = part * network.costs.count(unit, {})
    share = choose(PruningBudget(unit, limit), cost)
    assert network.costs.count(unit, curve(share)) <= limit
    assert share == 1.0 or network.costs.count(unit, curve(share + 2**-24)) > limit


@pytest.mark.slow
def test_a_sibling_comes_as_near_as_it_can(planned):
    network, curve = planned
    cost = cost_of("macs", curve, network.costs, _no_measure)
    every = {cost(share / 1000) for share in range(1001)}
    wanted = 0.47 * cost(1.0)
    found = cost(choose(PruningBudget("macs", wanted, nearest=True), cost))
    assert abs(found - wanted) == min(abs(other - wanted) for other in every)


def test_latency_is_measured_once_for_equal_widths_and_never_above_the_limit(planned):
    network, curve = planned
    measured = Counter()

    def measure(kept):
        measured[tuple(len(channels) for channels in kept.values())] += 1
        return network.costs.count("macs", kept) / 1e6

    cost = cost_of("latency_ms", curve, network.costs, measure)
    budget = PruningBudget("latency_ms", 0.5 * cost(1.0), "target_latency_ms", 0.5 * cost(1.0))
    require_reachable(budget, cost)
    share = choose(budget, cost)
    assert cost(share) <= budget.limit
    assert set(measured.values()) == {1}
    assert 3 <= len(measured) <= 2 + 8
    assert network.costs.count("macs", curve(share)) / 1e6 == cost(share)


@pytest.mark.parametrize(
    ("unit", "option", "name"), [("macs", "target_macs", "MACs"), ("params", "target_params", "parameters")]
)
def test_a_budget_that_cannot_be_met_says_what_can(planned, unit, option, name):
    network, curve = planned
    cost = cost_of(unit, curve, network.costs, _no_measure)
    full, smallest = cost(1.0), cost(0.0)
    with pytest.raises(StageError) as caught:
        require_reachable(PruningBudget(unit, 0.01 * full, option, 0.01), cost)
    assert f"{option}: 0.01 cannot be met: that is {0.01 * full:,.0f} {name}" in caught.value.message
    assert f"has {smallest:,}" in caught.value.message
    can = float(caught.value.hint.removeprefix(f"{option} can be ").split()[0])
    assert 0 <= can - smallest / full < 0.0011
    require_reachable(PruningBudget(unit, can * full, option, can), cost)
    assert "min_width" in caught.value.hint


def test_a_latency_that_cannot_be_had_is_told_in_milliseconds(planned):
    network, curve = planned
    cost = cost_of("latency_ms", curve, network.costs, lambda kept: 1.2345)
    with pytest.raises(
        StageError, match=r"target_latency_ms: 0\.5 cannot be met: that is 0\.500 ms.* has 1\.2"
    ) as caught:
        require_reachable(PruningBudget("latency_ms", 0.5, "target_latency_ms", 0.5), cost)
    assert caught.value.hint.startswith("target_latency_ms can be 1.235 here")
    require_reachable(PruningBudget("latency_ms", 1.235, "target_latency_ms", 1.235), cost)


def test_rounds_approach_the_budget_by_equal_factors():
    budget = PruningBudget("macs", 250.0, "target_macs", 0.25)
    limits = [budget.after(1000.0, part / 2).limit for part in (0, 1, 2)]
    assert limits == pytest.approx([1000.0, 500.0, 250.0])
    assert budget.after(1000.0, 1.0).unit == "macs"
    assert PruningBudget("macs", 1.0, nearest=True).after(4.0, 0.5).nearest


PATH = [{"a": 32, "b": 64}, {"a": 32, "b": 32}, {"a": 16, "b": 32}, {"a": 16, "b": 16}]
SCORES = {"a": torch.arange(32.0), "b": torch.arange(64.0).flip(0)}


@pytest.mark.parametrize(
    ("share", "state"), [(1.0, 0), (0.99, 1), (64 / 96, 1), (0.6, 2), (0.5, 2), (0.4, 3), (1 / 3, 3), (0.0, 3)]
)
def test_a_path_gives_the_first_widths_that_fit_the_share(share, state):
    kept = path_curve(PATH, SCORES)(share)
    assert {root: len(channels) for root, channels in kept.items()} == PATH[state]
    assert kept["b"].tolist() == list(range(PATH[state]["b"]))


def test_in_a_later_round_a_path_counts_from_the_first_widths():
    """With 48 of 96 channels left, half is all of them."""
    scores = {"a": torch.arange(16.0), "b": torch.arange(32.0)}
    curve = path_curve(PATH, scores)
    assert {root: len(channels) for root, channels in curve(0.5).items()} == {"a": 16, "b": 32}
    assert {root: len(channels) for root, channels in curve(0.4).items()} == {"a": 16, "b": 16}
    assert {root: len(channels) for root, channels in curve(1.0).items()} == {"a": 16, "b": 32}


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_along_a_path_a_larger_share_keeps_all_that_a_smaller_one_keeps(one, other):
    curve = path_curve(PATH, SCORES)
    less, more = (curve(share) for share in sorted((one, other)))
    assert all(set(less[root].tolist()) <= set(more[root].tolist()) for root in SCORES)
