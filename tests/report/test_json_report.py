"""report.json is a contract: exactly these fields, and no NaN."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from compress.benchmark.schema import Row
from compress.report.json_report import GateRow, Report, build_report
from compress.report.siblings import SiblingRow
from tests.report.box_run import LABELS, box_run

ROW = {
    *("stage", "format", "precision", "path", "sha256", "size_bytes", "params", "macs", "n_images", "top1_pct"),
    *("top1_ci95_pct", "top5_pct", "top1_drop_pp", "agreement_pct", "runtime", "threads", "batch"),
    *("latency_p50_ms", "latency_p95_ms", "throughput_ips", "peak_rss_bytes"),
}  # what other programs have relied on since the first version
BOXES = {
    "map_pct",
    "map50_pct",
    "map_drop_pp",
    "agreement_pct",
    "postprocess_p50_ms",
    "class_map_pct",
    "class_map50_pct",
}
GATE = {"metric": "top1_drop_pp", "at": "quantize", "limit": 1.5, "value": 1.0, "passed": True}


def test_fields_are_those_of_the_contract() -> None:
    fields = ["schema_version", "run", "baseline", "host", "rows", "siblings", "gates", "sensitivity"]
    assert list(Report.model_fields)[: len(fields)] == fields
    assert list(SiblingRow.model_fields) == [
        *("stage", "sibling", "macs", "sibling_macs", "top1_pct", "sibling_top1_pct", "trained", "judged_on"),
        *("map_pct", "sibling_map_pct"),
    ]
    assert set(Row.model_fields) >= ROW
    assert list(GateRow.model_fields) == ["metric", "at", "limit", "value", "passed"]


def test_a_benchmarked_run_has_every_field_of_every_row(make_run) -> None:
    run = make_run()
    run.gates([GATE])
    dumped = build_report(run.path).model_dump(mode="json")
    assert all(row[name] is not None for row in dumped["rows"] for name in ROW)
    assert dumped["gates"] == [GATE]
    assert (dumped["schema_version"], dumped["run"], dumped["baseline"]) == (1, "demo", "train")
    assert dumped["rows"][0]["format"] == "torch"
    assert dumped["rows"][1]["precision"] == "int8"
    assert Report.model_validate(dumped) == build_report(run.path)


def test_a_detectors_run_has_its_own_fields(make_run, tmp_path) -> None:
    report = build_report(box_run(make_run, tmp_path / "images").path)
    dumped = report.model_dump(mode="json")
    assert all(row[name] is not None for row in dumped["rows"] for name in BOXES)
    assert [row["top1_pct"] for row in dumped["rows"]] == [None] * 3
    assert [one["label"] for one in dumped["classes"]] == [LABELS[2], LABELS[0]]
    assert [one["stage"] for one in dumped["box_changes"]] == ["export"]
    assert [one["stage"] for one in dumped["precision"]] == ["train", "export"]
    assert dumped["changes"] == []
    assert dumped["images_folder"] == str(tmp_path / "images")
    assert Report.model_validate(dumped) == report


def test_given_gates_win_over_those_of_the_folder(make_run) -> None:
    run = make_run()
    run.gates([GATE])
    other = {**GATE, "value": None, "passed": False}
    assert [gate.passed for gate in build_report(run.path, [other]).gates] == [False]
    assert build_report(run.path, []).gates == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_is_refused(make_run, value: float) -> None:
    with pytest.raises(ValidationError):
        make_run().row("train", top1_pct=value)
    with pytest.raises(ValidationError):
        GateRow.model_validate({**GATE, "value": value})


def test_unknown_fields_are_refused(make_run) -> None:
    with pytest.raises(ValidationError):
        make_run().row("train", top1=93.0)
