"""What each class of a detector is worth in each of its files: the classes that lost most first."""

from __future__ import annotations

from collections.abc import Sequence

from compress.benchmark.schema import Row
from compress.core.fact import Fact

MAX_CLASSES = 100  # COCO has 80


class ClassPrecision(Fact):
    """One class.

    Attributes:
        label: its name.
        drop_pp: the greatest fall of its mAP from the baseline to another file; negative where all rise.
        map_pct: id of a stage -> mAP of the class, 0..100; the baseline first.
        map50_pct: the same at IoU 0.50.
    """

    label: str
    drop_pp: float
    map_pct: dict[str, float]
    map50_pct: dict[str, float]


def class_precision(rows: Sequence[Row], baseline: str | None) -> tuple[ClassPrecision, ...]:
    """Return one entry for each class that the baseline was judged on, the greatest drop first, `MAX_CLASSES` at most.

    Args:
        rows: all models; those that were not judged by class are left out.
        baseline: id of the one that the others are compared with.
    """
    by_map = {row.stage: row.class_map_pct for row in rows if row.class_map_pct}
    by_map50 = {row.stage: row.class_map50_pct for row in rows if row.class_map50_pct}
    if baseline not in by_map:
        return ()
    found = [_class(label, baseline, by_map, by_map50) for label in by_map[baseline]]
    return tuple(sorted(found, key=lambda one: -one.drop_pp)[:MAX_CLASSES])


def _class(
    label: str, baseline: str, by_map: dict[str, dict[str, float]], by_map50: dict[str, dict[str, float]]
) -> ClassPrecision:
    map_pct = _of_class(label, baseline, by_map)
    drops = [map_pct[baseline] - value for stage, value in map_pct.items() if stage != baseline]
    return ClassPrecision(
        label=label,
        drop_pp=max(drops, default=0.0),
        map_pct=map_pct,
        map50_pct=_of_class(label, baseline, by_map50),
    )


def _of_class(label: str, baseline: str, by_stage: dict[str, dict[str, float]]) -> dict[str, float]:
    stages = sorted(by_stage, key=lambda stage: stage != baseline)
    return {stage: by_stage[stage][label] for stage in stages if label in by_stage[stage]}
