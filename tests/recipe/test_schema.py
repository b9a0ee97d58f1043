from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from compress.recipe.schema import Recipe, stage_kinds

SCHEMA = Recipe.model_json_schema()
BLOCKS: dict[str, dict[str, Any]] = {"Recipe": SCHEMA, **SCHEMA["$defs"]}
KEYS = [(block, key) for block, schema in BLOCKS.items() for key in schema.get("properties", {})]


def test_the_whole_recipe_is_in_the_schema():
    assert {config.__name__ for config in stage_kinds().values()} <= set(BLOCKS)
    assert len(KEYS) > 150


@pytest.mark.parametrize(("block", "key"), KEYS, ids=lambda part: part)
def test_every_key_says_what_it_means(block: str, key: str):
    text = BLOCKS[block]["properties"][key].get("description", "")
    assert len(text) > 10, f"{block}.{key} has no description"
    assert text[0] == text[0].upper(), text
    assert text.endswith("."), text


UNITS = {"_px": "pixel", "_ms": "millisecond", "_s": "second", "_pct": "percent", "_pp": "percentage point"}


@pytest.mark.parametrize(
    ("block", "key"), [pair for pair in KEYS if pair[1].endswith(tuple(UNITS))], ids=lambda part: part
)
def test_a_key_with_a_unit_in_its_name_says_it_in_words(block: str, key: str):
    unit = next(word for suffix, word in UNITS.items() if key.endswith(suffix))
    assert unit in BLOCKS[block]["properties"][key]["description"]


@pytest.mark.parametrize("config", stage_kinds().values(), ids=lambda config: config.__name__)
def test_what_a_field_means_is_said_once(config: type[BaseModel]):
    """In its description; a docstring that lists the fields again would be the second place."""
    blocks = [config, *(field.annotation for field in config.model_fields.values())]
    for block in blocks:
        if isinstance(block, type) and issubclass(block, BaseModel):
            assert "Attributes:" not in (block.__doc__ or ""), block


@pytest.mark.parametrize("name", ["latest", "", "a b"])
def test_a_name_that_no_run_can_have(name: str):
    with pytest.raises(ValidationError):
        Recipe.model_validate({"imgc": 1, "name": name, "stages": [{"kind": "train"}]})
