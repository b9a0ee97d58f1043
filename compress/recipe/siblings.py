"""The sibling of a pruned stage: the stock narrower network, trained with the same recipe, epochs and data.

It is the baseline that a sceptic would state. The planner adds it to every recipe that prunes (`sibling: true`), and
beside every stage that trains the pruned network further; nothing but a benchmark reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from compress.core.json_types import JsonObject
from compress.core.stage import StageConfig
from compress.distill.config import DistillConfig
from compress.prune.config import BUDGETS, PruneConfig
from compress.train.config import TrainConfig

SUFFIX = "-sibling"
_HOW_TO_CUT = ("importance", "scope", "allocation", "sensitivity", "rounds")  # a width multiplier knows none of them


def twin_of(stage_id: str, like: str | None, ids: Collection[str]) -> str | None:
    """Return the id of the stage whose sibling a stage is; None for every other stage.

    Args:
        stage_id: of the stage in question.
        like: what it names as `like`.
        ids: of the stages that there are.
    """
    twin = like or stage_id.removesuffix(SUFFIX)
    return twin if twin != stage_id and twin in ids else None


def is_sibling(stage_id: str, like: str | None, ids: Collection[str]) -> bool:
    """Return whether a stage is there to be compared with: never the model that someone means who names none."""
    return like is not None or twin_of(stage_id, like, ids) is not None


def sibling_of_pruned(pruned: PruneConfig, lineage: Sequence[StageConfig]) -> JsonObject | None:
    """Return the options of the stage that makes the sibling, None where nobody knows how the network was trained.

    It starts from the stock weights, cut by filter norm to equal shares of all widths, and trains for all the epochs
    that the pruned network had by then, on one schedule, as the first stage did. Where some of those were taught by a
    teacher, all of the sibling's are, by the network of the first stage: it is not to lose for want of a teacher.

    Args:
        pruned: the stage, with its id.
        lineage: the stages that it comes from, the first one first, itself last.
    """
    start = lineage[0]
    if not isinstance(start, TrainConfig):
        return None
    epochs = sum(_epochs(stage) for stage in lineage)
    unwanted = {*_HOW_TO_CUT, *BUDGETS, "kind", "id"}
    rules = {key: value for key, value in pruned.model_dump(by_alias=True).items() if key not in unwanted}
    return {
        **rules,
        "id": pruned.id + SUFFIX,
        "from": start.id,
        "like": pruned.id,
        "weights": start.weights,
        "importance": "l2",
        "recovery": start.fit.model_copy(update={"epochs": epochs}).model_dump(),
        "alpha": max(_alpha(stage) for stage in lineage),
        "sibling": False,
    }


def _alpha(stage: StageConfig) -> float:
    """Return the share of a teacher's answers in what a stage learns from."""
    if isinstance(stage, PruneConfig):
        return stage.alpha if stage.recovery else 0.0
    return stage.alpha if isinstance(stage, DistillConfig) else 0.0


def _epochs(stage: StageConfig) -> int:
    """Return the epochs that a stage trains for."""
    if isinstance(stage, PruneConfig):
        return stage.rounds * stage.recovery.epochs if stage.recovery else 0
    return stage.fit.epochs if isinstance(stage, TrainConfig | DistillConfig) else 0
