from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typer.testing import Result

from compress.cli.recipe_draft import RecipeDraft, data_block, recipe_text, slug
from compress.models.build import build_model, new_spec
from compress.recipe.json_schema import recipe_schema
from compress.recipe.load import load_recipe
from compress.recipe.plan import plan

Imgc = Callable[..., Result]


def test_the_recipe_is_the_whole_chain_and_plans(imgc: Imgc, folder: Path, photos: Path):
    result = imgc("init", photos, "--weights", "none", "--seed", "3")
    assert result.exit_code == 0, result.output
    assert "24" in result.stdout
    planned = plan(load_recipe(folder / "imgc.yaml"))
    assert [stage.id for stage in planned.stages] == [
        "train",
        "prune",
        "prune-sibling",
        "distill",
        "distill-sibling",
        "float-onnx",
        "float-tflite",
        "quantize",
        "export-onnx",
        "export-tflite",
        "benchmark",
    ]
    assert (planned.seed, planned.data.path) == (3, photos)
    assert planned.stages[0].config.weights == "none"
    assert planned.stages[1].config.keep == 0.7
    assert planned.stages[7].config.scheme == "int8_qat"
    assert planned.stages[7].inputs == {"from": "distill"}


def _weights(path: Path, arch: str) -> None:
    spec = new_spec(arch, ("a", "b"), 64)
    save_file(build_model(spec).state_dict(), path)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_weights_name_the_architecture_where_nobody_does(imgc: Imgc, folder: Path, photos: Path, name: str):
    network = build_model(new_spec("squeezenet1_1", ("a", "b"), 64))
    (save_file if name.endswith("s") else torch.save)(network.state_dict(), folder / name)
    result = imgc("init", photos, "--weights", name)
    assert result.exit_code == 0, result.output
    assert f"{name}: weights of squeezenet1_1, so that is the architecture" in result.stderr
    assert plan(load_recipe(folder / "imgc.yaml")).stages[0].config.arch == "squeezenet1_1"
    assert imgc("plan").exit_code == 0, "./imgc.yaml is the recipe"


@pytest.mark.parametrize(("arch", "hint"), [("squeezenet1_1", "--arch squeezenet1_1 fits"), (None, "fit no arch")])
def test_weights_of_another_architecture_name_it(imgc: Imgc, folder: Path, photos: Path, arch: str | None, hint: str):
    if arch:
        _weights(folder / "w.safetensors", arch)
    else:
        save_file({"x": torch.zeros(2)}, folder / "w.safetensors")
    result = imgc("init", photos, "--weights", "w.safetensors", "--arch", "mobilenet_v3_small")
    assert result.exit_code == 2
    assert "--weights w.safetensors: not the tensors of --arch mobilenet_v3_small" in result.stderr
    assert hint in result.stderr
    assert not (folder / "imgc.yaml").exists()


def test_paths_are_relative_to_the_recipe(imgc: Imgc, folder: Path, photos: Path):
    (folder / "images").symlink_to(photos)
    _weights(folder / "w.safetensors", "mobilenet_v3_small")
    out = Path("deep/er/mine.yaml")
    result = imgc("init", "images", "--weights", "w.safetensors", "--out", out)
    assert result.exit_code == 0, result.output
    text = (folder / out).read_text()
    assert 'path: "../../images"' in text
    assert 'weights: "../../w.safetensors"' in text
    assert load_recipe(folder / out).recipe.data.path.resolve() == photos.resolve()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--arch", "mobilenet_v3_smal"], "did you mean 'mobilenet_v3_small'"),
        (["--weights", "imagenett"], "imagenet, none"),
        (["--weights", "absent.pth"], "no such file"),
    ],
)
def test_what_cannot_be_trained_is_refused_at_once(
    imgc: Imgc, folder: Path, photos: Path, options: list[str], words: str
):
    result = imgc("init", photos, *options)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (folder / "imgc.yaml").exists()


def test_names_with_odd_characters_survive_yaml(folder: Path):
    (folder / "p: #1 'x' \"y\"").mkdir()
    block = data_block(Path("p: #1 'x' \"y\""), Path())
    draft = RecipeDraft("1e3", 0, block, "tiny", "none", 64, 100)
    (folder / "r.yaml").write_text(recipe_text(draft, "none"))
    recipe = load_recipe(folder / "r.yaml").recipe
    assert (recipe.name, recipe.data.path) == ("1e3", folder / "p: #1 'x' \"y\"")


def test_a_folder_name_becomes_a_run_name():
    assert slug("My Photos (2024)") == "my-photos-2024"
    assert slug("---") == "run"
    assert data_block(Path("a.csv"), Path())["kind"] == "csv"


def test_a_damaged_image_stops_it_or_is_left_out(imgc: Imgc, folder: Path, photos: Path):
    shutil.copytree(photos, folder / "mine")
    (folder / "mine/train/red/bad.jpg").write_bytes(b"")
    refused = imgc("init", "mine", "--arch", "tiny")
    assert refused.exit_code == 2
    assert "bad.jpg" in refused.stderr
    assert not Path("imgc.yaml").exists()
    accepted = imgc("init", "mine", "--arch", "tiny", "--on-bad-image", "skip")
    assert accepted.exit_code == 0, accepted.output
    assert load_recipe(Path("imgc.yaml")).recipe.data.on_bad_image == "skip"
    assert imgc("init", "mine", "--on-bad-image", "ignore", "--force").exit_code == 2


def test_a_name_that_no_run_can_have_is_refused_before_anything_is_written(imgc: Imgc, folder: Path, photos: Path):
    assert imgc("init", photos, "--arch", "tiny", "--name", "a b").exit_code == 2
    assert not Path("imgc.yaml").exists()


def test_editors_find_the_schema_beside_the_recipe(imgc: Imgc, folder: Path, photos: Path):
    (folder / "sub").mkdir()
    assert imgc("init", photos, "--arch", "tiny", "--out", "sub/mine.yaml").exit_code == 0
    first = (folder / "sub" / "mine.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=imgc.schema.json"
    assert json.loads((folder / "sub" / "imgc.schema.json").read_text()) == recipe_schema()


def _classes(root: Path, **counts: int) -> Path:
    for number, (label, count) in enumerate(counts.items()):
        (root / label).mkdir(parents=True)
        for index in range(count):
            noise = np.random.default_rng(100 * number + index).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / label / f"{index}.png")
    return root


def test_classes_of_few_images_are_named(imgc: Imgc, folder: Path):
    _classes(folder / "set", rare=2, usual=12, scarce=9)
    result = imgc("init", "set", "--weights", "none")
    assert result.exit_code == 0, result.output
    assert "2 classes have fewer than 10 images: rare (2), scarce (9)" in result.stderr


def test_a_folder_around_the_class_folders_is_pointed_out(imgc: Imgc, folder: Path):
    _classes(folder / "download" / "set", cat=3, dog=3)
    result = imgc("init", "download", "--weights", "none")
    assert result.exit_code == 2
    assert "did you mean download/set?" in result.stderr
    (folder / "download" / "annotations").mkdir()
    assert "did you mean download/set?" in imgc("init", "download", "--weights", "none").stderr


def test_without_a_recipe_run_says_how_to_get_one(imgc: Imgc, folder: Path):
    result = imgc("run")
    assert result.exit_code == 2
    assert "no recipe given, and there is no ./imgc.yaml" in result.stderr
    assert "imgc init IMAGES writes one" in result.stderr
    (folder / "imgc.yaml").write_text("imgc: 1\nname: x\nstages: []\n")
    assert "imgc.yaml" in imgc("run").stderr
    assert imgc("plan").exit_code == 2


def test_the_quick_chain_is_short_and_runs_to_a_checked_file(imgc: Imgc, folder: Path, photos: Path):
    result = imgc("init", photos, "--quick", "--arch", "tiny", "--input-px", "32")
    assert result.exit_code == 0, result.output
    planned = plan(load_recipe(folder / "imgc.yaml"))
    assert [stage.id for stage in planned.stages] == ["train", "float", "quantize", "export", "benchmark"]
    assert planned.stages[0].config.fit.epochs == 40
    assert planned.stages[4].config.quick
