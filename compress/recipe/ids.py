"""Stage ids: what a stage is called when its recipe does not say."""

from __future__ import annotations

from collections.abc import Sequence

from compress.recipe.schema import stage_kinds


def with_default_ids(named: Sequence[tuple[str, str]]) -> list[str]:
    """Return an id for each (kind, id or ""): the given one, else the kind, else kind-2, kind-3 ...

    Given ids are kept as they are, even when two are equal; the planner refuses those.
    """
    taken = {stage_id for _, stage_id in named if stage_id}
    result = []
    for kind, stage_id in named:
        chosen = stage_id or free_id(kind, taken)
        taken.add(chosen)
        result.append(chosen)
    return result


def free_id(kind: str, taken: set[str]) -> str:
    """Return `kind`, or `kind-2`, `kind-3` ...: the first that is free, also where such a stage is expanded."""
    config = stage_kinds().get(kind)
    suffixes = config.suffixes if config else ()
    number = 1
    while True:
        candidate = kind if number == 1 else f"{kind}-{number}"
        if not taken.intersection({candidate, *(f"{candidate}-{suffix}" for suffix in suffixes)}):
            return candidate
        number += 1
