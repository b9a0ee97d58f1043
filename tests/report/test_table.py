"""Rows as cells."""

from __future__ import annotations

import pytest

from compress.report.json_report import build_report
from compress.report.numbers import NOT_MEASURED, size_text
from compress.report.table import (
    BOX_COLUMNS,
    COLUMNS,
    LATENCY_COLUMNS,
    TEXT_COLUMNS,
    columns,
    host_text,
    latency_cells,
    markdown_table,
    setting_text,
    table_rows,
)
from tests.report.box_run import box_run


def test_cells_of_a_measured_model(make_run) -> None:
    cells = table_rows(build_report(make_run().path).rows)[1]
    assert dict(zip(COLUMNS, cells, strict=True)) == {
        "stage": "quantize",
        "format": "onnx",
        "precision": "int8",
        "size": "586 KiB",
        "params": "1.23 M",
        "MACs": "56 M",
        "top-1 %": "92.00",
        "95 % interval": "90.9-94.7",
        "drop pp": "1.00",
        "agree %": "100.00",
        "p50 ms": "1.23",
        "p95 ms": "1.50",
        "images/s": "801",
        "peak MiB": "100",
    }


def test_what_was_not_measured_is_a_dash(make_run) -> None:
    cells = table_rows(build_report(make_run(benchmarked=False).path).rows)[0]
    assert cells[:6] == ("train", "torch", "fp32", "293 KiB", "1.23 M", "56 M")
    assert set(cells[6:]) == {NOT_MEASURED}


def test_cells_of_a_detector(make_run, tmp_path) -> None:
    rows = build_report(box_run(make_run, tmp_path / "images").path).rows
    assert columns(rows) == BOX_COLUMNS
    assert dict(zip(BOX_COLUMNS, table_rows(rows)[1], strict=True)) == {
        "stage": "quantize",
        "format": "onnx",
        "precision": "int8",
        "size": "586 KiB",
        "params": "1.23 M",
        "MACs": "56 M",
        "mAP %": "58.00",
        "95 % interval": "55.5-60.2",
        "AP50 %": "86.00",
        "drop pp": "3.50",
        "agree %": "62.50",
        "p50 ms": "3.25",
        "post ms": "0.38",
        "images/s": "801",
        "peak MiB": "100",
    }


def test_a_detector_that_was_not_measured_is_one_all_the_same(make_run) -> None:
    run = make_run(benchmarked=False)
    rows = [row.model_copy(update={"task": "detect"}) for row in build_report(run.path).rows]
    assert columns(rows) == BOX_COLUMNS
    assert set(table_rows(rows)[0][6:]) == {NOT_MEASURED}


def test_beside_a_detector_a_classifier_has_its_own_numbers_left_blank(make_run, tmp_path) -> None:
    rows = [
        box_run(make_run, tmp_path / "images").row("train", task="detect", map_pct=61.5),
        make_run("b").row("train"),
    ]
    cells = [dict(zip(columns(rows), row, strict=True)) for row in table_rows(rows)]
    assert [one["mAP %"] for one in cells] == ["61.50", NOT_MEASURED]
    assert cells[1]["p50 ms"] == "1.23"


@pytest.mark.parametrize(("size", "text"), [(0, "0 KiB"), (1 << 20, "1.00 MiB"), (5_900_000, "5.63 MiB")])
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_host_line_names_cpu_cores_and_libraries(make_run) -> None:
    line = host_text(build_report(make_run().path).host)
    assert line == "Some CPU (avx2), 2 cores, Linux 6.1, Python 3.11.2, torch 2.14.1, onnxruntime 1.32.0"
    assert host_text({}).startswith("unknown CPU")


def test_setting_line(make_run) -> None:
    assert setting_text(build_report(make_run().path)) == "n = 700 test images, 1 thread(s), batch 1, baseline train"
    assert setting_text(build_report(make_run("bare", benchmarked=False).path)) == ""


def test_markdown_table_is_aligned_and_safe() -> None:
    text = markdown_table(("a", "b"), [("x|y", "1")], 1)
    assert text.splitlines() == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]
    assert COLUMNS.index("size") == TEXT_COLUMNS


def test_cells_of_latency(make_run) -> None:
    row = make_run().row(
        "train",
        **{"latency_p50_ci95_ms": (1.2, 1.3), "latency_p90_ms": 1.4, "latency_p99_ms": 2.0, "latency_calls": 200},
        latency_left_out=37,
        **{"stable": False, "cpu_ms": 2.46, "cold_start_ms": 81.6, "steady_rss_bytes": 90 << 20, "gzip_bytes": 2048},
        error="no kernel for this operator of the model in this runtime",
    )
    assert dict(zip(LATENCY_COLUMNS, latency_cells(row), strict=True)) == {
        "stage": "train",
        "p50 ms": "1.23",
        "95 % interval": "1.20-1.30",
        "p90 ms": "1.40",
        "p95 ms": "1.50",
        "p99 ms": "2.00",
        "calls": "200 of 237",
        "stable": "NO",
        "CPU ms": "2.46",
        "cold ms": "82",
        "steady MiB": "90",
        "gzipped": "2 KiB",
        "error": "no kernel for this operator...",
    }
    wide = [max(len(head), len(cell)) + 3 for head, cell in zip(LATENCY_COLUMNS, latency_cells(row), strict=True)]
    assert sum(wide) + 1 <= 160


def test_an_old_row_has_dashes_of_latency(make_run) -> None:
    cells = latency_cells(make_run().row("train"))
    assert cells[2] == cells[7] == cells[-2] == NOT_MEASURED
    assert cells[-1] == ""
