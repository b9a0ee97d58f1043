"""Pascal VOC: the lists that say which image is in which split."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.core.dataset import BoxesData
from compress.core.stage import SilentReporter
from compress.data.dataset import Dataset, load_dataset
from compress.data.voc import list_voc
from compress.errors import DataError
from tests.data.test_voc import BOLT, NUT, listed, thing, write


def choose(folder: Path, **splits: str) -> None:
    """Write the lists of images."""
    lists = folder / "ImageSets" / "Main"
    lists.mkdir(parents=True, exist_ok=True)
    for split, text in splits.items():
        (lists / f"{split}.txt").write_text(text)


def loaded(folder: Path, **changes: object) -> Dataset:
    config = BoxesData.model_validate({"kind": "voc", "path": folder, **changes})
    return load_dataset(config, seed=0, task="detect")


@pytest.fixture
def one(tmp_path: Path) -> Path:
    write(tmp_path, "a", BOLT + NUT)
    return tmp_path


def test_lists_say_which_image_is_in_which_split(one: Path):
    for stem in ("b", "c", "d"):
        write(one, stem, NUT)
    choose(one, train="d  1\n\n  \na -1\n", val="b\n", trainval="a\nb\nc\nd\n")
    splits, labels = listed(one)
    assert {name: [entry.name for entry in split] for name, split in splits.items()} == {
        "train": ["a", "d"],
        "val": ["b"],
    }
    assert labels == ("bolt", "nut")


def test_without_lists_all_images_are_to_learn_from_and_splits_are_made(tmp_path: Path):
    for number in range(20):
        write(tmp_path, f"{number}", BOLT)
    assert {name: len(split) for name, split in listed(tmp_path)[0].items()} == {"train": 20}
    assert [len(split) for split in loaded(tmp_path).splits.values()] == [14, 3, 3]


@pytest.mark.parametrize(
    ("lists", "words"),
    [
        ({"train": "a\ngone\n"}, r"train\.txt: names 1 images without an XML file:\n  gone"),
        ({"train": "a\n../Annotations/a\n"}, "names 1 images without an XML file"),
        ({"val": "a\n", "test": "a\n"}, r"no train\.txt beside test, val\.txt"),
        ({"train": "a\n", "val": "b\n"}, "objects of the val images that no training image has:\n  screw"),
        ({"train": "\n"}, "no categories"),
    ],
)
def test_lists_that_cannot_be_followed_are_errors(one: Path, lists, words):
    write(one, "b", thing("screw", 1, 1, 9, 9) + NUT)
    choose(one, **lists)
    with pytest.raises(DataError, match=words):
        list_voc(one, SilentReporter())


def test_an_image_in_two_lists_is_a_leak(one: Path):
    choose(one, train="a\n", val="a\n")
    with pytest.raises(DataError, match="in two splits"):
        loaded(one)


def test_a_file_that_is_no_image_is_told_with_all_bad_ones_or_left_out(one: Path):
    for stem in ("b", "c"):
        write(one, stem, NUT + BOLT)
    choose(one, train="a\nb\n", val="c\n")
    (one / "images" / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="1 of 3 images cannot be used"):
        loaded(one)
    kept = loaded(one, on_bad_image="skip", split={"val": 0.15, "test": 0.0})
    assert [path.name for path in kept.splits["train"].paths] == ["b.png"]


@pytest.mark.parametrize("encoding", ["gbk", "foo", "utf-7"])
def test_an_encoding_that_is_not_known_is_said(one: Path, encoding: str):
    write(one, "a", NUT)
    path = next(one.rglob("a.xml"))
    path.write_text(f'<?xml version="1.0" encoding="{encoding}"?>' + path.read_text())
    with pytest.raises(DataError, match=r"a\.xml: not XML"):
        list_voc(one, SilentReporter())


def test_a_name_with_a_hidden_character_is_a_class(one: Path):
    write(one, "a", NUT.replace("nut", "nut&#x200E;"))
    assert len(list_voc(one, SilentReporter())[1]) == 1
