"""The JSON Schema of a recipe: editors complete keys from it and mark what is wrong while one types.

`imgc init` writes it beside the recipe, so that it is found without a network and fits the installed version.
"""

from __future__ import annotations

from typing import Any

from compress.recipe.schema import Recipe

SCHEMA_NAME = "imgc.schema.json"
SCHEMA_LINE = f"# yaml-language-server: $schema={SCHEMA_NAME}"
_USE = {
    "type": "string",
    "description": "A YAML file whose keys apply where this block gives none; beside the recipe or in a folder above.",
}


def recipe_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a recipe as it is written, `use:` blocks included."""
    schema = Recipe.model_json_schema()
    for definition in schema["$defs"].values():
        definition["description"] = _summary(definition.get("description", ""))
    properties = schema["properties"]
    properties["stages"]["items"] = _by_kind(schema, properties["stages"]["items"])
    data, nothing = properties["data"]["anyOf"]
    properties["data"]["anyOf"] = [_by_kind(schema, data), nothing]
    schema["description"] = _summary(schema["description"])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _summary(text: str) -> str:
    """Return the first paragraph of a docstring on one line."""
    return " ".join(text.split("\n\n")[0].split())


def _by_kind(schema: dict[str, Any], union: dict[str, Any]) -> dict[str, Any]:
    """Return a union told apart by `kind` as conditions, so that an editor names the one fault, not each failed choice.

    `kind`, and every other required key, may come from a `use:` block.
    """
    names = {kind: ref.rpartition("/")[2] for kind, ref in union["discriminator"]["mapping"].items()}
    for name in names.values():
        definition = schema["$defs"][name]
        definition["properties"]["use"] = _USE
        required = [key for key in definition.pop("required", ()) if key != "kind"]
        if required:
            definition["anyOf"] = [{"required": required}, {"required": ["use"]}]
    return {
        "type": "object",
        "properties": {"kind": {"enum": list(names)}, "use": _USE},
        "anyOf": [{"required": ["kind"]}, {"required": ["use"]}],
        "allOf": [
            {
                "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
                "then": {"$ref": f"#/$defs/{name}"},
            }
            for kind, name in names.items()
        ],
    }
