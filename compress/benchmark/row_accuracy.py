"""What accuracy is: a classifier's top-1, a detector's mAP. Whoever reads rows or metrics asks here which it is."""

from __future__ import annotations

from dataclasses import dataclass

from compress.benchmark.schema import Row
from compress.core.dataset import Task


@dataclass(frozen=True)
class AccuracyMetric:
    """How accuracy is written, for one task.

    Attributes:
        prefix: of the fields of a `Row`, and of the metrics of a stage.
        name: in a sentence.
        title: at the head of one.
    """

    prefix: str
    name: str
    title: str

    @property
    def field(self) -> str:
        """Return the field of a row, and the metric of a stage, that holds it in percent."""
        return f"{self.prefix}_pct"


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


ACCURACY: dict[Task, AccuracyMetric] = {
    "classify": AccuracyMetric("top1", "top-1", "Top-1"),
    "detect": AccuracyMetric("map", "mAP", "mAP"),
}


def accuracy_of(row: Row) -> RowAccuracy:
    """Return how well a model does what it does."""
    prefix = ACCURACY[row.task].prefix
    return RowAccuracy(*(getattr(row, f"{prefix}_{unit}") for unit in ("pct", "ci95_pct", "drop_pp")))
