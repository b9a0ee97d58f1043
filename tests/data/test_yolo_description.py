"""YOLO: what data.yaml says of classes and folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.dataset import BoxesData
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.data.yolo import is_yolo, list_yolo
from compress.errors import DataError
from tests.data.test_yolo import BOLT, NUT, describe, exported, listed, write


def names_of(folder: Path, split: str = "train") -> list[str]:
    return [entry.name for entry in listed(folder)[split]]


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return exported(tmp_path)


@pytest.mark.parametrize(
    ("given", "labels"),
    [(["nut", "bolt"], ("nut", "bolt")), ({1: "bolt", 0: "nut"}, ("nut", "bolt")), ([8, 2.5], ("8", "2.5"))],
)
def test_names_are_a_list_or_a_mapping(export: Path, given, labels):
    describe(export, names=given)
    assert list_yolo(export, SilentReporter())[1] == labels


def test_more_than_ten_names_are_in_the_order_of_their_numbers(export: Path):
    describe(export, names={number: f"c{number}" for number in reversed(range(12))})
    assert list_yolo(export, SilentReporter())[1] == tuple(f"c{number}" for number in range(12))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (None, "a list of class names is wanted"),
        (2, "a list of class names is wanted"),
        ("nut", "a list of class names is wanted"),
        ([["nut"], "bolt"], "a list of class names is wanted"),
        ({0: "nut", 2: "bolt"}, "the numbers are not 0 to 1"),
        ({1: "nut", 2: "bolt"}, "the numbers are not 0 to 1"),
        ({"nut": 0, "bolt": 1}, "the numbers are not 0 to 1"),
        ([], "no categories"),
        ({}, "no categories"),
        (["nut", "nut"], "two categories have the name 'nut'"),
    ],
)
def test_names_that_are_none_are_errors(export: Path, given, words):
    describe(export, names=given)
    with pytest.raises(DataError, match=rf"data\.yaml: .*{words}"):
        list_yolo(export, SilentReporter())


def test_a_class_may_be_called_no(export: Path):
    (export / "data.yaml").write_text("train: train/images\nval: null\nnames: [no, 1.0]\n")
    assert list_yolo(export, SilentReporter())[1] == ("no", "1.0")


@pytest.mark.parametrize("name", ["a" * 300, "/".join(["folder"] * 500)])
def test_a_name_that_no_file_can_have_is_said(export: Path, name: str):
    describe(export, train=name)
    with pytest.raises(DataError, match="is not below"):
        list_yolo(export, SilentReporter())


@pytest.mark.parametrize(
    "content",
    [
        {"train": "./train/images"},
        {"train": "../train/images"},
        {"train": "../../train/images"},
        {"train": "./../train/images"},
        {"train": "train\\images"},
        {"train": ["train/images"]},
        {"path": "train", "train": "images"},
        {"path": "train/", "train": "./images"},
        {"path": "/train", "train": "images"},
        {"path": "/content/datasets/set"},
        {"path": "../outside"},
        {"path": "."},
    ],
    ids=str,
)
def test_paths_mean_folders_below_that_of_the_file(export: Path, content):
    describe(export, **content)
    assert names_of(export) == ["train/images/a.png"]


@pytest.mark.parametrize(
    "content",
    [
        {"train": "gone"},
        {"train": "../outside/images"},
        {"train": "train/../../outside/images"},
        {"train": "..\\outside\\images"},
        {"path": "../outside", "train": "images"},
        {"path": "train/../../outside", "train": "images"},
        {"train": ["train/images", "../outside/images"]},
        {"val": "../outside/images"},
    ],
    ids=str,
)
def test_folders_outside_are_not_read(export: Path, content):
    describe(export, **content)
    with pytest.raises(DataError, match=rf"is not below {export}"):
        list_yolo(export, SilentReporter())


def test_absolute_paths_are_not_read(export: Path):
    describe(export, train=str(export / "train" / "images"))
    with pytest.raises(DataError, match="is not below") as caught:
        list_yolo(export, SilentReporter())
    assert "relative" in caught.value.hint


def test_a_text_file_lists_images_and_each_counts_once(export: Path):
    for name in ("b.png", "c.png"):
        write(export / "train", name, NUT)
    (export / "some.txt").write_text("./train/images/b.png\n\n  train\\images\\a.png \ntrain/images/b.png\n")
    describe(export, train="some.txt")
    assert names_of(export) == ["train/images/a.png", "train/images/b.png"]
    describe(export, train=["some.txt", "train/images"])
    assert names_of(export) == ["train/images/a.png", "train/images/b.png", "train/images/c.png"]
    (export / "some.txt").write_text("train/images/a.png\n../outside/images/b.png\n")
    with pytest.raises(DataError, match=rf"some\.txt: '\.\./outside/images/b\.png' is not below {export}"):
        list_yolo(export, SilentReporter())


@pytest.mark.parametrize("key", ["val", "valid"])
def test_splits_are_those_that_the_file_names_of(export: Path, key: str):
    for split in ("val", "test"):
        write(export / split, f"{split}.png", BOLT)
    assert set(listed(export)) == {"train"}
    describe(export, test="test/images", **{key: "val/images"})
    dataset = load_dataset(BoxesData(kind="yolo", path=export), seed=0, task="detect")
    assert {name: [path.name for path in split.paths] for name, split in dataset.splits.items()} == {
        "train": ["a.png"],
        "val": ["val.png"],
        "test": ["test.png"],
    }
    assert (dataset.labels, dataset.splits["val"].boxes_N[0].classes_B.tolist()) == (("nut", "bolt"), [1])


@pytest.mark.parametrize("given", [None, "", []])
def test_a_set_without_training_images_is_refused(export: Path, given):
    describe(export, train=given, val="train/images")
    with pytest.raises(DataError, match=r"data\.yaml: says no `train:`"):
        list_yolo(export, SilentReporter())


@pytest.mark.parametrize("given", [{"folder": "train/images"}, ["train/images", {"a": 1}], [" "]])
def test_what_is_no_path_is_an_error(export: Path, given):
    describe(export, train=given)
    with pytest.raises(DataError, match="train, val and test are folders or lists of them, found"):
        list_yolo(export, SilentReporter())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a mapping"),
        ("- train", "not a mapping"),
        ("train", "not a mapping"),
        ("train: [", "not YAML"),
        ("train: a: b", "not YAML"),
        ("\ttrain: a", "not YAML"),
        ("train: \x00", "not YAML"),
        ("x: &x [1]\ny: *x", "not YAML: an alias"),
        ("x: !!python/object/apply:os.getcwd []", "names: a list"),
        ("[" * 5000, "not YAML"),
    ],
    ids=range(10),
)
def test_what_is_no_description_says_what_would_be(export: Path, text: str, words: str):
    (export / "data.yaml").write_text(text)
    with pytest.raises(DataError, match=rf"data\.yaml: {words}") as caught:
        list_yolo(export, SilentReporter())
    assert "train, val and names" in caught.value.hint


@pytest.mark.parametrize("name", ["data.yaml", "data.yml", "dataset.yaml"])
def test_a_set_is_known_by_its_description(export: Path, name: str):
    (export / "data.yaml").rename(export / name)
    assert is_yolo(export)
    assert names_of(export) == ["train/images/a.png"]
    (export / name).unlink()
    (export / "data.yaml").mkdir()
    assert not is_yolo(export)
    with pytest.raises(DataError, match=r"set: no data\.yaml"):
        list_yolo(export, SilentReporter())
