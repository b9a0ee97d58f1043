"""How rows call their accuracy. Nothing else in the report asks whether it is a top-1 or a mAP."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.row_accuracy import ACCURACY
from compress.benchmark.schema import Row
from compress.core.dataset import Task


def accuracy_field(row: Row) -> str:
    """Return the field of the row, and the metric of its stage, that holds `RowAccuracy.pct`."""
    return ACCURACY[row.task].field


def task_of(rows: Sequence[Row]) -> Task:
    """Return what models do; beside a detector, whose numbers are more, a classifier's are left blank."""
    return "detect" if any(row.task == "detect" for row in rows) else "classify"


def accuracy_name(rows: Sequence[Row]) -> str:
    """Return what the accuracy of these models is called."""
    return ACCURACY[task_of(rows)].name


def accuracy_title(rows: Sequence[Row]) -> str:
    """Return `accuracy_name` at the head of a sentence."""
    return ACCURACY[task_of(rows)].title
