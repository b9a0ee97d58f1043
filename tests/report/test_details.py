"""What a run's folder tells beside the measured rows."""

from __future__ import annotations

import pytest

from compress.errors import StageError
from compress.report.details import read_details
from compress.report.json_report import Report, build_report
from tests.report.rich_run import rich_run


@pytest.fixture
def run(make_run, tmp_path):
    return rich_run(make_run, tmp_path / "images")


def test_everything_is_in_report_json_and_comes_back(run, tmp_path) -> None:
    report = build_report(run.path)
    assert [stage.id for stage in report.stages] == ["train", "quantize", "prune", "export", "benchmark"]
    assert {stage.seconds for stage in report.stages} == {1.0}
    assert report.environment["cpu"] == "Runner CPU"
    assert report.recipe == (run.path / "recipe.yaml").read_text()
    assert report.commands[0] == "imgc run runs/demo/recipe.resolved.yaml --runs-dir runs-again"
    assert [curve.stage for curve in report.curves] == ["train"]
    assert [costs.stage for costs in report.layer_costs] == ["quantize", "prune"]
    assert report.images_folder == str(tmp_path / "images")
    assert [changes.stage for changes in report.changes] == ["export", "prune"]
    assert report.notes == ()
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_a_newer_benchmark_without_answers_has_no_changes(run) -> None:
    run.bench("train", [run.row("train")], stage_id="again")
    found = read_details(run.path, run.lock, "train")
    assert found.changes == ()
    assert "`imgc benchmark` measures again" in found.notes[0]


@pytest.mark.parametrize("text", ['{"labels": 1}', '{"labels": [], "paths": ["a"], "truth": [], "found": {}}'])
def test_damaged_answers_are_named(run, text) -> None:
    path = run.path / "05-benchmark" / "answers.json"
    path.write_text(text)
    with pytest.raises(StageError, match="not readable answers") as caught:
        build_report(run.path)
    assert str(path) in caught.value.message
    assert "imgc benchmark" in caught.value.hint
