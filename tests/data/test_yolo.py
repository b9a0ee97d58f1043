"""YOLO: a text file of boxes for each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import compress.data.yolo as module
from compress.core.stage import SilentReporter
from compress.data.boxes import BoxEntry
from compress.data.yolo import list_yolo
from compress.errors import DataError
from tests.data.test_coco import SIZE, Told, image

NUT, BOLT = "0 0.25 0.5 0.5 0.5", "1 0.5 0.5 0.5 0.25"
CORNERS = [[0, 10, 30, 30], [15, 15, 45, 25]]  # of both


def describe(folder: Path, **content: object) -> None:
    """Write data.yaml; what is None is left out."""
    said = {"train": "train/images", "names": ["nut", "bolt"], **content}
    kept = {key: value for key, value in said.items() if value is not None}
    (folder / "data.yaml").write_text(yaml.safe_dump(kept, sort_keys=False))


def write(folder: Path, name: str, *lines: str) -> None:
    """Write an image to `images/` of a folder and its lines to `labels/`."""
    image(folder, name)
    (folder / "labels").mkdir(exist_ok=True)
    (folder / "labels" / name).with_suffix(".txt").write_text("".join(f"{line}\n" for line in lines))


def listed(folder: Path, told: Told | None = None) -> dict[str, tuple[BoxEntry, ...]]:
    splits = list_yolo(folder, told or SilentReporter())[0].splits
    return {name: tuple(one for one in split if isinstance(one, BoxEntry)) for name, split in splits.items()}


def exported(folder: Path) -> Path:
    """Return a set as Roboflow exports it, in a folder beside another one."""
    write(folder / "set" / "train", "a.png", NUT, BOLT)
    describe(folder / "set")
    write(folder / "outside", "b.png", NUT)
    return folder / "set"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    return exported(tmp_path)


def test_shares_become_corners_and_classes_keep_their_numbers(export: Path):
    (entry,) = listed(export)["train"]
    assert (entry.path, entry.name) == (export / "train" / "images" / "a.png", "train/images/a.png")
    assert entry.boxes.corners_B4.tolist() == CORNERS
    assert entry.boxes.classes_B.tolist() == [0, 1]
    assert entry.boxes.size == SIZE
    assert list_yolo(export, SilentReporter())[1] == ("nut", "bolt")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("2 0.5 0.5 0.1 0.1", "class '2'; there are 0 to 1"),
        ("12345678901 0.5 0.5 0.1 0.1", "class '12345678901'; there are 0 to 1"),
        ("-1 0.5 0.5 0.1 0.1", "class '-1'"),
        ("1.0 0.5 0.5 0.1 0.1", r"class '1\.0'"),
        ("nut 0.5 0.5 0.1 0.1", "class 'nut'"),
        ("\u0661 0.5 0.5 0.1 0.1", "class '\u0661'"),
        ("0,0.5,0.5,0.1,0.1", r"class '0,0\.5,0\.5,0\.1,0\.1'"),
        ("0", "0 numbers behind the class"),
        ("0 0.5 0.5 0.1", "3 numbers behind the class"),
        ("0 0.5 0.5 0.1 0.1 0.9", "5 numbers behind the class"),
        ("0 0.1 0.1 0.9 0.1 0.5 0.9 0.3", "7 numbers behind the class"),
        ("0 0.5 nan 0.1 0.1", r"numbers are wanted, found '0\.5 nan 0\.1 0\.1'"),
        ("0 0.5 0.5 inf 0.1", "numbers are wanted"),
        ("0 0.5 0.5 1e999 0.1", "numbers are wanted"),
        ("0 0.5 0.5 0.1 x", "numbers are wanted"),
        ("0 30 20 10 10", "30 is no share of an image"),
        ("0 0.5 -20 0.1 0.1", "-20 is no share of an image"),
    ],
)
def test_lines_that_say_no_box_are_named_by_their_number(export: Path, line, words):
    write(export / "train", "a.png", NUT, "", line)
    with pytest.raises(DataError, match=rf"labels/a\.txt:3: {words}") as caught:
        list_yolo(export, SilentReporter())
    assert "CLASS X Y WIDTH HEIGHT" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "corners", "words"),
    [
        ("0 0.9 0.9 0.4 0.4", [[42, 28, 60, 40]], "reach beyond"),
        ("0 0 0 0.5 0.5", [[0, 0, 15, 10]], "reach beyond"),
        ("0 1.5 0.5 0.2 0.2", [], "of less than 1 pixel"),
        ("0 0.5 0.5 0 0.2", [], "of less than 1 pixel"),
        ("0 0.25 0.5 -0.5 -0.5", [CORNERS[0]], "negative width or height"),
    ],
)
def test_slips_of_the_hand_are_mended_and_told(export: Path, line, corners, words):
    write(export / "train", "a.png", line, BOLT)
    told = Told()
    (entry,) = listed(export, told)["train"]
    np.testing.assert_allclose(entry.boxes.corners_B4, [*corners, CORNERS[1]], atol=1e-4)
    assert any(words in one and "train/images/a.png" in one for one in told.warnings)


def test_shares_of_six_digits_are_no_slip(export: Path):
    write(export / "train", "a.png", "0 0.500000 0.500000 1.000001 1.000001")
    told = Told()
    (entry,) = listed(export, told)["train"]
    assert entry.boxes.corners_B4.tolist() == [[0, 0, *SIZE]]
    assert told.warnings == []


def test_the_box_of_a_polygon_is_its_hull(export: Path):
    write(export / "train", "a.png", "1 0.5 0.1 0.75 0.5 0.5 0.9 0.25 0.5")
    (entry,) = listed(export)["train"]
    np.testing.assert_allclose(entry.boxes.corners_B4, [[15, 4, 45, 36]], atol=1e-5)
    assert entry.boxes.classes_B.tolist() == [1]


def test_images_without_a_text_file_or_lines_are_background(export: Path):
    image(export / "train", "0.png")
    write(export / "train", "b.png", "", "   ")
    found = [(entry.name, len(entry.boxes.classes_B)) for entry in listed(export)["train"]]
    assert found == [("train/images/0.png", 0), ("train/images/a.png", 2), ("train/images/b.png", 0)]
    (export / "train" / "labels" / "a.txt").unlink()
    with pytest.raises(DataError, match="not one box to learn from"):
        list_yolo(export, SilentReporter())


@pytest.mark.parametrize("orientation", [1, 6])
def test_shares_are_of_the_upright_image(export: Path, orientation: int):
    write(export / "train", "a.png", NUT)
    image(export / "train", "a.png", orientation)
    (entry,) = listed(export)["train"]
    assert entry.boxes.corners_B4.tolist() == ([[0, 10, 30, 30]] if orientation == 1 else [[0, 15, 20, 45]])


@pytest.mark.parametrize(
    ("image_at", "text_at"),
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("images/deep/images/a.png", "images/deep/labels/a.txt"),
        ("plain/a.png", "plain/a.txt"),
        ("plain/images.png", "plain/images.txt"),
    ],
)
def test_a_text_file_lies_below_labels_or_beside_its_image(export: Path, image_at: str, text_at: str):
    for old, new in (("images/a.png", image_at), ("labels/a.txt", text_at)):
        (export / new).parent.mkdir(parents=True, exist_ok=True)
        (export / "train" / old).rename(export / new)
    describe(export, train=image_at.split("/")[0])
    (entry,) = listed(export)["train"]
    assert (entry.name, entry.boxes.corners_B4.tolist()) == (image_at, CORNERS)


@pytest.mark.parametrize(
    ("limit", "file"),
    [("_MAX_YAML_BYTES", "data.yaml"), ("_MAX_LABEL_BYTES", "labels/a.txt"), ("_MAX_LIST_BYTES", "some.txt")],
)
def test_no_more_is_read_than_such_a_file_has(export: Path, limit: str, file: str, monkeypatch: pytest.MonkeyPatch):
    (export / "some.txt").write_text("train/images/a.png\n")
    describe(export, train="some.txt")
    monkeypatch.setattr(module, limit, 10)
    with pytest.raises(DataError, match=rf"{file}: cannot be read: larger than 10 bytes"):
        list_yolo(export, SilentReporter())
