"""What accuracy is in a row: a classifier's top-1, a detector's mAP. Nothing else in the report asks which it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from compress.benchmark.schema import Row
from compress.core.dataset import Task

_FIELDS: dict[Task, str] = {"classify": "top1", "detect": "map"}
_NAMES: dict[Task, str] = {"classify": "top-1", "detect": "mAP"}
_TITLES: dict[Task, str] = {"classify": "Top-1", "detect": "mAP"}


@dataclass(frozen=True)
class RowAccuracy:
    """The accuracy of one model; None where it was not measured.

    Attributes:
        pct: 0..100.
        ci95_pct: its 95 % interval.
        drop_pp: the baseline's less this one's.
    """

    pct: float | None
    ci95_pct: tuple[float, float] | None
    drop_pp: float | None


def accuracy_of(row: Row) -> RowAccuracy:
    """Return how well a model does what it does."""
    name = _FIELDS[row.task]
    return RowAccuracy(*(getattr(row, f"{name}_{unit}") for unit in ("pct", "ci95_pct", "drop_pp")))


def accuracy_field(row: Row) -> str:
    """Return the field of the row, and the metric of its stage, that holds `RowAccuracy.pct`."""
    return f"{_FIELDS[row.task]}_pct"


def task_of(rows: Sequence[Row]) -> Task:
    """Return what models do; beside a detector, whose numbers are more, a classifier's are left blank."""
    return "detect" if any(row.task == "detect" for row in rows) else "classify"


def accuracy_name(rows: Sequence[Row]) -> str:
    """Return what the accuracy of these models is called."""
    return _NAMES[task_of(rows)]


def accuracy_title(rows: Sequence[Row]) -> str:
    """Return `accuracy_name` at the head of a sentence."""
    return _TITLES[task_of(rows)]
