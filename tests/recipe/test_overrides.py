from __future__ import annotations

import pytest

from compress.errors import RecipeError
from compress.recipe.load import load_recipe

CHAIN = "  - {kind: train, weights: none}\n  - {kind: prune, keep: 0.7}\n  - {kind: prune, id: again}\n"


@pytest.mark.parametrize(
    ("override", "index", "keep"),
    [("stages.prune.keep=0.5", 1, 0.5), ("stages.1.keep=0.25", 1, 0.25), ("stages.again.keep=1", 2, 1.0)],
)
def test_a_stage_is_named_by_id_or_number(write, override, index, keep):
    assert load_recipe(write(CHAIN), [override]).recipe.stages[index].keep == keep


def test_other_values_can_be_set_too(write, folder):
    (folder / "more").mkdir()
    sets = [
        "data.path=more",
        "seed=7",
        "stages.train.fit.epochs=2",
        "stages.train.fit={lr: 0.25}",
        "name=x=y".replace("x=y", "x"),
    ]
    recipe = load_recipe(write(CHAIN), sets).recipe
    assert (recipe.data.path, recipe.seed, recipe.name) == (folder / "more", 7, "x")
    assert recipe.stages[0].fit.lr == 0.25


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("stages.prune.keep=1.5", "--set stages.prune.keep=1.5: stage 2 (prune): keep: "),
        ("stages.prune.kep=0.5", "--set stages.prune.kep=0.5: stage 2 (prune): unknown key 'kep'"),
        ("stages.prun.keep=0.5", "there is no element 'prun'; allowed: train, prune, again"),
        ("stages.9.keep=0.5", "there is no element '9'"),
        ("stages.train.fit.lr=08", "--set stages.train.fit.lr=08: '08' looks like a number"),
        ("stages.prune.keep.deep=1", "there is no 'deep' in a single value (found '0.7')"),
        ("seed", "not of the form key=value"),
        ("seed=", "not of the form key=value"),
        ("=1", "not of the form key=value"),
        ("a..b=1", "not of the form key=value"),
        ("seed=[1", "--set seed=[1: "),
    ],
)
def test_wrong_overrides_name_themselves(write, override, words):
    with pytest.raises(RecipeError) as error:
        load_recipe(write(CHAIN), [override])
    assert words in error.value.message
