"""Two runs side by side."""

from __future__ import annotations

from compress.benchmark.schema import Answers, Bench
from compress.report.compare_runs import compare_runs
from tests.report.box_run import box_run


def test_rows_are_compared_by_stage(make_run) -> None:
    old, new = make_run("old"), make_run("new", benchmarked=False)
    new.add("prune", new.lock.stages[0].artifact.format, None)
    new.bench("train", [new.row("train", latency_p50_ms=2.0), new.row("quantize", top1_pct=80.0)])
    found = compare_runs(old.path, new.path)
    by_name = {(change.stage, change.metric): change for change in found.changes}
    assert by_name["train", "latency_p50_ms"].verdict == "worse"
    assert by_name["quantize", "top1_pct"].verdict == "worse"
    assert by_name["quantize", "size_bytes"].verdict == "same"
    assert not found.broken
    assert found.warnings == ("only the new one has prune: not compared",)


def test_answers_are_compared_image_by_image(make_run) -> None:
    old, new = make_run("old"), make_run("new", benchmarked=False)
    new.bench("train", [new.row("train"), new.row("quantize", top1_pct=90.0)])
    for run, right in ((old, 644), (new, 630)):
        said = tuple(0 if index < right else 1 for index in range(700))
        answers = Answers(
            labels=("a", "b"),
            paths=tuple(f"/{run.path.name}/{index}.jpg" for index in range(700)),
            truth=(0,) * 700,
            top1={"quantize": said},
            confidence={"quantize": (1.0,) * 700},
            truth_confidence={"quantize": (1.0,) * 700},
        )
        (run.path / "03-benchmark" / "answers.json").write_text(answers.model_dump_json())
    found = compare_runs(old.path, new.path)
    change = next(one for one in found.changes if (one.stage, one.metric) == ("quantize", "top1_pct"))
    assert change.change_ci95 is not None
    assert change.change_ci95[1] < 0, "14 images lost, none gained"


def test_detectors_are_compared_by_map(make_run, tmp_path) -> None:
    old, new = box_run(make_run, tmp_path / "images"), box_run(make_run, tmp_path / "images", "new")
    (bench,) = new.path.glob("*-benchmark/bench.json")
    found = Bench.model_validate_json(bench.read_bytes())
    worse = {"map_pct": 30.0, "map_ci95_pct": (28.0, 32.0), "latency_p50_ms": 9.0}
    rows = tuple(row.model_copy(update=worse) if row.stage == "export" else row for row in found.rows)
    bench.write_text(found.model_copy(update={"rows": rows}).model_dump_json())
    changes = {(one.stage, one.metric): one for one in compare_runs(old.path, new.path).changes}
    assert {metric for _, metric in changes} >= {"map_pct", "latency_p50_ms", "size_bytes"}
    assert "top1_pct" not in {metric for _, metric in changes}
    assert changes["train", "map_pct"].verdict == "same"
    fallen = changes["export", "map_pct"]
    assert (fallen.verdict, fallen.old, fallen.new) == ("worse", 57.75, 30.0)
    assert fallen.change_ci95 == (28.0 - 60.0, 32.0 - 55.25)


def test_a_run_without_a_benchmark_still_compares_sizes(make_run) -> None:
    found = compare_runs(make_run("a", benchmarked=False).path, make_run("b", benchmarked=False).path)
    assert {change.metric for change in found.changes} == {"size_bytes"}
