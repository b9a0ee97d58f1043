"""The stages that the planner adds beside what is pruned, so that pruning is compared with training small at once."""

from __future__ import annotations

import pytest

from compress.errors import RecipeError
from compress.pipeline.key import key_of, key_parts
from compress.prune.config import PruneConfig
from compress.recipe.dump import dump_yaml
from compress.recipe.load import load_recipe
from compress.recipe.plan import plan
from compress.recipe.siblings import is_sibling, twin_of
from compress.train.config import TrainConfig

TRAIN = "  - {kind: train, arch: tiny, weights: none, fit: {epochs: 3, lr: 0.01}}\n"
PRUNE = "  - {kind: prune, target_macs: 0.5, min_width: 16, protect: [conv_head], runtime: tflite}\n"
IN_ROUNDS = "  - {kind: prune, keep: 0.5, rounds: 3, recovery: {epochs: 2}}\n"


@pytest.fixture
def planned(write):
    """Return a function from the stages of a recipe to id -> planned stage."""

    def _planned(stages):
        return {stage.id: stage for stage in plan(load_recipe(write(stages))).stages}

    return _planned


def test_beside_a_pruned_network_stands_the_stock_one(planned):
    stages = planned(TRAIN + PRUNE)
    assert list(stages) == ["train", "prune", "prune-sibling"]
    assert [stage.index for stage in stages.values()] == [1, 2, 3]
    sibling = stages["prune-sibling"]
    assert sibling.inputs == {"from": "train", "like": "prune"}
    config = sibling.config
    assert (config.like, config.from_, config.weights) == ("prune", "train", "none")
    assert (config.target_macs, config.keep, config.importance, config.scope) == (None, None, "l2", "local")
    assert (config.min_width, config.protect, config.runtime) == (16, ("conv_head",), "tflite")
    assert (config.alpha, config.rounds, config.sensitivity, config.sibling) == (0.0, 1, False, False)
    assert config.recovery.model_dump() == stages["train"].config.fit.model_dump(), "trained as the first network was"


def test_it_trains_for_all_the_epochs_that_the_pruned_network_had(planned):
    stages = planned(TRAIN + IN_ROUNDS)
    assert stages["prune-sibling"].config.recovery.epochs == 3 + 3 * 2
    assert stages["prune-sibling"].config.recovery.lr == 0.01
    stages = planned(TRAIN + "  - {kind: distill, fit: {epochs: 4}}\n" + IN_ROUNDS)
    assert list(stages) == ["train", "distill", "prune", "prune-sibling"]
    assert stages["prune-sibling"].config.recovery.epochs == 3 + 4 + 3 * 2
    assert stages["prune-sibling"].inputs == {"from": "train", "like": "prune"}


def test_it_has_a_teacher_where_the_pruned_network_had_one(planned):
    assert planned(TRAIN + IN_ROUNDS)["prune-sibling"].config.alpha == 0.5, "the recovery's"
    stages = planned(TRAIN + "  - {kind: distill, alpha: 0.7, fit: {epochs: 4}}\n" + PRUNE)
    assert stages["prune-sibling"].config.alpha == 0.7


def test_what_trains_the_pruned_network_further_trains_the_sibling_too(planned):
    stages = planned(TRAIN + PRUNE + "  - {kind: distill, temperature: 3, fit: {epochs: 4}}\n  - {kind: quantize}\n")
    assert list(stages) == ["train", "prune", "prune-sibling", "distill", "distill-sibling", "quantize"]
    assert stages["distill"].inputs == {"from": "prune", "teacher": "train"}
    assert stages["distill-sibling"].inputs == {"from": "prune-sibling", "teacher": "train"}
    own, other = (stages[name].config.model_dump(exclude={"id", "from_"}) for name in ("distill", "distill-sibling"))
    assert own == other
    assert stages["quantize"].inputs == {"from": "distill"}


def test_a_network_that_is_pruned_twice_has_a_sibling_each_time(planned):
    stages = planned(TRAIN + "  - {kind: prune, id: a, keep: 0.7}\n  - {kind: prune, id: b, keep: 0.5}\n")
    assert list(stages) == ["train", "a", "a-sibling", "b", "b-sibling"]
    assert stages["b"].inputs == {"from": "a"}
    assert stages["b-sibling"].inputs == {"from": "train", "like": "b"}


def test_who_names_no_input_never_means_a_sibling(planned):
    stages = planned(
        TRAIN
        + PRUNE
        + "  - {kind: export, id: e, format: onnx}\n  - {kind: distill}\n  - {kind: quantize}\n  - {kind: benchmark}\n"
    )
    assert stages["e"].inputs == {"from": "prune"}
    assert stages["quantize"].inputs == {"from": "distill"}
    read = list(stages["benchmark"].inputs.values())
    assert {"prune-sibling", "distill-sibling"} <= set(read), "a benchmark of everything measures them"
    assert planned(TRAIN + PRUNE + "  - {kind: quantize, from: prune-sibling}\n")["quantize"].inputs == {
        "from": "prune-sibling"
    }


@pytest.mark.parametrize(
    "stages",
    [
        TRAIN + PRUNE,
        TRAIN + IN_ROUNDS + "  - {kind: distill}\n  - {kind: export, format: all}\n  - {kind: benchmark}\n",
        TRAIN + PRUNE + "  - {kind: distill, id: one}\n  - {kind: distill, id: two, from: prune}\n",
        TRAIN + "  - {kind: prune, id: a}\n  - {kind: prune, id: b}\n  - {kind: distill}\n  - {kind: distill, id: c}\n",
        TRAIN + PRUNE + "  - {kind: prune, id: mine, from: train, like: prune, weights: none}\n  - {kind: distill}\n",
        TRAIN + "  - {kind: prune, sibling: false}\n  - {kind: distill}\n",
    ],
)
def test_a_plan_written_out_plans_to_itself(write, folder, stages):
    planned = plan(load_recipe(write(stages)))
    path = folder / "resolved.yaml"
    path.write_text(dump_yaml(planned.resolved()))
    again = plan(load_recipe(path))
    assert again == planned
    assert dump_yaml(again.resolved()) == path.read_text()


def test_a_sibling_written_by_hand_takes_the_place_of_the_planned_one(planned):
    own = "  - {kind: prune, id: mine, from: train, like: prune, weights: imagenet, recovery: {epochs: 7}}\n"
    stages = planned(TRAIN + PRUNE + own + "  - {kind: distill}\n  - {kind: quantize}\n")
    assert list(stages) == ["train", "prune", "mine", "distill", "distill-sibling", "quantize"]
    assert stages["mine"].config.recovery.epochs == 7
    assert stages["distill"].inputs["from"] == "prune", "not the one by hand, which is newer"
    assert stages["distill-sibling"].inputs["from"] == "mine"


@pytest.mark.parametrize(
    "stages",
    [
        TRAIN + "  - {kind: prune, sibling: false}\n  - {kind: distill}\n",
        "  - {kind: prune, from: old.safetensors}\n",
        TRAIN + "  - {kind: prune, from: old.safetensors}\n",
        TRAIN + "  - {kind: distill}\n",
        TRAIN + "  - {kind: prune, like: old.safetensors, weights: none}\n  - {kind: distill, from: train}\n",
    ],
    ids=["not wanted", "a file", "a file in a run", "nothing pruned", "like a file"],
)
def test_where_there_is_no_sibling(planned, stages):
    assert len(planned(stages)) == stages.count("kind:")


def test_what_is_like_a_file_is_a_sibling_too_and_never_the_newest(planned):
    stages = planned(TRAIN + "  - {kind: prune, like: old.safetensors, weights: none}\n  - {kind: quantize}\n")
    assert stages["quantize"].inputs == {"from": "train"}


def test_an_id_that_is_too_long_for_its_sibling_is_named_with_its_place(write):
    path = write(TRAIN + f"  - {{kind: prune, id: {'x' * 45}}}\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:6:\d+: .*id must match"):
        plan(load_recipe(path))
    assert plan(load_recipe(write(TRAIN + f"  - {{kind: prune, sibling: false, id: {'x' * 45}}}\n")))


def test_whether_there_is_a_sibling_is_not_part_of_the_key():
    keys = [
        key_of(key_parts(PruneConfig(keep=keep, sibling=sibling), {"from": "1"}, 0, lambda: "photos"))
        for keep, sibling in ((0.5, True), (0.5, False), (0.6, False))
    ]
    assert keys[0] == keys[1] != keys[2]


def test_the_option_names_of_a_sibling_are_those_of_the_stage():
    train = TrainConfig(arch="tiny", weights="none", id="train")
    pruned = PruneConfig(id="p", keep=0.5, importance="fisher", scope="global", sensitivity=True)
    config = pruned.make_sibling([train, pruned], None)
    assert (config.importance, config.scope, config.sensitivity) == ("l2", "local", False)
    assert (config.from_, config.compared_with, config.wants_sibling) == ("train", "p", False)
    assert pruned.make_sibling([pruned], None) is None


@pytest.mark.parametrize(
    ("stage_id", "like", "twin", "sibling"),
    [
        ("prune-sibling", "prune", "prune", True),
        ("mine", "prune", "prune", True),
        ("distill-sibling", None, "distill", True),
        ("mine", "/models/old.safetensors", None, True),
        ("prune", None, None, False),
        ("other-sibling", None, None, False),
    ],
)
def test_who_is_whose_sibling(stage_id, like, twin, sibling):
    ids = ["train", "prune", "distill", stage_id]
    assert twin_of(stage_id, like, ids) == twin
    assert is_sibling(stage_id, like, ids) == sibling
