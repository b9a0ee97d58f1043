from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from compress.prune.allocate import MIN_WIDTH, Ranking, Widths, allocate, best_channels, round_width


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


@given(st.integers(1, 512), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.sampled_from([1, 8, 16]))
def test_rounding_keeps_the_order_of_widths(width, one, other, round_to):
    less, more = sorted((one * width, other * width))
    assert round_width(less, width, round_to) <= round_width(more, width, round_to)


def test_a_minimum_that_is_no_multiple_is_rounded_up():
    assert round_width(3.0, 64, 8, least=12) == 16
    assert round_width(3.0, 10, 8, least=12) == 10


def _allocate(scores, keep, scope="local", structures=None, full=None, **rules):
    widths = Widths(full or {root: len(score) for root, score in scores.items()}, **rules)
    return allocate(scores, keep, Ranking(scope, structures or {}), widths)


def test_local_keeps_the_best_of_each_group():
    scores = {"a": torch.arange(16.0), "b": torch.arange(32.0).flip(0)}
    kept = _allocate(scores, 0.5)
    assert kept["a"].tolist() == list(range(8, 16))
    assert kept["b"].tolist() == list(range(16))


def test_global_ranks_all_channels_but_starves_no_group():
    scores = {"poor": torch.linspace(0.0, 0.1, 64), "rich": torch.linspace(1.0, 2.0, 64)}
    kept = _allocate(scores, 0.5, "global")
    assert kept["rich"].tolist() == list(range(64))
    assert kept["poor"].tolist() == list(range(48, 64))


def test_isomorphic_ranks_among_groups_built_alike_alone():
    scores = {
        "poor": torch.linspace(0.0, 0.1, 64),
        "rich": torch.linspace(1.0, 2.0, 64),
        "other": torch.linspace(90.0, 99.0, 32),
    }
    kept = _allocate(scores, 0.5, "isomorphic", {"poor": "a", "rich": "a", "other": "b"})
    assert {root: len(channels) for root, channels in kept.items()} == {"poor": 16, "rich": 64, "other": 16}


def test_equal_scores_are_decided_by_channel_number():
    assert _allocate({"a": torch.ones(32)}, 0.5)["a"].tolist() == list(range(16))
    assert best_channels({"a": torch.tensor([1.0, 2.0, 2.0, 3.0])}, {"a": 2})["a"].tolist() == [1, 3]


@pytest.mark.parametrize("scope", ["local", "global", "isomorphic"])
def test_keeping_all_keeps_all(scope):
    scores = {"a": torch.rand(20), "b": torch.rand(8)}
    kept = _allocate(scores, 1.0, scope, {"a": 1, "b": 1})
    assert {name: len(index) for name, index in kept.items()} == {"a": 20, "b": 8}


@pytest.mark.parametrize("scope", ["local", "global"])
def test_in_a_later_round_the_share_is_of_the_full_width(scope):
    """Half of 64, when 48 are left, is 32 and not 24; more than is left is what is left."""
    scores = {"a": torch.arange(48.0), "b": torch.arange(48.0)}
    full = {"a": 64, "b": 64}
    kept = _allocate(scores, 0.5, scope, full=full)
    assert {root: len(channels) for root, channels in kept.items()} == {"a": 32, "b": 32}
    kept = _allocate(scores, 0.9, scope, full=full)
    assert {root: len(channels) for root, channels in kept.items()} == {"a": 48, "b": 48}


@given(
    st.floats(0.0, 1.0),
    st.floats(0.0, 1.0),
    st.sampled_from(["local", "global", "isomorphic"]),
    st.integers(0, 1000),
)
def test_a_larger_share_keeps_all_that_a_smaller_one_keeps(one, other, scope, seed):
    generator = torch.Generator().manual_seed(seed)
    widths = {"a": 16, "b": 40, "c": 64, "d": 9}
    scores = {root: torch.rand(width, generator=generator) * width for root, width in widths.items()}
    structures = {"a": 1, "b": 1, "c": 2, "d": 2}
    less, more = (_allocate(scores, share, scope, structures) for share in sorted((one, other)))
    for root in widths:
        assert set(less[root].tolist()) <= set(more[root].tolist())
