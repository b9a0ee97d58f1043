"""Tables of the keys of pydantic models, from their JSON Schema: key, type, unit, default, meaning.

A key's meaning is its field's description; a model that describes its fields in the `Attributes:` of its docstring
is read there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

# the last word of a key is its unit
UNITS = {
    "px": "pixels",
    "pct": "%",
    "pp": "percentage points",
    "ms": "ms",
    "s": "s",
    "ips": "images/s",
    "bytes": "bytes",
    "epochs": "epochs",
}
_ATTRIBUTE = re.compile(r"^    (\w+): ", re.MULTILINE)
_SCALARS = {"integer": "integer", "number": "number", "string": "text", "boolean": "true or false", "null": "nothing"}

Definition = Mapping[str, Any]  # the JSON Schema of one model


def summary(definition: Definition) -> str:
    """Return the first paragraph of a model's docstring."""
    return " ".join(str(definition.get("description", "")).split("\n\n")[0].split())


def attributes(definition: Definition) -> dict[str, str]:
    """Return field -> what the `Attributes:` of the model's docstring say of it."""
    text = str(definition.get("description", "")).partition("Attributes:\n")[2]
    parts = _ATTRIBUTE.split(text)[1:]
    return {name: " ".join(meaning.split()) for name, meaning in zip(parts[::2], parts[1::2], strict=True)}


def key_table(definition: Definition, defaults: bool = True) -> str:
    """Return the Markdown table of a model's keys; `defaults` is False for files that programs write."""
    meanings = attributes(definition)
    head = ("key", "type", "unit", "default", "meaning") if defaults else ("key", "type", "unit", "meaning")
    required = definition.get("required", ())
    rows = []
    for key, value in definition["properties"].items():
        meaning = value.get("description") or meanings.get(key, "")
        cells = [f"`{key}`", type_text(value), unit_of(key)]
        rows.append([*cells, default_text(key, value, required), meaning] if defaults else [*cells, meaning])
    return markdown_table(head, rows)


def markdown_table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def unit_of(key: str) -> str:
    """Return the unit that a key's last word names, empty for a number without one."""
    return UNITS.get(key.rpartition("_")[2], "")


def default_text(key: str, value: Definition, required: tuple[str, ...] | list[str]) -> str:
    """Return the default as YAML shows it."""
    if key in required:
        return "required"
    if "default" not in value:
        return "depends on other keys"
    default = value["default"]
    if "$ref" in value and isinstance(default, dict):
        return "the defaults of its keys"
    if default is None or default in ("", []):
        return "none"
    return f"`{json.dumps(default, ensure_ascii=False)}`"


def type_text(value: Definition) -> str:
    """Return a JSON Schema type in words, links to the tables of other models included."""
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in value:
        return f"`{value['const']}`"
    if "enum" in value:
        return " or ".join(f"`{choice}`" for choice in value["enum"])
    if choices := value.get("anyOf") or value.get("oneOf"):
        return " or ".join(type_text(choice) for choice in choices if choice.get("type") != "null")
    return _plain(value)


def _plain(value: Definition) -> str:
    kind = value.get("type")
    if kind == "array":
        return _array(value)
    if kind == "object":
        of = value.get("additionalProperties")
        return f"name: {type_text(of)}" if isinstance(of, dict) else "mapping"
    if value.get("format") == "path":
        return "path"
    return _SCALARS.get(str(kind), "any") + _range(value)


def _array(value: Definition) -> str:
    if "prefixItems" in value:
        parts = [type_text(part) for part in value["prefixItems"]]
        return f"{len(parts)} of {parts[0]}" if len(set(parts)) == 1 else ", ".join(parts)
    return f"list of {type_text(value['items'])}" if "items" in value else "list"


def _range(value: Definition) -> str:
    low, high = value.get("minimum"), value.get("maximum")
    above, below = value.get("exclusiveMinimum"), value.get("exclusiveMaximum")
    lower = f"from {_number(low)}" if low is not None else f"above {_number(above)}" if above is not None else ""
    upper = f"to {_number(high)}" if high is not None else f"below {_number(below)}" if below is not None else ""
    return f", {f'{lower} {upper}'.strip()}" if lower or upper else ""


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"
