"""`imgc benchmark files FILE...`: rows side by side; what fails is told at the end, and the others still come."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from tests.benchmark.conftest import RIGHT_KC, make_artifact

pytestmark = pytest.mark.usefixtures("one_fresh_process")

make_artifact = make_artifact  # the fixture of the benchmark's own tests


@pytest.fixture
def model(make_artifact):
    return make_artifact("model").path


@pytest.mark.slow
def test_files_are_measured_side_by_side_and_written(imgc, folder, make_artifact, model, photos):
    other = make_artifact("other", weight_KC=RIGHT_KC[[0, 2, 1]]).path  # green and red confused
    result = imgc("benchmark", "files", model, other, "--data", photos, "--out", "b.json", "--json")
    assert result.exit_code == 0, result.stderr
    bench = json.loads((folder / "b.json").read_text())
    assert bench == json.loads(result.stdout)
    first, second = bench["rows"]
    assert (first["stage"], second["stage"]) == ("01-model/model.onnx", "01-other/model.onnx")
    assert first["top1_pct"] == 100.0
    assert second["top1_drop_pp"] == pytest.approx(200 / 3)
    assert second["lost"] == 8
    answers = json.loads((folder / "answers.json").read_text())
    assert set(answers["top1"]) == {first["stage"], second["stage"]}


@pytest.mark.slow
def test_the_baseline_may_be_named_by_its_file(imgc, folder, make_artifact, model, photos):
    other = make_artifact("other", weight_KC=RIGHT_KC[[0, 2, 1]]).path
    result = imgc("benchmark", "files", model, other, "--data", photos, "--baseline", other, "--json")
    assert json.loads(result.stdout)["rows"][0]["top1_drop_pp"] == pytest.approx(-200 / 3)
    wrong = imgc("benchmark", "files", model, "--baseline", "x.onnx")
    assert wrong.exit_code == 2
    assert "--baseline x.onnx: not one of the models: model.onnx" in wrong.stderr


@pytest.mark.slow
def test_the_split_that_was_asked_is_said(imgc, folder, model, photos):
    assert "n = 12 test images" in imgc("benchmark", "files", model, "--data", photos).stdout
    assert "n = 24 training images" in imgc("benchmark", "files", model, "--data", photos / "train").stdout


def test_without_images_the_times_come_alone(imgc, folder, model):
    result = imgc("benchmark", "files", model, "--profile")
    assert result.exit_code == 0, result.stderr
    assert "operators by type" in result.stdout
    assert "GlobalAveragePool" in result.stdout


@pytest.mark.slow
def test_how_many_calls_are_timed_and_how_long_can_be_said(imgc, folder, model):
    result = imgc("benchmark", "files", model, "--repeats", "37", "--json")
    assert json.loads(result.stdout)["rows"][0]["latency_calls"] == 37
    brief = imgc("benchmark", "files", model, "--repeats", "100000", "--budget-s", "0.01", "--json")
    assert json.loads(brief.stdout)["rows"][0]["latency_calls"] < 100_000


@pytest.mark.slow
def test_several_threads_batches_and_callers_are_a_sweep(imgc, folder, model):
    result = imgc(
        "benchmark", "files", model, "--threads", "1,2", "--batch", "2", "--callers", "1,2", "--out", "b.json"
    )
    assert result.exit_code == 0, result.stderr
    assert "threads and images in a call" in result.stdout
    assert "callers at once" in result.stdout
    (row,) = json.loads((folder / "b.json").read_text())["rows"]
    assert (row["threads"], row["batch"]) == (1, 2)
    assert [(one["threads"], one["batch"]) for one in row["sweep"]] == [(1, 2), (2, 2)]
    assert [one["callers"] for one in row["concurrent"]] == [1, 2]


def test_what_cannot_be_measured_is_told_and_the_others_come(imgc, folder, model, photos):
    (folder / "broken.onnx").write_bytes(b"no model")
    result = imgc("benchmark", "files", model, "broken.onnx", "gone.tflite", "--data", photos, "--json")
    assert result.exit_code == 4
    bench = json.loads(result.stdout)
    assert [row["top1_pct"] for row in bench["rows"]] == [100.0]
    assert [one["name"] for one in bench["failed"]] == ["broken.onnx", "gone.tflite"]
    assert "2 of 3 models could not be measured" in result.stderr


def test_none_at_all_is_an_error_with_every_reason(imgc, folder):
    result = imgc("benchmark", "files", "gone.tflite", "gone.onnx", "--out", "b.json")
    assert result.exit_code == 4
    assert "gone.tflite" in result.stderr
    assert "gone.onnx" in result.stderr
    assert not (folder / "b.json").exists()


@pytest.mark.slow
def test_a_model_that_answers_nan_is_marked(imgc, folder, make_artifact, model, photos):
    broken = make_artifact("nan", weight_KC=np.full((3, 3), np.nan, np.float32)).path
    result = imgc("benchmark", "files", model, broken, "--data", photos, "--json")
    assert result.exit_code == 4
    good, marked = json.loads(result.stdout)["rows"]
    assert good["top1_pct"] == 100.0
    assert marked["top1_pct"] is None
    assert marked["error"]


def test_an_unknown_operator_is_marked(imgc, folder, model):
    graph = onnx.load(str(model))
    graph.graph.node[0].op_type = "NoSuchOp"
    onnx.save(graph, str(folder / "odd.onnx"))
    result = imgc("benchmark", "files", model, "odd.onnx", "--json")
    assert result.exit_code == 4
    assert len(json.loads(result.stdout)["rows"]) == 1
    assert "NoSuchOp" in result.stderr


@pytest.mark.slow
def test_a_foreign_file_without_its_preprocessing_is_timed_and_says_what_to_give(imgc, folder, model, photos):
    graph = onnx.load(str(model))
    del graph.metadata_props[:]
    onnx.save(graph, str(folder / "foreign.onnx"))
    result = imgc("benchmark", "files", model, "foreign.onnx", "--data", photos, "--json")
    assert result.exit_code == 4
    row = json.loads(result.stdout)["rows"][1]
    assert row["latency_p50_ms"] > 0
    assert row["peak_rss_bytes"] > 0
    assert "--preprocess" in row["error"]
    told = imgc(
        "benchmark",
        "files",
        model,
        "foreign.onnx",
        "--data",
        photos,
        "--preprocess",
        '{"resize_px": 32, "crop_px": 32}',
        "--json",
    )
    assert told.exit_code == 0, told.stderr
    assert json.loads(told.stdout)["rows"][1]["agreement_pct"] == 100.0
    alone = imgc("benchmark", "files", "foreign.onnx", "--data", photos)
    assert alone.exit_code == 4
    assert "none of the models can be shown the images" in alone.stderr


def test_no_images_and_strange_labels_are_refused_before_anything_is_timed(imgc, folder, model, photos):
    (folder / "empty").mkdir()
    assert imgc("benchmark", "files", model, "--data", "empty").exit_code == 2
    (folder / "strange/cat").mkdir(parents=True)
    (folder / "strange/cat/1.jpg").write_bytes(next(photos.rglob("*.jpg")).read_bytes())
    result = imgc("benchmark", "files", model, "--data", "strange")
    assert result.exit_code == 2
    assert "not classes of the model" in result.stderr


@pytest.mark.slow
def test_an_architecture_has_no_accuracy_and_is_no_failure(imgc, folder, model, photos):
    result = imgc("benchmark", "files", model, "tiny", "--data", photos, "--json")
    assert result.exit_code == 0, result.stderr
    assert "random weights" in json.loads(result.stdout)["rows"][1]["error"]
