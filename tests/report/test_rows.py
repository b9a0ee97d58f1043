"""From the folder of a run to rows: order, nulls, stale measurements, damage."""

from __future__ import annotations

import pytest

from compress.core.formats import Format
from compress.errors import StageError
from compress.models.detectors import new_detector_spec
from compress.pipeline.lock import write_lock
from compress.report.rows import read_run
from tests.report.box_run import box_run

MEASURED = ["n_images", "top1_pct", "top1_drop_pp", "agreement_pct", "runtime", "latency_p50_ms", "peak_rss_bytes"]


def test_rows_come_in_run_order_with_the_lock_s_paths(make_run) -> None:
    facts = read_run(make_run().path)
    assert [row.stage for row in facts.rows] == ["train", "quantize"]
    assert [row.path for row in facts.rows] == ["01-train/model.safetensors", "02-quantize/model.onnx"]
    assert facts.rows[1].top1_drop_pp == 1.0
    assert (facts.name, facts.baseline, facts.host["cpu"]) == ("demo", "train", "Some CPU")


def test_a_run_without_a_benchmark_lists_what_is_known(make_run) -> None:
    facts = read_run(make_run(benchmarked=False).path)
    assert facts.baseline is None
    assert facts.host["cpu"] == "Runner CPU"
    first = facts.rows[0]
    assert (first.stage, first.format, first.precision, first.params) == ("train", Format.TORCH, "fp32", 1_234_567)
    assert first.size_bytes == 300_000
    assert [getattr(first, name) for name in MEASURED] == [None] * len(MEASURED)


def test_a_model_made_after_the_benchmark_is_listed_unmeasured(make_run) -> None:
    run = make_run()
    run.add("export", Format.TFLITE, None)
    rows = read_run(run.path).rows
    assert [row.stage for row in rows] == ["train", "quantize", "export"]
    assert rows[2].top1_pct is None
    assert rows[2].params is None


def test_numbers_of_another_file_are_not_shown(make_run) -> None:
    run = make_run(benchmarked=False)
    run.bench("train", [run.row("train"), run.row("quantize", sha256="f" * 64)])
    rows = read_run(run.path).rows
    assert rows[0].top1_pct == 93.0
    assert rows[1].top1_pct is None
    assert rows[1].sha256 == run.lock.stages[1].artifact.sha256


def test_a_measured_file_from_elsewhere_comes_last(make_run) -> None:
    run = make_run(benchmarked=False)
    run.bench("train", [run.row("/models/other.onnx", path="/models/other.onnx"), run.row("train")])
    rows = read_run(run.path).rows
    assert [row.stage for row in rows] == ["train", "quantize", "/models/other.onnx"]
    assert rows[2].path == "/models/other.onnx"


def test_of_two_benchmarks_the_later_wins(make_run) -> None:
    run = make_run()
    run.bench("train", [run.row("quantize", top1_pct=80.0)], "again")
    rows = read_run(run.path).rows
    assert [row.top1_pct for row in rows] == [93.0, 80.0]
    assert rows[0].agreement_pct == 100.0


def test_comparisons_with_another_baseline_are_not_mixed(make_run) -> None:
    run = make_run()
    run.bench("quantize", [run.row("quantize", top1_drop_pp=0.0)], "again")
    facts = read_run(run.path)
    assert facts.baseline == "quantize"
    assert (facts.rows[0].top1_pct, facts.rows[0].top1_drop_pp, facts.rows[0].agreement_pct) == (93.0, None, None)
    assert facts.rows[1].top1_drop_pp == 0.0


def test_a_detectors_comparisons_with_another_baseline_are_not_mixed_either(make_run, tmp_path) -> None:
    run = box_run(make_run, tmp_path / "images")
    run.bench("quantize", [run.row("quantize", task="detect", map_pct=58.0, map_drop_pp=0.0)], "again")
    train, quantize, _ = read_run(run.path).rows
    assert (train.map_pct, train.map_drop_pp, train.map_drop_ci95_pp, train.agreement_pct) == (61.5, None, None, None)
    assert quantize.map_drop_pp == 0.0


def test_what_an_unmeasured_model_does_is_known_from_its_spec(make_run) -> None:
    run = make_run(benchmarked=False)
    boxes = new_detector_spec("ssdlite_mobilenet_v3_small", ("a", "b"), 128).boxes
    first, second = run.lock.stages
    spec = second.artifact.spec.model_copy(update={"boxes": boxes})
    second = second.model_copy(update={"artifact": second.artifact.model_copy(update={"spec": spec})})
    write_lock(run.path, run.lock.model_copy(update={"stages": (first, second)}))
    assert [row.task for row in read_run(run.path).rows] == ["classify", "detect"]


def test_a_folder_without_stages(tmp_path) -> None:
    with pytest.raises(StageError, match="no stage is done"):
        read_run(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"schema_version": 2}'])
def test_a_damaged_benchmark_is_named(make_run, content: str) -> None:
    run = make_run(benchmarked=False)
    path = run.bench("train", [run.row("train")])
    path.write_text(content)
    with pytest.raises(StageError, match=r"bench\.json: not a readable benchmark"):
        read_run(run.path)


def test_damaged_gates_are_named(make_run) -> None:
    run = make_run()
    (run.path / "gates.json").write_text("[{")
    with pytest.raises(StageError, match=r"gates\.json: damaged"):
        read_run(run.path)
