from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import save_file

from compress.cli.one_stage import StageRequest, check_out, draft_run, draft_stage, format_of_out
from compress.errors import RecipeError, UsageError
from compress.models.build import build_model, new_spec

MakeRun = Callable[..., Path]
CHAIN = [{"kind": "train", "arch": "tiny", "weights": "none"}, {"kind": "prune"}, {"kind": "distill"}]
LOCAL = """
imgc: 1
name: mine
seed: 7
data: {kind: folder, path: photos}
stages:
  - {kind: train, arch: tiny, weights: none, input_px: 64, fit: {epochs: 3, lr: 0.01}}
  - {kind: prune, keep: 0.6}
  - {kind: prune, keep: 0.5, id: again}
  - {kind: distill, teacher: train, fit: {epochs: 2}}
"""


def request(kind: str, knobs: dict[str, Any] | None = None, **changes: Any) -> StageRequest:
    given: dict[str, Any] = {"source": None, "sets": [], "run": None, "data": None, "runs_dir": Path("runs")}
    return StageRequest(kind=kind, knobs=knobs or {}, device="cpu", **{**given, **changes})


@pytest.fixture
def local(folder: Path) -> Path:
    (folder / "photos").mkdir()
    (folder / "imgc.yaml").write_text(LOCAL)
    return folder


def test_a_run_starts_from_the_local_recipe(local: Path):
    draft = draft_run(request("train"), None, None)
    recipe = draft.loaded.recipe
    assert (recipe.name, recipe.seed, recipe.data.path) == ("mine", 7, local / "photos")
    assert [stage.kind for stage in recipe.stages] == ["train"]
    assert (recipe.stages[0].input_px, recipe.stages[0].fit.epochs) == (64, 3)


def test_options_win_over_the_local_recipe(local: Path):
    knobs = {"fit.epochs": 9, "input_px": None, "arch": "mobilenet_v3_small"}
    draft = draft_run(request("train", knobs, sets=["fit.lr=0.5"]), "other", 1)
    stage = draft.loaded.recipe.stages[0]
    assert (draft.name, draft.loaded.recipe.seed) == ("other", 1)
    assert (stage.arch, stage.input_px, stage.fit.epochs, stage.fit.lr) == ("mobilenet_v3_small", 64, 9, 0.5)


def test_a_run_starts_from_a_folder_and_is_named_after_it(folder: Path):
    (folder / "My Photos").mkdir()
    draft = draft_run(request("train", data=Path("My Photos")), None, None)
    assert (draft.name, draft.loaded.recipe.data.path) == ("my-photos", folder / "My Photos")


def test_weights_name_the_architecture(folder: Path):
    save_file(build_model(new_spec("tiny", ("a", "b"), 64)).state_dict(), folder / "w.safetensors")
    data = folder / "photos"
    data.mkdir()
    found = draft_run(request("train", {"weights": "w.safetensors"}, data=data), None, None)
    assert found.new[0].config.arch == "tiny"
    asked = draft_run(request("train", {"weights": "w.safetensors", "arch": "squeezenet1_1"}, data=data), None, None)
    assert asked.new[0].config.arch == "squeezenet1_1"


def test_without_images_there_is_no_run(folder: Path):
    with pytest.raises(UsageError, match="no images") as raised:
        draft_run(request("train"), None, None)
    assert "imgc init" in raised.value.hint


def test_a_verb_reads_the_newest_fitting_stage(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN)
    draft = draft_stage(request("quantize"))
    assert [stage.id for stage in draft.new] == ["quantize"]
    assert draft.new[0].inputs == {"from": "distill"}
    assert [stage.id for stage in draft.loaded.recipe.stages] == [
        *("train", "prune", "prune-sibling", "distill", "distill-sibling", "quantize")
    ]


def test_a_verb_reads_the_stage_it_is_told(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN)
    draft = draft_stage(request("prune", {"keep": 0.5}, source="train"))
    assert (draft.new[0].id, draft.new[0].inputs) == ("prune-2", {"from": "train"})
    assert draft.new[0].config.keep == 0.5


def test_export_all_adds_two_stages(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN)
    assert [stage.id for stage in draft_stage(request("export")).new] == ["export-onnx", "export-tflite"]


def test_the_local_recipe_fills_the_second_stage_of_a_kind_from_its_second_block(local: Path, make_run: MakeRun):
    make_run("r", CHAIN[:1])
    assert draft_stage(request("prune")).new[0].config.keep == 0.6
    make_run("s", CHAIN[:2])
    assert draft_stage(request("prune")).new[0].config.keep == 0.5


def test_a_teacher_that_this_run_lacks_is_left_to_the_planner(local: Path, make_run: MakeRun):
    make_run("r", [{**CHAIN[0], "id": "base"}, {"kind": "prune"}])
    assert draft_stage(request("distill")).new[0].inputs == {"from": "prune", "teacher": "base"}


def test_several_teachers_of_which_this_run_lacks_one_are_left_to_the_planner(local: Path, make_run: MakeRun):
    text = (local / "imgc.yaml").read_text()
    (local / "imgc.yaml").write_text(text.replace("teacher: train", "teacher: [train, again]"))
    make_run("r", CHAIN[:2])
    assert draft_stage(request("distill")).new[0].inputs == {"from": "prune", "teacher": "train"}
    make_run("s", [*CHAIN[:2], {"kind": "prune", "id": "again"}])
    inputs = {"from": "again", "teacher:1": "train", "teacher:2": "again"}
    assert draft_stage(request("distill")).new[0].inputs == inputs


def test_several_teachers_may_be_given_by_name(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN[:2])
    (folder / "big.onnx").write_bytes(b"x")
    new = draft_stage(request("distill", {"teacher": ["train", "big.onnx"]})).new[0]
    assert new.inputs == {"from": "prune", "teacher:1": "train", "teacher:2": folder / "big.onnx"}


def test_a_stage_that_failed_is_forgotten(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN, sealed=1)
    draft = draft_stage(request("prune", {"keep": 0.9}))
    assert [(stage.id, stage.inputs) for stage in draft.new] == [
        ("prune", {"from": "train"}),
        ("prune-sibling", {"from": "train", "like": "prune"}),
    ]


def test_a_named_run_is_continued(folder: Path, make_run: MakeRun):
    make_run("old", CHAIN[:1])
    make_run("new", CHAIN)
    draft = draft_stage(request("prune", run="old"))
    assert (draft.name, draft.new[0].inputs) == ("old", {"from": "train"})


def test_a_file_without_a_run_makes_one(folder: Path):
    (folder / "Some Model.onnx").write_bytes(b"")
    draft = draft_stage(request("export", {"format": "tflite"}, source="Some Model.onnx"))
    assert draft.name == "some-model"
    assert draft.new[0].inputs == {"from": folder / "Some Model.onnx"}
    assert draft.loaded.recipe.data is None


@pytest.mark.parametrize(
    ("path", "run", "name"),
    [
        ("runs/r/01-train/other.onnx", None, "r"),
        ("other.onnx", "r", "r"),
        ("other.onnx", None, "other"),  # tomorrow it may be another file, and the run would not go on
        ("r.onnx", None, "r-2"),
    ],
)
def test_a_file_adds_to_the_run_it_lies_in_or_that_is_named(
    folder: Path, make_run: MakeRun, path: str, run: str | None, name: str
):
    make_run("r", CHAIN)
    (folder / path).write_bytes(b"")
    draft = draft_stage(request("export", {"format": "onnx"}, source=path, run=run))
    assert (draft.name, draft.new[0].inputs) == (name, {"from": folder / path})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": "prune", "source": "missing.safetensors"}, "no such model file"),
        ({"kind": "prune", "source": "distil"}, "distil"),
        ({"kind": "prune", "knobs": {"keep": 1.5}}, "keep"),
        ({"kind": "prune", "sets": ["kep=0.5"]}, "kep"),
        ({"kind": "quantize", "knobs": {"scheme": "int9"}}, "int9"),
        ({"kind": "benchmark", "knobs": {"baseline": "nothing"}}, "nothing"),
        ({"kind": "prune", "data": Path("photos")}, "its own images"),
        ({"kind": "prune", "run": "absent"}, "absent"),
    ],
)
def test_what_cannot_be_says_why(folder: Path, make_run: MakeRun, changes: dict[str, Any], words: str):
    make_run("r", CHAIN)
    with pytest.raises((UsageError, RecipeError)) as raised:
        draft_stage(request(**changes))
    assert words in raised.value.message
    assert raised.value.hint or "no such" in raised.value.message


def test_out_is_checked_before_anything_runs(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN)
    one = draft_stage(request("export", {"format": "onnx"})).new
    check_out(Path("m.onnx"), one)
    (folder / "dir.onnx").mkdir()
    for out, new in (("m.tflite", one), ("dir.onnx", one), ("m.onnx", draft_stage(request("export")).new)):
        with pytest.raises(UsageError):
            check_out(Path(out), new)


def test_the_suffix_of_out_chooses_the_format():
    assert format_of_out(Path("a/m.TFLITE")) == "tflite"
    assert format_of_out(Path("m.onnx")) == "onnx"
    assert format_of_out(Path("m.bin")) is None
    assert format_of_out(None) is None


def test_a_new_train_stage_never_cuts_a_grown_run_back(local: Path, make_run: MakeRun):
    make_run("mine", CHAIN)
    assert draft_run(request("train"), None, None).name == "mine-2"
    make_run("mine-2", CHAIN)
    assert draft_run(request("train"), None, None).name == "mine-3"
    with pytest.raises(
        UsageError, match="has the stages train, prune, prune-sibling, distill, distill-sibling"
    ) as raised:
        draft_run(request("train"), "mine", None)
    assert "--name" in raised.value.hint


def test_training_again_stays_in_a_run_that_has_only_that(local: Path, make_run: MakeRun):
    make_run("mine", CHAIN[:1])
    assert draft_run(request("train"), None, None).name == "mine"


def test_a_run_that_begins_may_say_how_strict_its_data_is(local: Path):
    recipe = draft_run(request("train", sets=["data.on_bad_image=skip", "fit.lr=0.5"]), None, None).loaded.recipe
    assert recipe.data.on_bad_image == "skip"
    assert recipe.stages[0].fit.lr == 0.5


ARCH = {"arch": "tiny", "weights": "none"}


def test_an_architecture_starts_a_run_without_data(folder: Path):
    (folder / "images").mkdir()
    draft = draft_stage(request("quantize", {**ARCH, "calibration": "images"}))
    recipe = draft.loaded.recipe
    assert (draft.name, recipe.data, draft.new[0].inputs) == ("tiny", None, {})
    assert recipe.stages[0].calibration == folder / "images"


def test_an_architecture_with_a_folder_leaves_the_local_images_alone(local: Path):
    assert draft_stage(request("quantize", {**ARCH, "calibration": "photos"})).loaded.recipe.data is None
    assert draft_stage(request("quantize", ARCH)).loaded.recipe.data.path == local / "photos"


def test_an_architecture_never_cuts_a_run_back(folder: Path, make_run: MakeRun):
    make_run("tiny", CHAIN[:1])
    knobs = {**ARCH, "calibration": "photos"}
    assert draft_stage(request("quantize", knobs)).name == "tiny-2"
    with pytest.raises(UsageError, match="has the stages train, which a new quantize stage would remove") as raised:
        draft_stage(request("quantize", knobs, run="tiny"))
    assert "--run" in raised.value.hint
    assert draft_stage(request("quantize", knobs, run="mine")).name == "mine"


def test_the_local_recipe_may_name_the_architecture(folder: Path):
    (folder / "photos").mkdir()
    (folder / "m.onnx").write_bytes(b"")
    (folder / "imgc.yaml").write_text(
        "imgc: 1\nname: mine\nstages: [{kind: quantize, arch: tiny, weights: none, calibration: photos}]\n"
    )
    assert draft_stage(request("quantize")).new[0].config.arch == "tiny"
    config = draft_stage(request("quantize", source="m.onnx")).new[0].config
    assert (config.arch, config.weights, config.calibration) == (None, None, folder / "photos")


def test_a_recovery_that_the_local_recipe_leaves_out_may_be_asked_for(local: Path, make_run: MakeRun):
    """`recovery: null`, as a written-out recipe says it, is no block to write `epochs` into."""
    (local / "imgc.yaml").write_text(LOCAL.replace("keep: 0.6", "keep: 0.6, recovery: null"))
    make_run("r", CHAIN[:1])
    config = draft_stage(request("prune", {"recovery.epochs": 2})).new[0].config
    assert (config.keep, config.recovery.epochs) == (0.6, 2)
    assert draft_stage(request("prune")).new[0].config.recovery is None


def test_siblings_do_not_count_as_stages_of_a_kind(local: Path, make_run: MakeRun):
    blocks = "  - {kind: prune, keep: 0.5, id: again}\n"
    (local / "imgc.yaml").write_text(LOCAL.replace(blocks, blocks + "  - {kind: prune, keep: 0.4, id: third}\n"))
    make_run("r", CHAIN[:2])
    assert draft_stage(request("prune")).new[0].config.keep == 0.5
    make_run("s", [*CHAIN[:2], {"kind": "prune", "id": "b"}])
    assert draft_stage(request("prune")).new[0].config.keep == 0.4


def test_one_budget_replaces_another(local: Path, make_run: MakeRun):
    make_run("r", CHAIN[:1])
    config = draft_stage(request("prune", {"target_macs": 0.5})).new[0].config
    assert (config.keep, config.target_macs) == (None, 0.5)
    config = draft_stage(request("prune", sets=["target_params=0.5"])).new[0].config
    assert (config.keep, config.target_params) == (None, 0.5)


def test_a_teacher_given_with_set_replaces_the_local_recipes(local: Path, make_run: MakeRun):
    make_run("r", CHAIN[:2])
    (local / "w.pth").write_bytes(b"x")
    sets = ["teacher_arch=tiny", "teacher_weights=w.pth"]
    draft = draft_stage(request("distill", sets=sets))
    assert (draft.new[0].config.teacher, draft.new[0].config.teacher_arch) == (None, "tiny")
    assert draft.new[0].inputs == {"from": "prune"}


def test_pruning_brings_its_sibling_unless_it_is_not_wanted(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN[:1])
    assert [stage.id for stage in draft_stage(request("prune")).new] == ["prune", "prune-sibling"]
    assert [stage.id for stage in draft_stage(request("prune", {"sibling": False})).new] == ["prune"]
    make_run("s", CHAIN)
    assert [stage.id for stage in draft_stage(request("prune")).new] == ["prune-2", "prune-2-sibling"]
    assert [stage.id for stage in draft_stage(request("distill")).new] == ["distill-2", "distill-2-sibling"]


def test_a_run_that_was_pruned_without_a_sibling_gets_none_from_another_verb(folder: Path, make_run: MakeRun):
    """Runs of before there were siblings: exporting such a model trains nothing."""
    make_run("r", CHAIN[:2], sealed=2)
    draft = draft_stage(request("export", {"format": "onnx"}))
    assert [stage.id for stage in draft.new] == ["export"]
    assert [stage.id for stage in draft.loaded.recipe.stages] == ["train", "prune", "export"]
    assert draft.loaded.recipe.stages[1].sibling is False
    assert [stage.id for stage in draft_stage(request("distill")).new] == ["distill"]


def test_the_sibling_that_an_interrupted_run_lacks_is_not_what_the_next_verb_made(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN, sealed=4)
    draft = draft_stage(request("export", {"format": "onnx"}))
    assert [(stage.id, stage.inputs) for stage in draft.new] == [("export", {"from": "distill"})]
    check_out(Path("m.onnx"), draft.new)


def test_a_network_from_a_file_is_pruned_without_a_sibling(folder: Path):
    (folder / "photos").mkdir()
    (folder / "m.safetensors").write_bytes(b"x")
    draft = draft_stage(request("prune", source="m.safetensors", data=Path("photos")))
    assert [(stage.id, stage.inputs) for stage in draft.new] == [("prune", {"from": folder / "m.safetensors"})]


def test_a_train_stage_of_another_run_counts_as_this_runs_own(folder: Path, make_run: MakeRun):
    """A run whose train stage was taken from another run has it in its recipe: its sibling starts from there."""
    make_run("first", CHAIN[:1])
    make_run("second", CHAIN[:1])
    draft = draft_stage(request("prune", {"keep": 0.5}, run="second"))
    assert draft.name == "second"
    assert draft.new[1].config.weights == "none"
    assert draft.new[1].inputs == {"from": "train", "like": "prune"}


def test_latest_is_the_name_of_the_newest_run(folder: Path, make_run: MakeRun):
    make_run("r", CHAIN)
    assert draft_stage(request("prune", run="latest")).name == draft_stage(request("prune")).name == "r"
