"""Keys of earlier versions: still read, under their new names, and said to be old."""

from __future__ import annotations

from dataclasses import replace

from compress.core.stage import StageConfig
from compress.core.yaml_nodes import Node
from compress.errors import RecipeError
from compress.recipe.schema import stage_kinds


def with_new_keys(root: Node) -> tuple[Node, tuple[str, ...]]:
    """Return a recipe with the old keys of its stages under their new names, and a warning for each.

    Raises:
        RecipeError: a stage has a key under both names.
    """
    stages = root.mapping.get("stages")
    if stages is None or not stages.items:
        return root, ()
    warnings: list[str] = []
    items = [_renamed(stage, warnings) for stage in stages.items]
    return replace(root, value={**root.mapping, "stages": replace(stages, value=items)}), tuple(warnings)


def _renamed(stage: Node, warnings: list[str]) -> Node:
    kind = stage.mapping.get("kind")
    config: type[StageConfig] | None = stage_kinds().get(str(kind.value)) if kind else None
    renamed = {old: new for old, new in (config.renamed if config else {}).items() if old in stage.mapping}
    for old, new in renamed.items():
        node = stage.mapping[old]
        at = node.key_at or node.at
        if new in stage.mapping:
            raise RecipeError(
                f"{at}: '{old}' is the old name of '{new}', and both are given", hint=f"leave '{old}' out"
            )
        warnings.append(f"{at}: '{old}' is the old name of '{new}'; it is still read, write '{new}'")
    if not renamed:
        return stage
    return replace(stage, value={renamed.get(key, key): child for key, child in stage.mapping.items()})
