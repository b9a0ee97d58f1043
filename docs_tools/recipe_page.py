"""`recipe.md`: every key of a recipe."""

from __future__ import annotations

from typing import Any

from compress.recipe.schema import Recipe, stage_kinds
from docs_tools.schema_tables import key_table, summary

_HEAD = """\
# Recipe keys

A recipe is a YAML file: `imgc`, `name`, `data`, and a list of `stages`. Stages run from top to bottom, and a stage may
name only stages above it. Relative paths are relative to the recipe. Unknown keys are refused.

`use: FILE` in `data` or in a stage takes the keys of another YAML file where the block gives none; it lies beside the
recipe or in a folder above. One value is changed for one run with `--set stages.prune.keep=0.5`.

[recipe.schema.json](recipe.schema.json) says the same to editors; `imgc init` writes it beside the recipe.
"""


def recipe_page() -> str:
    """Return the page: the recipe, the data blocks, one section a stage, then the blocks that they share."""
    schema = Recipe.model_json_schema()
    definitions: dict[str, Any] = schema["$defs"]
    stages = {config.__name__: kind for kind, config in stage_kinds().items()}
    data = [name for name in definitions if name.endswith("Data")]
    others = [name for name in definitions if name not in stages and name not in data]
    parts = [_HEAD, f"## Recipe\n\n{summary(schema)}\n\n{key_table(schema)}", "## Data"]
    parts += [_section(f"### {name}", definitions[name]) for name in data]
    parts += ["## Stages"]
    parts += [_section(f"### {name}\n\n`kind: {stages[name]}`", definitions[name]) for name in stages]
    parts += ["## Blocks"]
    parts += [_section(f"### {name}", definitions[name]) for name in others]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(title: str, definition: dict[str, Any]) -> str:
    return f"{title}\n\n{summary(definition)}\n\n{key_table(definition)}"
