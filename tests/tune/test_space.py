from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.engine.detection.options import refuse_fit_of_classifiers
from compress.recipe.load import recipe_from_dict
from compress.recipe.plan import plan
from compress.tune.space import Base, Knobs, footprint_recipe, neighbours, recipe_of, start

BASE = Base({"kind": "folder", "path": "photos"}, {"tiny": "none"}, "tflite", None, 0, 6, 96)
SSDLITE = "ssdlite_mobilenet_v3_small"
BOXES = Base({"kind": "coco", "path": "boxes"}, {SSDLITE: "none"}, "tflite", None, 0, 70, 16, "detect")


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
    best = start("tf_mobilenetv3_small_100", 224, "classify")
    assert best.input_px == 128
    found = neighbours(best, 0.5, "classify")
    assert {one.input_px for one in found} == {96, 128, 160}
    assert found[0].input_px == 160
    assert len(found) == len(set(found)) == 7
    for one in found:
        assert sum(a != b for a, b in zip(one.model_dump().values(), best.model_dump().values(), strict=True)) == 1


@pytest.mark.parametrize("scheme", ["int8_static", "int8_qat"])
def test_a_detectors_chain_can_be_planned_and_has_no_option_that_only_classifiers_know(tmp_path: Path, scheme: Any):
    (tmp_path / "boxes").mkdir()
    recipe = recipe_of(Knobs(arch=SSDLITE, input_px=320, scheme=scheme), BOXES, "a", 0.5, "val")
    planned = plan(recipe_from_dict(recipe, tmp_path))
    given = [stage["kind"] for stage in recipe["stages"] if "fit" in stage]
    assert given == ["train", "distill", *(["quantize"] if scheme == "int8_qat" else [])]
    fits = [stage.config.fit for stage in planned.stages if stage.config.kind in given]
    for fit in fits:
        refuse_fit_of_classifiers(fit, "fit", SSDLITE)
    assert {fit.batch_size for fit in fits} == {16}


def test_a_detectors_epochs_are_those_of_the_recipe_of_the_cards():
    assert (BOXES.epochs, BOXES.distill_epochs(1), BOXES.qat_epochs(1)) == (70, 40, 4)
    assert (BOXES.distill_epochs(2), BOXES.qat_epochs(2)) == (80, 8)
    short = replace(BOXES, epochs=1)
    assert (short.distill_epochs(1), short.qat_epochs(1)) == (1, 2)


def test_detectors_begin_at_320_px_and_have_sides_of_their_own():
    best = start(SSDLITE, 448, "detect")
    assert best.input_px == 320
    assert start(SSDLITE, 192, "detect").input_px == 192
    assert {one.input_px for one in neighbours(best, 0.5, "detect")} == {256, 320, 384}


def test_squeezenet_learns_at_a_lower_rate_than_the_others():
    rates = []
    for arch in ("tiny", "squeezenet1_1"):
        recipe = recipe_of(Knobs(arch=arch, input_px=96), replace(BASE, weights={arch: "none"}), "a", 0.5, "val")
        rates += [recipe["stages"][at]["fit"]["lr"] for at in (0, 2)]
    assert rates == [2e-3, 2e-3, 5e-4, 5e-4]
