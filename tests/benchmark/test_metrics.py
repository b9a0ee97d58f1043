"""The intervals of a row's numbers."""

from __future__ import annotations

import pytest

from compress.benchmark.metrics import METRICS, interval_of, paired_interval_pp
from compress.benchmark.schema import Row

ROW = Row.model_validate(
    {
        **{"stage": "a", "format": "onnx", "precision": "fp32", "path": "a", "sha256": "0", "size_bytes": 10},
        **{"params": 1, "macs": None, "n_images": 100, "top1_pct": 90.0, "latency_p50_ms": 2.0, "lost": 5, "gained": 5},
        **{"latency_p50_ci95_ms": (1.9, 2.2), "peak_rss_bytes": 5, "top1_drop_pp": 0.0},
    }
)


def test_every_metric_is_a_number_of_the_row() -> None:
    assert set(METRICS) <= set(Row.model_fields)


def test_each_kind_of_number_has_its_own_interval() -> None:
    assert interval_of(ROW, "latency_p50_ms") == (1.9, 2.2)
    assert interval_of(ROW, "latency_p95_ms") is None
    assert interval_of(ROW, "size_bytes") == (10, 10)
    assert interval_of(ROW, "macs") is None
    assert interval_of(ROW, "peak_rss_bytes") is None
    assert interval_of(ROW, "top1_pct") == pytest.approx((82.56, 94.48), abs=0.01)
    assert interval_of(ROW, "top1_drop_pp") == paired_interval_pp(5, 5, 100)


def test_pairs_are_surer_than_two_intervals() -> None:
    low, high = paired_interval_pp(8, 2, 100)
    assert low == pytest.approx(6 - 1.96 * (10 - 0.36) ** 0.5, abs=0.01)
    assert high == pytest.approx(6 + 1.96 * (10 - 0.36) ** 0.5, abs=0.01)
    assert paired_interval_pp(0, 0, 100) == (0, 0)
