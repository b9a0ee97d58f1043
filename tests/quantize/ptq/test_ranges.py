from __future__ import annotations

import numpy as np
import pytest

from compress.quantize.ptq.ranges import (
    ROUNDS,
    RangeHistogram,
    _least,
    best_grid,
    entropy_range,
    grid_by_rule,
    percentile_range,
)


def _histogram(values: np.ndarray) -> RangeHistogram:
    counts, _ = np.histogram(values, bins=2048, range=(values.min(), values.max()))
    return RangeHistogram(float(values.min()), float(values.max()), counts.astype(float))


def test_mse_gives_up_a_lone_outlier():
    values = np.append(np.random.default_rng(0).normal(size=1_000_000), 30.0)
    grid = best_grid(_histogram(values), None)
    assert grid.scale * 255 < 20


def test_mse_keeps_the_ends_of_an_even_distribution():
    grid = best_grid(_histogram(np.random.default_rng(0).uniform(-2, 6, 100_000)), None)
    assert grid.scale * 255 == pytest.approx(8.0, rel=0.02)


def test_under_hard_swish_nothing_is_spent_below_minus_three():
    values = np.random.default_rng(0).uniform(-30, 6, 200_000)
    plain, aware = best_grid(_histogram(values), None), best_grid(_histogram(values), "HardSwish")
    assert -plain.zero_point * plain.scale < -25
    assert -aware.zero_point * aware.scale == pytest.approx(-3.0, abs=0.1)


def test_a_percentile_leaves_its_share_outside():
    values = np.random.default_rng(0).normal(size=1_000_000)
    low, high = percentile_range(_histogram(values), 99.0)
    assert np.mean((values >= low) & (values <= high)) == pytest.approx(0.99, abs=0.002)
    assert percentile_range(_histogram(values), 100.0) == pytest.approx((values.min(), values.max()), abs=0.01)


def test_entropy_keeps_an_even_distribution_whole_and_gives_up_a_lone_outlier():
    rng = np.random.default_rng(0)
    low, high = entropy_range(_histogram(rng.uniform(-2, 6, 100_000)))
    assert (low, high) == pytest.approx((-2.0, 6.0), rel=0.06)
    low, high = entropy_range(_histogram(np.append(rng.normal(size=1_000_000), 30.0)))
    assert high < 20


@pytest.mark.parametrize("rule", ["mse", "percentile", "entropy"])
def test_no_rule_spends_a_step_below_the_dead_end_of_hard_swish(rule):
    values = np.random.default_rng(0).uniform(-30, 6, 200_000)
    grid = grid_by_rule(rule, _histogram(values), "HardSwish", 99.99)
    assert -grid.zero_point * grid.scale == pytest.approx(-3.0, abs=0.1)
    assert grid.scale * (255 - grid.zero_point) > 4.0


def test_a_percentile_ends_at_the_edges_of_the_bins_that_it_keeps():
    even = RangeHistogram(0.0, 2048.0, np.ones(2048))
    assert percentile_range(even, 50.0) == (512.0, 1536.0)
    assert percentile_range(even, 100.0) == (0.0, 2048.0)


@pytest.mark.parametrize("pull", [0.0, 0.5])
def test_the_shorter_search_ends_where_that_of_all_rounds_and_candidates_does(pull):
    """With no pull between the ends, one round is enough; with one, each round moves both."""

    def error(low: float, high: float) -> float:
        return (low + 1.0) ** 2 + (high - 1.0) ** 2 + pull * low * high

    ends = np.repeat(np.linspace(0.1, 4.0, 40), 3)
    found, wanted = _least(error, -4.0, -ends, ends), []
    low = -4.0
    for _ in range(ROUNDS):
        high = min(ends, key=lambda end: error(low, end))
        low = min(-ends, key=lambda end: error(end, high))
        wanted.append((low, high))
    assert found == wanted[-1]
    assert (wanted[0] == wanted[-1]) == (pull == 0.0)
