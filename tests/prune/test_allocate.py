from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.prune.allocate import MIN_WIDTH, allocate, round_width


@pytest.mark.parametrize(
    ("wanted", "width", "round_to", "expected"),
    [
        (11.2, 16, 8, 16),  # 8 would lose more than a tenth
        (61.6, 88, 8, 64),
        (50.4, 72, 8, 48),
        (3.0, 64, 8, 8),
        (3.0, 6, 8, 6),  # narrower than the minimum: as it was
        (9.8, 14, 8, 14),  # rounded up beyond the width: as it was
        (16.8, 24, 16, 16),
        (16.8, 24, 1, 17),
        (72.0, 72, 8, 72),
    ],
)
def test_widths_follow_mobilenets_rule(wanted, width, round_to, expected):
    assert round_width(wanted, width, round_to) == expected


@given(st.integers(1, 2048), st.floats(0.01, 1.0), st.sampled_from([1, 3, 4, 8, 16]))
def test_a_rounded_width_is_a_multiple_or_the_width(width, keep, round_to):
    result = round_width(keep * width, width, round_to)
    assert result == width or result % round_to == 0
    assert min(width, MIN_WIDTH) <= result <= width
    assert round_width(width, width, round_to) == width


def test_local_keeps_the_best_of_each_group():
    scores = {"a": torch.arange(16.0), "b": torch.arange(32.0).flip(0)}
    kept = allocate(scores, 0.5, "local", 8)
    assert kept["a"].tolist() == list(range(8, 16))
    assert kept["b"].tolist() == list(range(16))


def test_global_ranks_all_channels_but_starves_no_group():
    scores = {"poor": torch.linspace(0.0, 0.1, 64), "rich": torch.linspace(1.0, 2.0, 64)}
    kept = allocate(scores, 0.5, "global", 8)
    assert kept["rich"].tolist() == list(range(64))
    assert kept["poor"].tolist() == list(range(48, 64))


def test_equal_scores_are_decided_by_channel_number():
    assert allocate({"a": torch.ones(32)}, 0.5, "local", 8)["a"].tolist() == list(range(16))


@pytest.mark.parametrize("scope", ["local", "global"])
def test_keeping_all_keeps_all(scope):
    scores = {"a": torch.rand(20), "b": torch.rand(8)}
    kept = allocate(scores, 1.0, scope, 8)
    assert {name: len(index) for name, index in kept.items()} == {"a": 20, "b": 8}
