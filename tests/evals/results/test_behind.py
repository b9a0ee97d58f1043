from __future__ import annotations

from evals.results.behind import behind, middle, siblings
from tests.evals.blocks import block

ROWS = [
    {"model": "a", "top1": 80.0, "ratio": (0.9, 0.8, 1.0)},
    {"model": "a-sibling", "top1": 81.0, "ratio": (0.8, 0.7, 1.0)},
    {"model": "b", "top1": 90.0, "ratio": (0.5, 0.4, 0.6)},
    {"model": "b-sibling", "top1": 85.0, "ratio": (0.5, 0.4, 0.6)},
]


def test_a_row_stands_beside_its_sibling():
    assert [(own["model"], other["model"]) for own, other in siblings(ROWS, "model")] == [
        ("a", "a-sibling"),
        ("b", "b-sibling"),
    ]


def test_only_the_pairs_that_are_lost_are_told_in_each_column():
    one = block(ROWS)
    pairs = siblings(one.rows, "model")
    assert behind(one, pairs, {"top1": "higher", "ratio": "lower"}, ["model"]) == [
        'Where ours is behind. In "top1": a 80.00 against a-sibling 81.00. '
        'In "ratio": a 0.90 (0.80-1.00) against a-sibling 0.80 (0.70-1.00).'
    ]
    assert behind(one, pairs[1:], {"ratio": "lower"}, ["model"]) == []
    assert behind(one, pairs[1:], {"ratio": "higher"}, ["model"]) == [], "as good is not behind"
    assert behind(one, pairs[1:], {"top1": "lower"}, ["model"]) != []


def test_several_that_are_ahead_of_one_stand_together():
    one = block(ROWS)
    ours, *others = one.rows
    (text,) = behind(one, [(ours, other) for other in others], {"top1": "higher"}, ["model"])
    assert text.endswith("a 80.00 against a-sibling 81.00, b 90.00, b-sibling 85.00.")


def test_what_was_not_measured_loses_nothing():
    one = block([{"model": "a", "top1": 80.0}, {"model": "b", "top1": "failed"}, {"model": "c"}])
    ours, *others = one.rows
    assert behind(one, [(ours, other) for other in others], {"top1": "higher"}, ["model"]) == []
    assert behind(one, [(other, ours) for other in others], {"top1": "higher"}, ["model"]) == []


def test_an_interval_without_a_middle_is_no_number():
    assert middle((1.0, 2.0)) is None
    assert middle((1.0, 0.5, 2.0)) == 1
    assert middle(3) == 3
