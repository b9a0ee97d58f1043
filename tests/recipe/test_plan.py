from __future__ import annotations

import subprocess
import sys

import pytest

from compress.errors import RecipeError
from compress.recipe.dump import dump_yaml
from compress.recipe.load import load_recipe
from compress.recipe.plan import plan
from compress.recipe.schema import stage_kinds

CHAIN = """\
  - {kind: train, weights: none}
  - {kind: prune, keep: 0.7}
  - {kind: distill}
  - {kind: quantize}
  - {kind: export, format: all}
  - {kind: benchmark, baseline: train}
"""


def test_the_whole_chain(write):
    planned = plan(load_recipe(write(CHAIN)))
    assert [stage.folder_name for stage in planned.stages] == [
        "01-train",
        "02-prune",
        "03-prune-sibling",
        "04-distill",
        "05-distill-sibling",
        "06-quantize",
        "07-export-onnx",
        "08-export-tflite",
        "09-benchmark",
    ]
    inputs = {stage.id: stage.inputs for stage in planned.stages}
    assert inputs["train"] == {}
    assert inputs["prune"] == {"from": "train"}
    assert inputs["distill"] == {"from": "prune", "teacher": "train"}
    assert inputs["quantize"] == {"from": "distill"}
    assert inputs["export-onnx"] == inputs["export-tflite"] == {"from": "quantize"}, "both read what stood above"
    assert list(inputs["benchmark"].values()) == [*list(inputs)[:8]]
    assert [stage.config.produces for stage in planned.stages[6:8]] == ["onnx", "tflite"]


def test_a_resolved_plan_plans_to_itself(write, folder):
    planned = plan(load_recipe(write(CHAIN + "gates:\n  - {metric: top1_drop_pp, at: quantize, max: 1.5}\n")))
    path = folder / "resolved.yaml"
    path.write_text(dump_yaml(planned.resolved()))
    assert plan(load_recipe(path)) == planned


def test_files_may_stand_for_stages(write, folder):
    stages = "  - {kind: quantize, from: old.safetensors}\n  - {kind: export, from: old.onnx, format: tflite}\n"
    planned = plan(load_recipe(write(stages)))
    assert planned.stages[0].inputs == {"from": folder / "old.safetensors"}
    assert planned.stages[1].inputs == {"from": folder / "old.onnx"}


ENSEMBLE = """\
  - {kind: train, weights: none}
  - {kind: export, format: onnx}
  - {kind: distill, from: train, teacher: [export, old.safetensors, train]}
"""


def test_each_of_several_teachers_is_resolved(write, folder):
    planned = plan(load_recipe(write(ENSEMBLE)))
    assert planned.stages[2].inputs == {
        "from": "train",
        "teacher:1": "export",
        "teacher:2": folder / "old.safetensors",
        "teacher:3": "train",
    }
    path = folder.parent / "resolved.yaml"
    path.write_text(dump_yaml(planned.resolved()))
    assert plan(load_recipe(path)) == planned


@pytest.mark.parametrize(
    ("stages", "where", "words", "hint"),
    [
        ("  - {kind: prune}\n", "5:5", "needs torch as its input, and no stage above makes that", "model.safetensors"),
        (
            "  - {kind: prune, from: train}\n  - {kind: train}\n",
            "5:25",
            "'train', which stands below it: page order is run order",
            "move 'train' above 'prune'",
        ),
        ("  - {kind: train}\n  - {kind: prune, from: prune}\n", "6:25", "is this stage itself", "name a stage above"),
        ("  - {kind: train}\n  - {kind: prune, from: trian}\n", "6:25", "neither a stage above nor", "'train'?"),
        (
            "  - {kind: train, id: a}\n  - {kind: quantize, id: b}\n  - {kind: prune, from: b}\n",
            "7:25",
            "stage 'prune' takes torch as its input, but 'b' is onnx",
            "stages above that would do: a",
        ),
        (
            "  - {kind: train}\n  - {kind: prune, from: old.onnx}\n",
            "6:25",
            "/old.onnx' is onnx",
            "stages above that would do: train",
        ),
        ("  - {kind: train}\n  - {kind: prune, from: new.safetensors}\n", "6:25", "new.safetensors does not exist", ""),
        ("  - {kind: train, weights: w.pth}\n", "5:28", "weights: the file ", ""),
        ("  - {kind: train, id: a}\n  - {kind: train, id: a}\n", "6:23", "two stages with the id 'a'", ""),
        ("  - {kind: train}\n  - {kind: distill, teacher: tran}\n", "6:30", "reads 'tran'", "'train'?"),
        ("  - {kind: train, from: old.onnx}\n", "5:25", "takes no 'from'", ""),
        ("  - {kind: benchmark}\n", "5:5", "there is no model above it", ""),
        ("  - {kind: train}\n  - {kind: benchmark, models: [train, prune]}\n", "6:39", "reads 'prune'", ""),
        ("  - {kind: train}\n  - {kind: benchmark, baseline: teach}\n", "6:33", "reads 'teach'", ""),
        (
            "  - {kind: train}\n  - {kind: distill, teacher: [train, trian]}\n",
            "6:38",
            "reads 'trian'",
            "'train'?",
        ),
        (
            "  - {kind: train}\n  - {kind: export, format: tflite}\n  - {kind: distill, teacher: [train, export]}\n",
            "7:38",
            "stage 'distill' takes onnx or torch as its teacher, but 'export' is tflite",
            "stages above that would do: train",
        ),
        (
            "  - {kind: train}\n  - {kind: export, format: onnx}\n  - {kind: distill, from: export}\n",
            "7:27",
            "takes torch as its input, but 'export' is onnx",
            "stages above that would do: train",
        ),
        (
            "  - {kind: distill, from: old.safetensors}\n",
            "5:5",
            "needs onnx or torch as its teacher, and no train stage above",
            "`teacher: model.safetensors`",
        ),
        (
            "  - {kind: train}\ngates:\n  - {metric: macs, at: trian, max: 1}\n",
            "7:24",
            "gate on macs: there is no stage 'trian'; stages: train",
            "'train'?",
        ),
        (
            "  - {kind: train}\ngates:\n  - {metric: latency_p50_ms, at: train, max: 1}\n",
            "7:5",
            "no benchmark stage measures 'train'",
            "kind: benchmark",
        ),
        (
            "  - {kind: train}\n  - {kind: export, id: " + "x" * 45 + "}\n",
            "6:24",
            "id must match",
            "",
        ),
    ],
)
def test_a_plan_that_cannot_be_right(write, stages, where, words, hint):
    path = write(stages)
    with pytest.raises(RecipeError) as error:
        plan(load_recipe(path))
    assert error.value.message.startswith(f"{path}:{where}: ")
    assert words in error.value.message
    assert hint in error.value.hint


def test_data_is_looked_for_before_anything_runs(write):
    no_data = write("  - {kind: train}\n", "imgc: 1\nname: a\nstages:\n")
    with pytest.raises(RecipeError, match=r"recipe.yaml:4:5: stage 'train' reads images, but the recipe has no data"):
        plan(load_recipe(no_data))
    for block, words in (
        ("{kind: folder, path: images}", "there is no folder"),
        ("{kind: csv, path: photos}", "there is no manifest file"),
    ):
        path = write("  - {kind: train}\n", f"imgc: 1\nname: a\ndata: {block}\nstages:\n")
        with pytest.raises(RecipeError, match=words) as error:
            plan(load_recipe(path))
        assert error.value.message.startswith(f"{path}:3:")


def test_the_kinds_come_in_the_order_of_a_chain():
    chain = ["train", "prune", "distill", "quantize", "export", "benchmark"]
    assert [kind for kind in stage_kinds() if kind in chain] == chain


@pytest.mark.parametrize(
    ("stages", "code", "fact"),
    [
        ("  - {kind: prune}\n", "no-input", ("instead", None)),
        ("  - {kind: quantize}\n", "no-input", ("instead", ("arch", "weights"))),
        ("  - {kind: distill, from: old.safetensors}\n", "no-teacher", ("at", "recipe.yaml:5:5")),
        ("  - {kind: prune, keep: 0.5, target_macs: 0.4}\n", "two-budgets", ("found", ["keep", "target_macs"])),
        ("  - {kind: prune, kep: 0.5}\n", "extra-forbidden", ("place", "stage 1 (prune): kep")),
        ("  - {kind: prune, keep: 2}\n  - {kind: export, opset: 1}\n", "several-faults", None),
    ],
)
def test_a_fault_has_a_code_and_facts(write, stages, code, fact):
    with pytest.raises(RecipeError) as caught:
        plan(load_recipe(write(stages)))
    assert caught.value.code == code
    if fact:
        found = caught.value.facts[fact[0]]
        assert str(found).endswith(fact[1]) if fact[0] == "at" else found == fact[1]


def test_missing_images_have_a_code_and_facts(write):
    with pytest.raises(RecipeError) as caught:
        plan(load_recipe(write("  - {kind: train}\n", head="imgc: 1\nname: demo\nstages:\n")))
    assert (caught.value.code, caught.value.facts["stage"], caught.value.facts["instead"]) == ("no-data", "train", None)


def test_planning_loads_no_backend(write):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from compress.recipe.load import load_recipe\nfrom compress.recipe.plan import plan\n"
        "import compress.pipeline.runner, compress.pipeline.current, compress.pipeline.explain\n"
        f"plan(load_recipe(Path({str(write(CHAIN))!r})))\n"
        "heavy = {'torch', 'tensorflow', 'onnx', 'onnxruntime', 'PIL', 'fastapi', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def _without_data(folder, stage):
    (folder / "q.yaml").write_text(f"imgc: 1\nname: q\nstages:\n  - {{kind: quantize, {stage}}}\n")
    return plan(load_recipe(folder / "q.yaml"))


def test_an_architecture_and_a_folder_need_neither_data_nor_a_stage_above(folder):
    (folder / "imagenet").mkdir()
    planned = _without_data(folder, "arch: tiny, weights: imagenet, calibration: imagenet")
    config = planned.stages[0].config
    assert (planned.data, planned.stages[0].inputs) == (None, {})
    assert (config.weights, config.calibration) == ("imagenet", folder / "imagenet"), "a folder may have any name"
    again = folder / "again.yaml"
    again.write_text(dump_yaml(planned.resolved()))
    assert plan(load_recipe(again)) == planned


@pytest.mark.parametrize(
    ("stage", "words", "hint"),
    [
        ("arch: tiny, calibration: absent", "q.yaml:4:47: calibration: ", "allowed: a folder of images"),
        ("arch: tiny, calibration: old.onnx", "old.onnx is a file", "or a .csv"),
        ("arch: tiny, weights: absent.safetensors, calibration: photos", "weights: the file", ""),
        ("arch: tiny", "the recipe has no data", "calibration: FOLDER"),
        ("arch: tiny, calibration: photos, scheme: int8_qat", "the recipe has no data", "int8_static"),
        ("arch: tiny, from: old.onnx, calibration: photos", "not both", ""),
        ("calibration: photos", "needs onnx or torch", "`arch:`"),
    ],
)
def test_what_a_quantize_stage_without_data_cannot_be(folder, stage, words, hint):
    with pytest.raises(RecipeError) as raised:
        _without_data(folder, stage)
    assert words in raised.value.message
    assert hint in raised.value.hint
