from __future__ import annotations

import pytest

from compress.tune.space import Base, Knobs, footprint_recipe, neighbours, recipe_of, start

BASE = Base({"kind": "folder", "path": "photos"}, {"tiny": "none"}, "tflite", None, 0, 6, 96)


def kinds(recipe: dict[str, object]) -> list[str]:
    stages = recipe["stages"]
    assert isinstance(stages, list)
    return [stage["kind"] for stage in stages]


def test_what_is_pruned_is_distilled_and_what_is_kept_whole_is_neither():
    knobs = Knobs(arch="tiny", input_px=128)
    assert kinds(recipe_of(knobs, BASE, "a", 1.0, "val")) == ["train", "quantize", "export", "benchmark"]
    pruned = recipe_of(knobs, BASE, "a", 0.5, "val")
    assert kinds(pruned) == ["train", "prune", "distill", "quantize", "export", "benchmark"]
    assert pruned["stages"][1]["target_params"] == 0.5


@pytest.mark.parametrize("split", ["val", "test"])
def test_only_the_benchmark_knows_the_split(split: str):
    recipe = recipe_of(Knobs(arch="tiny", input_px=128), BASE, "a", 0.5, split)
    assert [stage.get("split") for stage in recipe["stages"]] == [None] * 5 + [split]


def test_patience_lengthens_distillation_and_not_training():
    once, twice = (recipe_of(Knobs(arch="tiny", input_px=96, patience=one), BASE, "a", 0.5, "val") for one in (1, 2))
    assert once["stages"][0] == twice["stages"][0]
    assert twice["stages"][2]["fit"]["epochs"] == 2 * once["stages"][2]["fit"]["epochs"] == 16


def test_a_footprint_is_not_trained():
    recipe = footprint_recipe("tiny", 128, BASE, "a", 0.5)
    assert recipe["stages"][0]["fit"]["epochs"] == 0
    assert "distill" not in kinds(recipe)


def test_neighbours_differ_from_the_best_in_one_knob():
    best = start("tf_mobilenetv3_small_100", 224)
    assert best.input_px == 128
    found = neighbours(best, 0.5)
    assert {one.input_px for one in found} == {96, 128, 160}
    assert found[0].input_px == 160
    assert len(found) == len(set(found)) == 7
    for one in found:
        assert sum(a != b for a, b in zip(one.model_dump().values(), best.model_dump().values(), strict=True)) == 1
