from __future__ import annotations

from pathlib import Path

import pytest

from compress.errors import RecipeError
from compress.recipe.load import MAX_BYTES, load_recipe, recipe_from_dict

CHAIN = "  - {kind: train, weights: none}\n  - {kind: prune, keep: 0.7}\n"


def test_a_right_recipe_is_typed_and_its_paths_absolute(write, folder):
    loaded = load_recipe(
        write("  - {kind: train, weights: old.safetensors}\n  - {kind: prune, from: old.safetensors}\n")
    )
    assert loaded.recipe.name == "demo"
    assert loaded.recipe.data.path == folder / "photos"
    assert loaded.recipe.stages[0].files() == {"weights": folder / "old.safetensors"}
    assert loaded.recipe.stages[1].from_ == str(folder / "old.safetensors")
    assert loaded.resolved["data"]["path"] == str(folder / "photos")
    assert loaded.text.startswith("imgc: 1")
    assert str(loaded.position("stages", 1, "from")).endswith("recipe.yaml:6:25")


@pytest.mark.parametrize(
    ("stages", "where", "words", "hint"),
    [
        (
            "  - {kind: train}\n  - {kind: prune, kep: 0.7}\n",
            "6:19",
            "stage 2 (prune): unknown key 'kep'; allowed: ",
            "'keep'",
        ),
        ("  - {kind: train, weights: none}\n  - {kind: prune, keep: most}\n", "6:25", "stage 2 (prune): keep: ", ""),
        ("  - {kind: train}\n  - {kind: prune, keep: 0.5, keep: 0.7}\n", "6:30", "duplicate key 'keep'", ""),
        ("  - {kind: train}\n  - {kind: pruen}\n", "6:12", "unknown kind 'pruen'; allowed: train, prune,", "'prune'"),
        ("  - {kind: train}\n  - {kind: prune, keep: 0}\n", "6:25", "greater than 0, found 0", ""),
        ("  - {kind: train}\n  - {kind: prune, keep: 1.5}\n", "6:25", "less than or equal to 1, found 1.5", ""),
        ("  - {kind: train}\n  - {kind: prune, keep: '0.5'}\n", "6:25", "found '0.5'", ""),
        ("  - {kind: train, fit: {epochs: 2, lrr: 1}}\n", "5:36", "unknown key 'lrr'; allowed: epochs", "'lr'"),
        ("  - {kind: train, fit: {lr: 08}}\n", "5:29", "'08' looks like a number", "leading zeros"),
        ("  - {kind: train, arch: 3.10}\n", "5:25", "found 3.10 (which YAML reads as 3.1)", ""),
        ("  - {kind: train, arch: no}\n", "5:25", "found no (which YAML reads as false)", ""),
        ("  - {keep: 0.5}\n", "5:5", "the key 'kind' is missing", ""),
        ("  - train\n", "5:5", "stage 1: should be an object, found 'train'", ""),
        ("  - {kind: train, id: Hello World}\n", "5:23", "id must match", ""),
        (
            "  - {kind: quantize, scheme: int8_statik}\n",
            "5:30",
            "found 'int8_statik', allowed: int8_static",
            "'int8_static'",
        ),
        (
            "  - {kind: train}\ngates:\n  - {metric: top1_drop, at: train, max: 1}\n",
            "7:14",
            "top1_drop_pp",
            "'top1_drop_pp'",
        ),
        ("  - {kind: train}\ngates:\n  - {metric: macs, at: train}\n", "7:5", "needs min or max", ""),
        ("  - {kind: train}\ncolour: red\n", "6:1", "the recipe: unknown key 'colour'; allowed: imgc, name", ""),
        ("  []\n", "5:3", "stages: a recipe has 1 to 99 stages, found 0", ""),
    ],
)
def test_a_bad_recipe_is_refused_with_file_line_and_column(write, stages, where, words, hint):
    path = write(stages)
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert error.value.message.startswith(f"{path}:{where}: ")
    assert words in error.value.message
    assert hint in error.value.hint
    assert error.value.exit_code == 2


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("imgc: 2\nname: a\nstages:\n", ":1:7: imgc: found 2, allowed: 1"),
        ("name: a\nstages:\n", ":1:1: the recipe: the key 'imgc' is missing"),
        ("imgc: 1\nname: latest\nstages:\n", ":2:7: name: 'latest' is the link"),
        ("imgc: 1\nname: ../up\nstages:\n", ":2:7: name: "),
        ("imgc: 1\nname: a\nseed: yes\nstages:\n", ":3:7: seed: should be a valid integer, found yes"),
        (
            "imgc: 1\nname: a\ndata: {kind: foldr, path: x}\nstages:\n",
            ":3:14: data: unknown kind 'foldr'; allowed: folder",
        ),
        ("imgc: 1\nname: a\ndata: {kind: folder, pth: x}\nstages:\n", "unknown key 'pth'; allowed: on_bad_image"),
    ],
)
def test_a_bad_head_is_refused(write, head, words):
    path = write("  - {kind: train}\n", head)
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert words in error.value.message


def test_every_fault_is_told_at_once(write):
    path = write("  - {kind: train, input_px: big}\n  - {kind: prune, keep: 2, kep: 1}\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    assert [line.split(": ")[0].rsplit("recipe.yaml", 1)[1] for line in error.value.message.splitlines()] == [
        ":5:29",
        ":6:25",
        ":6:28",
    ]


def test_files_that_are_no_recipe(tmp_path):
    empty = tmp_path / "empty.yaml"
    empty.touch()
    a_list = tmp_path / "list.yaml"
    a_list.write_text("- 1\n")
    large = tmp_path / "large.yaml"
    large.write_text("#" * (MAX_BYTES + 1))
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\n")
    for path, words in (
        (empty, f"{empty}:1:1: there is nothing in it"),
        (a_list, f"{a_list}:1:1: a recipe is a mapping"),
        (large, "larger than"),
        (binary, f"{binary}:2:1: not UTF-8"),
        (tmp_path / "none.yaml", "no such file"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(RecipeError) as error:
            load_recipe(path)
        assert words in error.value.message


def test_use_merges_a_block_beneath_the_given_keys(write, folder):
    (folder / "configs").mkdir()
    block = folder / "configs" / "t.yaml"
    block.write_text("kind: train\nweights: none\ninput_px: 64\nfit: {epochs: 3, lr: 0.5}\n")
    stages = load_recipe(write("  - {use: configs/t.yaml, input_px: 96, fit: {epochs: 9}}\n")).recipe.stages
    assert (stages[0].input_px, stages[0].fit.epochs, stages[0].fit.lr) == (96, 9, 0.5)
    below = folder / "recipes"
    below.mkdir()
    (below / "r.yaml").write_text("imgc: 1\nname: a\ndata: {kind: folder, path: x}\nstages: [{use: configs/t.yaml}]\n")
    assert load_recipe(below / "r.yaml").recipe.stages[0].input_px == 64, "found in a folder above"
    block.write_text("kind: train\ninput_px: wide\n")
    with pytest.raises(RecipeError) as error:
        load_recipe(write("  - {use: configs/t.yaml}\n"))
    assert error.value.message.startswith(f"{block}:2:11: "), "the fault is in the block"


def test_wrong_uses(write, folder):
    (folder / "loop.yaml").write_text("use: loop.yaml\n")
    (folder / "prune.yaml").write_text("kind: prune\n")
    for stage, words in (
        ("{use: nowhere.yaml}", "is neither in"),
        ("{use: loop.yaml}", "does a block use itself?"),
        ("{kind: train, use: prune.yaml}", "is for kind prune, but this is kind train"),
        ("{use: 3}", "wants the name of a YAML file"),
    ):
        with pytest.raises(RecipeError, match=r"recipe.yaml:5:|loop.yaml:1:") as error:
            load_recipe(write(f"  - {stage}\n"))
        assert words in error.value.message


def test_a_recipe_from_memory(folder):
    tree = {"imgc": 1, "name": "a", "data": {"kind": "folder", "path": "photos"}, "stages": [{"kind": "train"}]}
    assert recipe_from_dict(tree, folder).recipe.data.path == folder / "photos"
    with pytest.raises(RecipeError, match=r"^imgc prune: stage 1 \(prune\): keep: .*found 2"):
        recipe_from_dict({**tree, "stages": [{"kind": "prune", "keep": 2}]}, folder, source="imgc prune")


def test_home_is_understood(write, folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder))
    path = write("  - {kind: train}\n", "imgc: 1\nname: a\ndata: {kind: folder, path: ~/photos}\nstages:\n")
    assert load_recipe(path).recipe.data.path == Path(folder / "photos")


def test_a_path_that_reads_like_a_kind_or_a_name(folder):
    (folder / "folder").mkdir(exist_ok=True)
    tree = {"imgc": 1, "name": "folder", "data": {"kind": "folder", "path": "folder"}, "stages": [{"kind": "train"}]}
    loaded = recipe_from_dict(tree, folder)
    assert loaded.recipe.name == "folder"
    assert loaded.recipe.data.kind == "folder"
    assert loaded.recipe.data.path == folder / "folder"
