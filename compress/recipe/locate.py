"""A validation error -> `file:line:col`, what was found, what is allowed, the nearest right word."""

from __future__ import annotations

import difflib
import types
from collections.abc import Iterable
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from compress.core.visible import spelled
from compress.core.yaml_nodes import Node, Position
from compress.errors import CodedValueError, RecipeError

MAX_SHOWN = 10
_CHECK = "`imgc plan RECIPE` checks it without running anything"

Loc = tuple[int | str, ...]
_FOLLOWS = "default_factory_not_called"  # a default that hangs on a field which is wrong itself, and said to be


def located(error: ValidationError, root: Node, schema: type[BaseModel]) -> RecipeError:
    """Return the recipe error for a failed validation: one line for each fault, the hint for the first.

    Its code and facts are those of the fault where there is one alone; of several, the nearest word is the first's.
    """
    details = [one for one in error.errors(include_url=False) if one["type"] != _FOLLOWS]
    explained = [_explain(detail, root, schema) for detail in details[:MAX_SHOWN]]
    lines = [f"{at}: {message}" for at, message, _ in explained]
    if len(details) > MAX_SHOWN:
        lines.append(f"... and {len(details) - MAX_SHOWN} more")
    at, _, nearest = explained[0]
    hint = (f"did you mean '{nearest}'? " if nearest else "") + _CHECK
    if len(details) > 1:
        return RecipeError("\n".join(lines), hint=hint, code="several-faults", facts={"nearest": nearest})
    place = stage_label(root, _without_tags(details[0]["loc"], root))
    facts = {"at": str(at), "place": place, "nearest": nearest, **_own_facts(details[0])}
    return RecipeError(lines[0], hint=hint, code=_code(details[0]), facts=facts)


def _code(detail: ErrorDetails) -> str:
    """Return the code of a fault: the validator's own, else pydantic's name of it."""
    own = detail.get("ctx", {}).get("error")
    return own.code if isinstance(own, CodedValueError) else detail["type"].replace("_", "-")


def _own_facts(detail: ErrorDetails) -> dict[str, object]:
    own = detail.get("ctx", {}).get("error")
    return own.facts if isinstance(own, CodedValueError) else {}


def nearest_word(word: str, allowed: Iterable[str]) -> str:
    """Return the allowed word that is most like `word`, or "" when none is."""
    matches = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return matches[0] if matches else ""


def stage_label(root: Node, loc: Loc) -> str:
    """Return what a person calls the place, such as "stage 2 (prune): keep", or "" for the recipe itself."""
    if len(loc) < 2 or loc[0] not in ("stages", "gates"):
        return ".".join(str(part) for part in loc)
    node = root.find(loc[:2])
    name = next((child.raw for key in ("id", "kind", "metric") if (child := node.mapping.get(key))), "")
    rest = [str(part) for part in loc[2:] if part != name]
    label = f"{str(loc[0])[:-1]} {int(loc[1]) + 1}" + (f" ({spelled(name)})" if name else "")
    return f"{label}: {'.'.join(rest)}" if rest else label


def _explain(detail: ErrorDetails, root: Node, schema: type[BaseModel]) -> tuple[Position, str, str]:
    """Return where, what, and the nearest right word."""
    kind, loc = detail["type"], _without_tags(detail["loc"], root)
    place = stage_label(root, loc)
    node = root.find(loc)
    if kind == "extra_forbidden":
        allowed = _keys_allowed(schema, detail["loc"][:-1])
        key = str(loc[-1])
        where = stage_label(root, loc[:-1]) or "the recipe"
        message = f"{where}: unknown key '{spelled(key)}'; allowed: {', '.join(allowed)}"
        return node.key_at or node.at, message, nearest_word(key, allowed)
    if kind == "missing":
        return node.at, f"{stage_label(root, loc[:-1]) or 'the recipe'}: the key '{loc[-1]}' is missing", ""
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _explain_kind(detail, node, place, schema)
    if kind in ("literal_error", "enum"):
        allowed = _quoted_words(str(detail["ctx"].get("expected", "")))
        message = f"{place}: found {_found(node)}, allowed: {', '.join(allowed)}"
        return node.at, message, nearest_word(str(detail["input"]), allowed)
    return node.at, f"{place}: {_plain_message(detail, node)}", ""


def _explain_kind(detail: ErrorDetails, node: Node, place: str, schema: type[BaseModel]) -> tuple[Position, str, str]:
    allowed = list(_members(_annotation_at(schema, detail["loc"])))
    if detail["type"] == "union_tag_not_found":
        return node.at, f"{place}: the key 'kind' is missing; allowed: {', '.join(allowed)}", ""
    kind = node.mapping["kind"]
    message = f"{place}: unknown kind {_found(kind)}; allowed: {', '.join(allowed)}"
    return kind.at, message, nearest_word(kind.raw, allowed)


def _plain_message(detail: ErrorDetails, node: Node) -> str:
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if detail["type"] == "value_error":
        return message
    if detail["type"] == "string_type" and isinstance(node.value, bool | int | float):
        return f"should be text, found {_found(node)}; write '{node.raw}' in quotes if text is meant"
    return f"{message}, found {_found(node)}"


def _found(node: Node) -> str:
    """Return a value as written and, where YAML reads it as something else, what it reads."""
    if isinstance(node.value, dict | list):
        return "a mapping" if isinstance(node.value, dict) else "a list"
    if node.value is None:
        return "nothing"
    if isinstance(node.value, str):
        return f"'{spelled(node.value)}'"
    read = str(node.value).lower() if isinstance(node.value, bool) else str(node.value)
    return node.raw if node.raw == read else f"{node.raw} (which YAML reads as {read})"


def _quoted_words(text: str) -> list[str]:
    """Return the words of pydantic's list "'a', 'b' or 'c'"."""
    return [part.strip().strip("'") for part in text.replace(" or ", ", ").split(",") if part.strip()]


def _without_tags(loc: Loc, root: Node) -> Loc:
    """Return the location without the parts that pydantic adds for unions; the last part of a missing key stays."""
    kept: list[int | str] = []
    node = root
    for number, part in enumerate(loc):
        deeper = node.find((part,))
        if deeper is not node:
            kept.append(part)
            node = deeper
        elif number == len(loc) - 1 and isinstance(node.value, dict):
            kept.append(part)
    return tuple(kept)


def _keys_allowed(schema: type[BaseModel], loc: Loc) -> list[str]:
    model = _annotation_at(schema, loc)
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return []
    return [field.alias or name for name, field in model.model_fields.items()]


def _annotation_at(schema: type[BaseModel], loc: Loc) -> Any:  # noqa: ANN401 - a type annotation
    """Return the type of what stands at `loc`, following fields, elements and union tags."""
    found: object = schema
    for part in loc:
        found = _step(_bare(found), part)
    return _bare(found)


def _step(annotation: object, part: int | str) -> Any:  # noqa: ANN401
    if isinstance(part, int):
        return next((arg for arg in get_args(annotation) if arg is not Ellipsis), annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, field in annotation.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
    return _members(annotation).get(part, annotation)


def _bare(annotation: object) -> Any:  # noqa: ANN401
    """Return the annotation without `Annotated` and without `| None` around a single type."""
    if get_origin(annotation) is Annotated:
        return _bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(rest) == 1:
            return _bare(rest[0])
    return annotation


def _members(annotation: object) -> dict[str, type[BaseModel]]:
    """Return kind -> class for a union of classes told apart by `kind`."""
    members = (_bare(arg) for arg in get_args(annotation))
    return {
        str(get_args(member.model_fields["kind"].annotation)[0]): member
        for member in members
        if isinstance(member, type) and issubclass(member, BaseModel) and "kind" in member.model_fields
    }
