"""Every YAML we ship loads and plans."""

from pathlib import Path

import pytest

from compress.recipe.load import load_recipe
from compress.recipe.plan import plan
from tests.detector_files import write_boxes

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").rglob("*.yaml"))
BLOCKS = sorted((ROOT / "configs").rglob("*.yaml"))


def test_none_is_lost():
    assert len(RECIPES) >= 4
    assert len(BLOCKS) >= 6
    assert not list((ROOT / "recipes").rglob("*.yml")) + list((ROOT / "configs").rglob("*.yml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_a_recipe_plans(path, photos, tmp_path):
    overrides = []
    if "cards" in path.stem:
        write_boxes(tmp_path)
        overrides = [f"data.path={tmp_path}", "stages.train.weights=none"]
    if "clothing" in path.stem:  # planning checks that the files are there, which need not be the real ones
        overrides = [f"data.path={photos}", "stages.train.weights=none"]
    planned = plan(load_recipe(path, overrides))
    assert next(stage.config.kind for stage in planned.stages) == "train"


@pytest.mark.parametrize("path", BLOCKS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_block_fits_its_room(path, tmp_path):
    kind = path.parent.name
    if kind == "data":
        recipe = tmp_path / "recipe.yaml"
        train = "{kind: train, arch: tiny, weights: none}"
        recipe.write_text(f"imgc: 1\nname: block\ndata: {{use: {path}}}\nstages: [{train}]\n")
        assert load_recipe(recipe, []).recipe.data.kind == path.stem
        return
    text = (
        "imgc: 1\nname: block\nseed: 0\ndata: {kind: defects}\nstages:\n"
        "  - {kind: train, id: first, arch: tiny, weights: none}\n"
        f"  - {{kind: {kind}, use: {path}}}\n"
    )
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(text)
    assert plan(load_recipe(recipe, [])).stages[-1].config.kind == kind
