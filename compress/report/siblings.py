"""Pruned against its stock narrower sibling: which of the two answers better at the same MACs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from compress.benchmark.row_accuracy import accuracy_of
from compress.benchmark.schema import Row
from compress.core.fact import Fact
from compress.pipeline.lock import LockedStage, RunLock
from compress.recipe.siblings import twin_of
from compress.report.accuracy import accuracy_field


class SiblingRow(Fact):
    """One pruned model and its sibling.

    Attributes:
        stage: id of the pruned stage, or of one that trained it further.
        sibling: id of the sibling at the same point.
        macs: of the pruned model.
        sibling_macs: of the sibling.
        top1_pct: of the pruned model, a classifier.
        sibling_top1_pct: of the sibling.
        trained: whether the pruned model was trained after its cut; before that the two are no match.
        judged_on: `test` after a benchmark of both, else `val`, as the stages report themselves.
        map_pct: of the pruned model, a detector.
        sibling_map_pct: of the sibling.
    """

    stage: str
    sibling: str
    macs: int
    sibling_macs: int
    top1_pct: float | None = None
    sibling_top1_pct: float | None = None
    trained: bool
    judged_on: Literal["test", "val"]
    map_pct: float | None = None
    sibling_map_pct: float | None = None

    @property
    def accuracies_pct(self) -> tuple[float, float]:
        """Return the accuracy of the pruned model and of its sibling, whichever it is."""
        own, other = (
            (self.top1_pct, self.sibling_top1_pct) if self.map_pct is None else (self.map_pct, self.sibling_map_pct)
        )
        return own or 0.0, other or 0.0


def sibling_rows(lock: RunLock, rows: Sequence[Row]) -> tuple[SiblingRow, ...]:
    """Return one row for each sealed stage that has a sibling.

    Args:
        lock: the run's sealed stages.
        rows: what was measured of them.
    """
    measured = {row.stage: row for row in rows}
    known = {stage.id: stage for stage in lock.stages if stage.id in measured}
    twins = [(twin_of(name, stage.inputs.get("like"), known), stage) for name, stage in known.items()]
    found = [_compared(known[twin], sibling, measured) for twin, sibling in twins if twin is not None]
    return tuple(row for row in found if row is not None)


def sibling_line(row: SiblingRow) -> str:
    """Return one sentence that says who wins, by how much, and at which MACs."""
    own, other = row.accuracies_pct
    lead_pp = own - other
    if not row.trained:
        verdict = "not trained since it was cut, so no verdict yet"
    elif lead_pp > 0:
        verdict = f"pruning wins by {lead_pp:.2f} pp"
    elif lead_pp < 0:
        verdict = f"THE SIBLING WINS by {-lead_pp:.2f} pp"
    else:
        verdict = "they are equal"
    what = "" if row.map_pct is None else "mAP "
    pruned = f"{what}{own:.2f} % at {row.macs / 1e6:.2f} M MACs"
    sibling = f"{what}{other:.2f} % at {row.sibling_macs / 1e6:.2f} M"
    return f"{row.stage}: {pruned}; stock sibling, same data and epochs: {sibling} ({row.judged_on}): {verdict}"


def _is_trained(stage: LockedStage) -> bool:
    """Return whether a stage trained its network after cutting it, or cut nothing."""
    return stage.kind != "prune" or bool(stage.key_parts.get("config", {}).get("recovery"))


def _compared(pruned: LockedStage, sibling: LockedStage, measured: Mapping[str, Row]) -> SiblingRow | None:
    rows = [measured[stage.id] for stage in (pruned, sibling)]
    field = accuracy_field(rows[0])
    tested = [value for row in rows if (value := accuracy_of(row).pct) is not None]
    validated = [stage.artifact.metrics.get(field) for stage in (pruned, sibling)]
    own, other = tested if len(tested) == len(rows) else validated
    macs = [row.macs for row in rows]
    if not isinstance(own, int | float) or not isinstance(other, int | float) or macs[0] is None or macs[1] is None:
        return None
    return SiblingRow(
        stage=pruned.id,
        sibling=sibling.id,
        macs=macs[0],
        sibling_macs=macs[1],
        trained=_is_trained(pruned),
        judged_on="test" if len(tested) == len(rows) else "val",
        **{field: own, f"sibling_{field}": other},
    )
