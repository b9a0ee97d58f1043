"""Two runs side by side."""

from __future__ import annotations

from compress.benchmark.schema import Answers
from compress.report.compare_runs import compare_runs


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


def test_a_run_without_a_benchmark_still_compares_sizes(make_run) -> None:
    found = compare_runs(make_run("a", benchmarked=False).path, make_run("b", benchmarked=False).path)
    assert {change.metric for change in found.changes} == {"size_bytes"}
