"""The sibling of a pruned stage: the stock narrower network, trained with the same recipe, epochs and data.

It is the baseline that a sceptic would state. The planner adds it to every recipe that prunes (`sibling: true`), and
beside every stage that trains the pruned network further; nothing but a benchmark reads it. What it is, the stage's
config knows (`StageConfig.make_sibling`); here is how a run tells one from the stages of its chain.
"""

from __future__ import annotations

from collections.abc import Collection

SUFFIX = "-sibling"


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
