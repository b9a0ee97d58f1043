"""The stage end to end on generated images: the file keeps the contract of reports."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.benchmark.box_answers import BoxAnswers
from compress.benchmark.config import BenchmarkConfig
from compress.benchmark.schema import Bench
from compress.benchmark.stage import run
from compress.core.dataset import FolderData
from compress.core.formats import Format
from compress.core.stage import RunContext, SilentReporter
from compress.errors import StageError
from tests.detector_files import TrainedDetector

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("one_fresh_process")]

CONTRACT = [
    *["stage", "format", "precision", "path", "sha256", "size_bytes", "params", "macs", "n_images", "top1_pct"],
    *["top1_ci95_pct", "top5_pct", "top1_drop_pp", "agreement_pct", "runtime", "threads", "batch"],
    *["latency_p50_ms", "latency_p95_ms", "throughput_ips", "peak_rss_bytes"],
]  # what other programs have relied on since the first version
BOX_CONTRACT = [
    *["map_pct", "map50_pct", "map_ci95_pct", "map_drop_pp", "map_drop_ci95_pp", "agreement_pct", "class_map_pct"],
    *["class_map50_pct", "size_map_pct", "score_threshold", "postprocess_p50_ms", "latency_p50_ms", "size_bytes"],
]
WRONG_KC = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)


def context(photos: Path, run_dir: Path) -> RunContext:
    stage_dir = run_dir / ".partial" / "03-benchmark-0123456789abcdef"
    stage_dir.mkdir(parents=True)
    return RunContext(stage_dir=stage_dir, seed=0, data=FolderData(path=photos))


def quick(**options: object) -> BenchmarkConfig:
    return BenchmarkConfig.model_validate({"id": "benchmark", "repeats": 5, "warmup": 1, **options})


def test_bench_json_has_exactly_the_contract_s_fields(photos: Path, tmp_path: Path, make_artifact) -> None:
    inputs = {"model:right": make_artifact("right"), "model:wrong": make_artifact("wrong", WRONG_KC)}
    output = run(quick(batch=2), inputs, context(photos, tmp_path))
    assert (output.file_name, output.format, output.spec) == ("bench.json", Format.BENCH, None)
    found = json.loads((tmp_path / ".partial/03-benchmark-0123456789abcdef/bench.json").read_text())
    assert list(found)[:4] == ["schema_version", "host", "baseline", "rows"]
    assert [list(row)[: len(CONTRACT)] for row in found["rows"]] == [CONTRACT, CONTRACT]
    Bench.model_validate(found)
    right, wrong = found["rows"]
    assert None not in [right[name] for name in CONTRACT]
    assert found["baseline"] == right["stage"] == "right"
    assert (right["top1_pct"], right["top1_drop_pp"], right["agreement_pct"], right["n_images"]) == (100, 0, 100, 12)
    assert wrong["top1_drop_pp"] == pytest.approx(100 - wrong["top1_pct"])
    assert wrong["agreement_pct"] == wrong["top1_pct"] == pytest.approx(100 / 3)
    assert right["path"] == "01-right/model.onnx"
    assert right["batch"] == 2
    assert 0 < right["latency_p50_ms"] <= right["latency_p95_ms"]
    assert right["sha256"] == inputs["model:right"].sha256


def test_detectors_have_a_contract_of_their_own(trained_detector: TrainedDetector, tmp_path: Path) -> None:
    artifact = trained_detector.artifact
    ctx = replace(context(tmp_path, tmp_path), data=trained_detector.data)
    run(quick(quick=True, split="val"), {"model:train": artifact, "model:again": artifact}, ctx)
    folder = tmp_path / ".partial/03-benchmark-0123456789abcdef"
    first, second = json.loads((folder / "bench.json").read_text())["rows"]
    assert None not in [first[name] for name in BOX_CONTRACT]
    assert (first["task"], first["top1_pct"], first["map_drop_pp"], first["agreement_pct"]) == ("detect", None, 0, 100)
    assert first["map_pct"] == second["map_pct"] > 0
    assert list(first["class_map50_pct"]) == list(first["class_map_pct"]) == ["nut", "bolt"]
    answers = BoxAnswers.model_validate_json((folder / "answers.json").read_bytes())
    assert answers.found["train"] == answers.found["again"]
    assert len(answers.paths) == first["n_images"]
    scores = [score for one in answers.found["train"] for score in one.scores]
    assert min(scores) >= first["score_threshold"] - 1e-4, "mAP looks at boxes of lower scores, a reader does not"


def test_a_recipe_may_ask_for_sweeps_and_a_profile(photos: Path, tmp_path: Path, make_artifact) -> None:
    asked = quick(sweep={"batch": [1, 4], "callers": [2]}, profile=True)
    run(asked, {"model:right": make_artifact("right")}, context(photos, tmp_path))
    found = Bench.model_validate_json((tmp_path / ".partial/03-benchmark-0123456789abcdef/bench.json").read_bytes())
    (row,) = found.rows
    assert [(one.threads, one.batch) for one in row.sweep] == [(1, 1), (1, 4)]
    assert [one.callers for one in row.concurrent] == [2]
    assert row.ops
    assert sum(one.share_pct for one in row.ops) == pytest.approx(100)


def test_limit_spreads_over_the_classes(photos: Path, tmp_path: Path, make_artifact) -> None:
    output = run(quick(limit=3), {"model:right": make_artifact("right")}, context(photos, tmp_path))
    assert output.metrics["n_images"] == 3
    found = json.loads((tmp_path / ".partial/03-benchmark-0123456789abcdef/bench.json").read_text())
    assert found["rows"][0]["top1_pct"] == 100


def test_a_model_outside_the_run_keeps_its_own_path(photos: Path, tmp_path: Path, make_artifact) -> None:
    artifact = make_artifact("right", folder=tmp_path / "elsewhere")
    run(quick(), {"model:right": artifact}, context(photos, tmp_path / "run"))
    found = json.loads((tmp_path / "run/.partial/03-benchmark-0123456789abcdef/bench.json").read_text())
    assert found["rows"][0]["path"] == str(artifact.path)


class Warnings(SilentReporter):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.mark.parametrize(("load", "warned"), [(1.0, False), (9.5, True), (None, False)])
def test_a_busy_machine_is_said(
    photos: Path, tmp_path: Path, make_artifact, monkeypatch: pytest.MonkeyPatch, load: float | None, warned: bool
) -> None:
    monkeypatch.setattr("compress.benchmark.measure.host", lambda: {"load_1min": load, "cores": 2})
    reporter = Warnings()
    run(quick(), {"model:right": make_artifact("right")}, replace(context(photos, tmp_path), reporter=reporter))
    assert any("busy" in text for text in reporter.texts) is warned


def test_no_models(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no model to measure"):
        run(quick(), {}, context(photos, tmp_path))


def test_unknown_baseline(photos: Path, tmp_path: Path, make_artifact) -> None:
    with pytest.raises(StageError, match="baseline 'train' is not among the measured models: right"):
        run(quick(baseline="train"), {"model:right": make_artifact("right")}, context(photos, tmp_path))


def test_no_data(tmp_path: Path, make_artifact) -> None:
    with pytest.raises(StageError, match="needs images"):
        run(quick(), {"model:right": make_artifact("right")}, RunContext(stage_dir=tmp_path, seed=0, data=None))


def test_a_model_of_other_classes_keeps_its_times_and_says_why(photos: Path, tmp_path: Path, make_artifact) -> None:
    inputs = {
        "model:right": make_artifact("right"),
        "model:other": make_artifact("other", labels=("cat", "dog", "eel")),
    }
    reporter = Warnings()
    run(quick(), inputs, replace(context(photos, tmp_path), reporter=reporter))
    found = Bench.model_validate_json((tmp_path / ".partial/03-benchmark-0123456789abcdef/bench.json").read_bytes())
    right, other = found.rows
    assert right.error is None
    assert other.error is not None
    assert "has the classes cat, dog, eel, the images have blue, green, red" in other.error
    assert (other.top1_pct, other.agreement_pct) == (None, None)
    assert other.latency_p50_ms is not None
    assert other.peak_rss_bytes is not None
    assert f"other: {other.error}" in found.warnings
    assert f"other: {other.error}" in reporter.texts


def test_a_baseline_of_other_classes_ends_the_stage(photos: Path, tmp_path: Path, make_artifact) -> None:
    inputs = {
        "model:other": make_artifact("other", labels=("cat", "dog", "eel")),
        "model:right": make_artifact("right"),
    }
    with pytest.raises(StageError, match="has the classes cat, dog, eel, the images have blue, green, red"):
        run(quick(), inputs, context(photos, tmp_path))
