"""One verb, one kind, one room, one test folder, one folder of configs: each has the same name."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.cli.knobs import config_of
from compress.cli.main import app
from compress.core.stage import StageConfig
from compress.recipe.schema import stage_kinds

ROOT = Path(__file__).parents[2]
KINDS = set(stage_kinds())
PAGE = (ROOT / "docs/how-to/add-a-stage.md").read_text()


def test_verbs_are_kinds():
    commands = {one.name for one in (*app.registered_commands, *app.registered_groups)}
    assert commands >= KINDS


def test_rooms_with_a_stage_are_kinds():
    assert {path.parent.name for path in (ROOT / "compress").glob("*/stage.py")} - {"core"} == KINDS


def test_config_folders_are_kinds():
    folders = {path.name for path in (ROOT / "configs").iterdir() if path.is_dir()}
    assert folders - {"data"} == KINDS
    assert all(list((ROOT / "configs" / kind).glob("*.yaml")) for kind in KINDS)


def test_test_folders_are_kinds():
    for kind in KINDS:
        assert {path.name for path in (ROOT / "tests" / kind).glob("test_*.py")} >= {"test_config.py", "test_stage.py"}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_stage_names_its_entry_point_after_its_room(kind: str):
    config = stage_kinds()[kind]
    assert config.entry_point == f"compress.{kind}.stage:run"
    assert f"{config.__module__}:{config.__name__}" == config_of(kind)


@pytest.mark.parametrize("room", ["recipe", "pipeline"])
def test_planner_and_runner_know_no_stage_by_name(room: str):
    """What they must know of a stage, its config tells; only the union of the recipe names the configs."""
    names = {config.__name__ for config in stage_kinds().values()}
    for path in sorted((ROOT / "compress" / room).rglob("*.py")):
        text = path.read_text()
        if path.name != "schema.py":
            assert not {name for name in names if name in text}, path
        assert not [kind for kind in KINDS if f'kind == "{kind}"' in text], path


def test_the_page_on_adding_a_stage_names_what_a_config_can_say():
    said = {name for name in vars(StageConfig) if f"`{name}" in PAGE}
    assert said >= {"consumes", "produces", "entry_point", "version", "references", "knobs"}
    assert said >= {"expand", "make_sibling", "training"}
