"""The schema that editors read says yes and no where the recipe's own types do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from compress.core.dataset import CsvData
from compress.recipe.json_schema import recipe_schema
from compress.recipe.schema import stage_kinds

ROOT = Path(__file__).parents[2]
TRAIN = {"kind": "train", "arch": "tiny", "weights": "none"}


def _faults(recipe: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft202012Validator(recipe_schema()).iter_errors(recipe)]


def _recipe(*stages: dict[str, Any], **keys: Any) -> dict[str, Any]:
    return {"imgc": 1, "name": "x", "stages": [*stages], **keys}


def test_it_is_a_schema():
    Draft202012Validator.check_schema(recipe_schema())


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_fits(path: Path):
    assert _faults(yaml.safe_load(path.read_text())) == []


def test_every_stage_and_every_key_is_in_it():
    definitions = recipe_schema()["$defs"]
    for kind, config in stage_kinds().items():
        names = {field.alias or name for name, field in config.model_fields.items()}
        assert set(definitions[config.__name__]["properties"]) == names | {"use"}, kind
    assert set(definitions["CsvData"]["properties"]) == {*CsvData.model_fields, "use"}


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        (_recipe(TRAIN | {"lr": 1}), "'lr' was unexpected"),
        (_recipe(TRAIN | {"fit": {"epochs": "six"}}), "'six' is not of type 'integer'"),
        (_recipe({"kind": "sharpen"}), "'sharpen' is not one of"),
        (_recipe({"arch": "tiny"}), "is not valid under any of the given schemas"),
        (_recipe(TRAIN, data={"kind": "csv"}), "is not valid under any of the given schemas"),
        (_recipe(TRAIN, gates=[{"metric": "speed", "at": "train", "min": 1}]), "'speed' is not one of"),
    ],
)
def test_a_fault_is_marked(recipe: dict[str, Any], words: str):
    assert any(words in fault for fault in _faults(recipe)), _faults(recipe)


@pytest.mark.parametrize(
    "recipe",
    [
        _recipe({"use": "configs/prune/keep-0.7.yaml", "keep": 0.5}),
        _recipe({"kind": "prune", "use": "configs/prune/keep-0.7.yaml"}),
        _recipe(TRAIN, data={"kind": "csv", "use": "configs/data/csv.yaml"}),
        _recipe(TRAIN, {"kind": "distill", "teacher": "train"}),
        _recipe(TRAIN, {"kind": "distill", "teacher": ["train", "other.onnx"]}),
        _recipe(TRAIN, {"kind": "prune", "from": "train"}),
    ],
)
def test_what_a_recipe_may_hold_is_not_marked(recipe: dict[str, Any]):
    assert _faults(recipe) == []
