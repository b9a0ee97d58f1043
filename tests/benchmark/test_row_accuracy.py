"""Top-1 of a classifier, mAP of a detector."""

from __future__ import annotations

from typing import Any

from compress.benchmark.row_accuracy import ACCURACY, RowAccuracy, accuracy_of
from compress.benchmark.schema import Row
from compress.core.formats import Format


def row(**figures: Any) -> Row:
    known = {"stage": "train", "format": Format.TORCH, "precision": None, "path": "m", "sha256": "0", "size_bytes": 1}
    return Row(**known, params=None, macs=None, **figures)


def test_a_row_s_accuracy_is_that_of_its_task() -> None:
    top1 = row(top1_pct=93.0, top1_ci95_pct=(90.9, 94.7), top1_drop_pp=0.0)
    found = row(task="detect", map_pct=61.5, map_ci95_pct=(59.0, 64.0), map_drop_pp=0.25)
    assert accuracy_of(top1) == RowAccuracy(93.0, (90.9, 94.7), 0.0)
    assert accuracy_of(found) == RowAccuracy(61.5, (59.0, 64.0), 0.25)
    assert accuracy_of(row(task="detect")) == RowAccuracy(None, None, None)


def test_each_metric_has_its_field() -> None:
    assert {task: metric.field for task, metric in ACCURACY.items()} == {"classify": "top1_pct", "detect": "map_pct"}
