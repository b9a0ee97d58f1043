"""The drawings."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("altair")

from compress.report.charts import draw, pareto_front
from compress.report.json_report import build_report
from compress.report.layers import CutPoint, LayerCost, LayerCosts
from tests.report.box_run import LABELS, box_run
from tests.report.rich_run import rich_run


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = [
        ("a", 9.0, 93.0),
        ("b", 5.0, 91.0),
        ("c", 6.0, 90.0),
        ("d", 2.0, 88.0),
        ("e", 9.5, 93.0),
        ("f", 2.0, 87.0),
    ]
    assert pareto_front(points) == ["d", "b", "a"]
    assert pareto_front([]) == []


def test_every_figure_is_drawn_with_the_pages_colours(make_run, tmp_path) -> None:
    drawings = draw(build_report(rich_run(make_run, tmp_path / "images").path))
    assert set(drawings) == {
        *("size", "macs", "latency", "accuracy", "accuracy-latency", "accuracy-size", "recall-export", "recall-prune"),
        *("loss-train", "val-train", "layers-quantize", "layers-prune"),
    }
    for svg in drawings.values():
        assert svg.startswith("<svg ")
        texts = re.findall(r"<text[^>]*>", svg)
        assert texts
        assert all("var(--" in text for text in texts)
    assert "2.12 ms" in drawings["latency"]
    assert drawings["accuracy-latency"].count("<text") > 4
    assert drawings["layers-quantize"].count('fill="var(--bar)"') == 16
    assert drawings["layers-prune"].count('fill="var(--bad)"') == 20
    assert all("top-1, %" in drawings[name] for name in ("accuracy", "accuracy-latency", "accuracy-size"))
    assert "recall, %: before (ring) and after (dot)" in drawings["recall-export"]


def test_a_detectors_figures_say_map_and_have_its_classes_and_curves(make_run, tmp_path) -> None:
    drawings = draw(build_report(box_run(make_run, tmp_path / "images").path))
    assert set(drawings) == {
        *("size", "macs", "latency", "accuracy", "accuracy-latency", "accuracy-size"),
        *("classes-export", "precision", f"precision-{LABELS[0]}", f"precision-{LABELS[2]}"),
    }
    assert all("mAP, %" in drawings[name] for name in ("accuracy", "accuracy-latency", "accuracy-size"))
    assert "mAP, %: before (ring) and after (dot)" in drawings["classes-export"]
    assert drawings["classes-export"].index("bolt &amp; screw") < drawings["classes-export"].index(">nut<")
    for svg in drawings.values():
        assert "top-1" not in svg
        assert all("var(--" in text for text in re.findall(r"<text[^>]*>", svg))


def test_curves_have_a_line_a_model_and_the_baselines_is_dashed(make_run, tmp_path) -> None:
    svg = draw(build_report(box_run(make_run, tmp_path / "images").path))["precision"]
    lines = re.findall(r'<path d="(M[^"]*)" stroke="(var[^"]*)" stroke-width="2" stroke-dasharray="([^"]*)"', svg)
    assert [(colour, dash) for _, colour, dash in lines] == [("var(--bar)", "1,0"), ("var(--ink)", "5,4")]
    assert all(path.count("L") == 100 for path, _, _ in lines), "101 recalls"
    assert all(text in svg for text in ("recall, %", "precision, %", ">train<", ">export<"))


def test_a_label_from_outside_is_text_in_every_drawing(make_run, tmp_path) -> None:
    report = build_report(box_run(make_run, tmp_path / "images").path)
    first = report.classes[0].model_copy(update={"label": LABELS[1]})
    svg = draw(report.model_copy(update={"classes": (first,)}))["classes-export"]
    assert "<script" not in svg
    assert "&lt;script" in svg


def test_of_two_cuts_that_round_alike_the_dearer_is_shown(make_run, tmp_path) -> None:
    report = build_report(rich_run(make_run, tmp_path / "images").path)
    cuts = (CutPoint(keep=0.5, top1_drop_pp=31.5), CutPoint(keep=0.52, top1_drop_pp=14.25))
    costs = LayerCosts(stage="prune", images=1, judged_on="train", layers=(LayerCost(name="a", cuts=cuts),))
    svg = draw(report.model_copy(update={"layer_costs": (costs,)}))["layers-prune"]
    assert ">31.5<" in svg
    assert ">14.2<" not in svg


def test_what_was_not_measured_is_not_drawn(make_run) -> None:
    drawings = draw(build_report(make_run(benchmarked=False).path))
    assert set(drawings) == {"size", "macs"}


def test_no_name_lies_on_another():
    from compress.report.charts import _CHARACTER_PX, _LINE_PX, _SCATTER_PX, _WIDTH_PX, _place_names

    stages = ["export-tflite", "float-tflite", "export-onnx", "quantize", "float-onnx", "distill", "train"]
    costs = [0.24, 0.34, 0.46, 0.48, 0.5, 3.58, 3.95]
    values = [
        {"stage": stage, "latency": cost, "accuracy": 90.86, "low": 88.0, "high": 93.0, "left": cost > 2}
        for stage, cost in zip(stages, costs, strict=True)
    ]
    _place_names(values, "latency")
    boxes = []
    for row in values:
        x = _WIDTH_PX * (row["latency"] - costs[0]) / (costs[-1] - costs[0])
        y = -_SCATTER_PX * (row["accuracy"] - 88.0) / 5.0 + row["dy"]
        width = _CHARACTER_PX * len(row["stage"])
        boxes.append((x - width if row["left"] else x, x if row["left"] else x + width, y))
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            apart = one[0] >= other[1] or other[0] >= one[1] or abs(one[2] - other[2]) >= _LINE_PX
            assert apart, (one, other)
    assert values[0]["dy"] == -9, "alone, a name stands just above its point"
