"""Curves of precision against recall, from the answers."""

from __future__ import annotations

from statistics import fmean

import pytest

from compress.report.precision_curves import MAX_CURVES, find_curves
from tests.report.box_run import LABELS, box_answers


def test_the_mean_curve_of_each_model_with_the_baseline_first(tmp_path) -> None:
    answers = box_answers(tmp_path)
    found = find_curves(answers, "train", ["export"])
    assert [one.stage for one in found] == ["train", "export"]
    nut, screw = (answers.precision["export"][LABELS[index]] for index in (0, 2))
    assert found[1].mean == pytest.approx([(a + b) / 2 for a, b in zip(nut, screw, strict=True)])
    assert found[1].classes == {LABELS[2]: screw, LABELS[0]: nut}, "the screw lost most"
    assert list(found[1].classes) == [LABELS[2], LABELS[0]]


def test_classes_are_bounded_and_those_that_lost_most_stay(tmp_path) -> None:
    given = box_answers(tmp_path)
    before = {f"c{index}": (0.5,) * 101 for index in range(30)}
    after = {label: (0.5 - place / 100,) * 101 for place, label in enumerate(before)}
    answers = given.model_copy(update={"precision": {"train": before, "export": after}})
    first, last = find_curves(answers, "train", ["export"])
    assert list(first.classes) == list(last.classes) == [f"c{29 - place}" for place in range(MAX_CURVES)]
    assert fmean(last.mean) == pytest.approx(0.5 - 29 / 200)


def test_images_without_boxes_have_no_curves(tmp_path) -> None:
    given = box_answers(tmp_path)
    assert find_curves(given.model_copy(update={"precision": {}}), "train", ["export"]) == ()
    assert find_curves(given.model_copy(update={"precision": {"train": {}, "export": {}}}), "train", ["export"]) == ()
