"""Classes of a detector, those that lost most first."""

from __future__ import annotations

from compress.benchmark.schema import Row
from compress.report.class_precision import MAX_CLASSES, class_precision


def row(stage: str, by_class: dict[str, float] | None, by_class50: dict[str, float] | None = None) -> Row:
    facts = {"format": "onnx", "precision": "fp32", "path": "m", "sha256": "0", "size_bytes": 1, "params": 1, "macs": 1}
    return Row(stage=stage, task="detect", class_map_pct=by_class, class_map50_pct=by_class50 or by_class, **facts)


def test_the_greatest_drop_in_any_file_comes_first_and_the_baseline_is_the_first_file() -> None:
    rows = [
        row("half", {"a": 49.0, "b": 60.0, "c": 70.0}),
        row("float", {"a": 50.0, "b": 60.0, "c": 70.0}, {"a": 80.0, "b": 81.0, "c": 82.0}),
        row("int8", {"a": 55.0, "b": 40.0, "c": 72.0}),
    ]
    found = class_precision(rows, "float")
    assert [(one.label, one.drop_pp) for one in found] == [("b", 20.0), ("a", 1.0), ("c", 0.0)]
    assert list(found[0].map_pct.items()) == [("float", 60.0), ("half", 60.0), ("int8", 40.0)]
    assert found[0].map50_pct["float"] == 81.0


def test_classes_are_bounded_and_those_that_lost_most_stay() -> None:
    before = {f"c{index}": 50.0 for index in range(150)}
    after = {label: 50.0 - place for place, label in enumerate(before)}
    found = class_precision([row("float", before), row("int8", after)], "float")
    assert [found[0].label, found[-1].label, len(found)] == ["c149", "c50", MAX_CLASSES]


def test_without_a_baseline_that_was_judged_there_is_nothing() -> None:
    rows = [row("float", None), row("int8", {"a": 1.0})]
    assert class_precision(rows, "float") == class_precision(rows, None) == class_precision([], "float") == ()


def test_a_file_that_was_not_judged_is_left_out_and_a_baseline_alone_has_no_drop() -> None:
    (found,) = class_precision([row("float", {"a": 1.0}), row("int8", None)], "float")
    assert (found.map_pct, found.drop_pp) == ({"float": 1.0}, 0.0)
