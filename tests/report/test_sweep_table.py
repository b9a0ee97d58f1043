"""Sweeps as cells."""

from __future__ import annotations

from compress.benchmark.schema import ConcurrentPoint, Row, SweepPoint
from compress.report.sweep_table import callers_cells, sweep_cells

ROW = Row.model_validate(
    {
        **{"stage": "a", "format": "onnx", "precision": None, "path": "a.onnx", "sha256": "0", "size_bytes": 1},
        **{"params": None, "macs": None},
    }
)


def test_each_setting_has_a_line_and_a_missing_interval_a_dash():
    points = (
        SweepPoint(threads=1, batch=8, latency_p50_ms=1.5, latency_p50_ci95_ms=(1.25, 2.0), throughput_ips=5333.3),
        SweepPoint(threads=2, batch=8, latency_p50_ms=1.0, latency_p50_ci95_ms=None, throughput_ips=8000),
    )
    row = ROW.model_copy(update={"sweep": points})
    assert sweep_cells([ROW, row]) == [
        ("a", "1", "8", "1.500", "1.250-2.000", "5333"),
        ("a", "2", "8", "1.000", "-", "8000"),
    ]


def test_callers_have_a_line_each():
    point = ConcurrentPoint(callers=4, throughput_ips=1234.5, latency_p50_ms=3.0, latency_p99_ms=9.25)
    assert callers_cells([ROW.model_copy(update={"concurrent": (point,)})]) == [("a", "4", "1234", "3.000", "9.250")]
