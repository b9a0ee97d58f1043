"""report.md: what a reader of a CI summary needs."""

from __future__ import annotations

from compress.report.json_report import build_report
from compress.report.markdown import to_markdown
from tests.report.rich_run import rich_run

GATES = [
    {"metric": "top1_drop_pp", "at": "quantize", "limit": 1.5, "value": 1.0, "passed": True},
    {"metric": "size_bytes", "at": "quantize", "limit": 500_000, "value": 600_000, "passed": False},
    {"metric": "latency_p50_ms", "at": "quantize", "limit": 2, "value": None, "passed": False},
]


def test_the_page_has_title_verdict_machine_table_gates_and_how_to_repeat(make_run) -> None:
    text = to_markdown(build_report(make_run().path, GATES))
    assert text.startswith("# imgc run `demo`\n\n**2 of 3 gates broken.**\n")
    assert "n = 700 test images, 1 thread(s)" in text
    assert "Machine: Some CPU" in text
    assert "| quantize | onnx | int8 |" in text
    assert "| top1_drop_pp | quantize | 1.5 | 1 | pass |" in text
    assert "| size_bytes | quantize | 500000 | 600000 | **FAIL** |" in text
    assert "| latency_p50_ms | quantize | 2 | not measured | **FAIL** |" in text
    assert "imgc run runs/demo/recipe.resolved.yaml" in text
    assert "nan" not in text.lower().split()


def test_verdicts(make_run) -> None:
    run = make_run()
    assert "All 1 gates hold." in to_markdown(build_report(run.path, GATES[:1]))
    page = to_markdown(build_report(run.path, []))
    assert "The recipe has no gates." in page
    assert "## Gates" not in page


def test_a_run_that_was_not_benchmarked_says_so(make_run) -> None:
    text = to_markdown(build_report(make_run(benchmarked=False).path))
    assert "Not benchmarked yet" in text
    assert "| train | torch | fp32 |" in text


def test_measured_sensitivity_is_named(make_run) -> None:
    run = make_run()
    report = build_report(run.path, [])
    assert report.sensitivity == ()
    assert "What each layer costs" not in to_markdown(report)
    (run.path / "02-quantize").mkdir(exist_ok=True)
    (run.path / "02-quantize" / "sensitivity.svg").write_text("<svg/>")
    text = to_markdown(build_report(run.path, []))
    assert "## What each layer costs\n\n- [02-quantize/sensitivity.svg](02-quantize/sensitivity.svg)\n" in text


def test_what_compression_changed_is_told_of_the_last_model(make_run, tmp_path) -> None:
    report = build_report(rich_run(make_run, tmp_path / "images").path)
    text = to_markdown(report)
    assert "export beside train: 5 of 12 images answered otherwise: 4 right answers lost, 1 gained; so uneven" in text
    assert "| shirt & tie | 3 | 66.67 | 33.33 | -33.33 |" in text
    assert "alert(1)" not in text  # lost nothing
    assert "prune beside" not in text
    assert len(text) < 8_000


def test_what_is_left_out_is_said(make_run) -> None:
    report = build_report(make_run().path)
    assert report.notes
    assert all(note in to_markdown(report) for note in report.notes)
    assert "What compression changed" not in to_markdown(report)
