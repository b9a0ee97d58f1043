"""Top-1 of a classifier, mAP of a detector."""

from __future__ import annotations

from compress.report.accuracy import accuracy_field, accuracy_name, accuracy_title, task_of
from tests.report.box_run import box_run


def test_a_row_says_which_it_is(make_run, tmp_path) -> None:
    classifier = make_run("classes").row("train")
    run = box_run(make_run, tmp_path / "images")
    detector = run.row("train", task="detect", map_pct=61.5)
    assert (accuracy_field(classifier), accuracy_field(detector)) == ("top1_pct", "map_pct")
    assert (accuracy_name([classifier]), accuracy_title([classifier])) == ("top-1", "Top-1")
    assert (accuracy_name([detector]), accuracy_title([detector])) == ("mAP", "mAP")
    assert [task_of(rows) for rows in ([], [classifier], [classifier, detector])] == ["classify", "classify", "detect"]
