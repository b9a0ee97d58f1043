"""Keys of earlier versions."""

from __future__ import annotations

import pytest

from compress.errors import RecipeError
from compress.recipe.load import load_recipe
from compress.recipe.plan import plan

SET = "stages.export.road=tensorflow"
TRAIN = "  - {kind: train, arch: tiny, weights: none}\n"


@pytest.mark.parametrize(
    ("stages", "overrides", "at"),
    [
        ("  - {kind: export, format: tflite, road: tensorflow}\n", (), "{path}:6:36"),
        (
            "  - {kind: export, format: tflite}\n",
            ("stages.export.road=tensorflow",),
            "--set stages.export.road=tensorflow",
        ),
    ],
    ids=["in a file", "by --set"],
)
def test_an_old_key_is_read_and_said_to_be_old(write, stages, overrides, at):
    path = write(TRAIN + stages)
    loaded = load_recipe(path, overrides)
    assert loaded.warnings == (
        f"{at.format(path=path)}: 'road' is the old name of 'converter'; it is still read, write 'converter'",
    )
    assert loaded.resolved["stages"][1]["converter"] == "tensorflow"
    assert plan(loaded).stages[1].config.converter == "tensorflow"
    assert "road" not in plan(loaded).resolved()["stages"][1]


def test_a_key_under_both_names_is_refused(write):
    path = write(TRAIN + "  - {kind: export, road: lower, converter: tensorflow}\n")
    with pytest.raises(RecipeError, match="'road' is the old name of 'converter', and both are given"):
        load_recipe(path)


def test_new_keys_warn_of_nothing_and_old_ones_belong_to_their_stage(write):
    assert load_recipe(write(TRAIN + "  - {kind: export, converter: lower}\n")).warnings == ()
    with pytest.raises(RecipeError, match="unknown key 'road'"):
        load_recipe(write(TRAIN + "  - {kind: prune, road: lower}\n"))


def test_a_wrong_value_under_the_old_key_is_still_refused(write):
    with pytest.raises(RecipeError, match="found 'sea', allowed: lower, tensorflow"):
        load_recipe(write(TRAIN + "  - {kind: export, road: sea}\n"))
