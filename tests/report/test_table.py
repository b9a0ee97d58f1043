"""Rows as cells."""

from __future__ import annotations

import pytest

from compress.report.json_report import build_report
from compress.report.table import (
    COLUMNS,
    NOT_MEASURED,
    TEXT_COLUMNS,
    host_text,
    markdown_table,
    setting_text,
    size_text,
    table_rows,
)


def test_cells_of_a_measured_model(make_run) -> None:
    cells = table_rows(build_report(make_run().path))[1]
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
    cells = table_rows(build_report(make_run(benchmarked=False).path))[0]
    assert cells[:6] == ("train", "torch", "fp32", "293 KiB", "1.23 M", "56 M")
    assert set(cells[6:]) == {NOT_MEASURED}


@pytest.mark.parametrize(("size", "text"), [(0, "0 KiB"), (1 << 20, "1.00 MiB"), (5_900_000, "5.63 MiB")])
def test_sizes(size: int, text: str) -> None:
    assert size_text(size) == text


def test_host_line_names_cpu_cores_and_libraries(make_run) -> None:
    line = host_text(build_report(make_run().path).host)
    assert line == "Some CPU (avx2), 2 cores, Linux 6.1, Python 3.11.2, torch 2.14.1, onnxruntime 1.32.0"
    assert host_text({}).startswith("unknown CPU")


def test_setting_line(make_run) -> None:
    assert setting_text(build_report(make_run().path)) == "n = 700 test pictures, 1 thread(s), batch 1, baseline train"
    assert setting_text(build_report(make_run("bare", benchmarked=False).path)) == ""


def test_markdown_table_is_aligned_and_safe() -> None:
    text = markdown_table(("a", "b"), [("x|y", "1")], 1)
    assert text.splitlines() == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |"]
    assert COLUMNS.index("size") == TEXT_COLUMNS
