"""`--set a.b=c`: one value of a recipe changed from the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from compress.core.yaml_nodes import Node, Position, parse
from compress.errors import RecipeError
from compress.recipe.ids import with_default_ids
from compress.recipe.locate import nearest_word


def apply_overrides(root: Node, overrides: Sequence[str]) -> Node:
    """Return the tree with each `path=value` laid over it, in order.

    The value is read as YAML. A part of the path that stands on a list is a number from 0, or a stage's id:
    `stages.prune.keep=0.5` is `stages.1.keep=0.5`.

    Raises:
        RecipeError: not of the form path=value, or the path leads nowhere.
    """
    for text in overrides:
        at = Position(f"--set {text}")
        path, equals, value = text.partition("=")
        parts = path.split(".")
        if not equals or not value.strip() or not all(parts):
            raise RecipeError(f"{at}: not of the form key=value", hint="for example --set stages.prune.keep=0.5")
        root = _replaced(root, parts, parse(value, at.source, at=at), at)
    return root


def _replaced(node: Node, parts: list[str], value: Node, at: Position) -> Node:
    if not parts:
        return replace(value, key_at=at)
    if isinstance(node.value, list):
        index = _index(node, parts[0], at)
        items = list(node.value)
        items[index] = _replaced(items[index], parts[1:], value, at)
        return replace(node, value=items)
    if node.value is not None and not isinstance(node.value, dict):
        raise RecipeError(f"{at}: there is no '{parts[0]}' in a single value (found '{node.raw}')")
    mapping = dict(node.mapping)
    below = mapping.get(parts[0], Node(None, at, key_at=at))
    mapping[parts[0]] = _replaced(below, parts[1:], value, at)
    return replace(node, value=mapping)


def _index(node: Node, part: str, at: Position) -> int:
    """Return the number of a list's element by its number or, for stages, its id."""
    named = [(_word(item, "kind"), _word(item, "id")) for item in node.items]
    ids = with_default_ids(named) if all(kind for kind, _ in named) else [str(number) for number in range(len(named))]
    if part in ids:
        return ids.index(part)
    if part.isdecimal() and int(part) < len(ids):
        return int(part)
    nearest = nearest_word(part, ids)
    raise RecipeError(
        f"{at}: there is no element '{part}'; allowed: {', '.join(ids)}",
        hint=f"did you mean '{nearest}'?" if nearest else "",
    )


def _word(node: Node, key: str) -> str:
    child = node.mapping.get(key)
    return child.raw if child else ""
