"""Which format a folder of images with boxes is in; and that the format makes no difference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from compress.core.dataset import BoxesData
from compress.core.stage import SilentReporter
from compress.data.box_folders import kind_of, list_boxes
from compress.data.dataset import Split, load_dataset
from compress.errors import DataError
from tests.data import test_voc, test_yolo
from tests.data.test_coco import SIZE, image

LABELS = ("bolt", "nut", "screw")
ORIENTATION = {"a": 1, "b": 6, "c": 3, "d": 1}
Corners = tuple[int, int, int, int]
# of the upright images; b is turned by a quarter, and d has no boxes
BOXES: dict[str, list[tuple[str, Corners]]] = {
    "a": [("nut", (0, 0, 60, 40)), ("bolt", (7, 3, 20, 11))],
    "b": [("screw", (1, 2, 33, 59)), ("nut", (10, 10, 12, 12)), ("nut", (11, 13, 17, 19))],
    "c": [("bolt", (58, 38, 60, 40))],
    "d": [],
}


def upright(stem: str) -> tuple[int, int]:
    return SIZE[::-1] if ORIENTATION[stem] == 6 else SIZE


def write_coco(folder: Path) -> None:
    """Write class numbers with gaps; of each image its upright size."""
    numbers = {name: 10 * place + 3 for place, name in enumerate(LABELS)}
    images = [
        {"id": stem, "file_name": f"{stem}.png", "width": upright(stem)[0], "height": upright(stem)[1]}
        for stem in BOXES
    ]
    annotations = [
        {"image_id": stem, "category_id": numbers[name], "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for stem, boxes in BOXES.items()
        for name, (x0, y0, x1, y1) in boxes
    ]
    categories = [{"id": number, "name": name} for name, number in reversed(numbers.items())]
    content = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "train.json").write_text(json.dumps(content))


def write_voc(folder: Path) -> None:
    for stem, boxes in BOXES.items():
        things = [test_voc.thing(name, x0 + 1, y0 + 1, x1, y1) for name, (x0, y0, x1, y1) in boxes]
        test_voc.label(folder, stem, test_voc.annotation("".join(things), f"{stem}.png", upright(stem)))


def write_yolo(folder: Path) -> None:
    """Write shares of six digits, as most tools do."""
    test_yolo.describe(folder, train="images", names=list(LABELS))
    (folder / "labels").mkdir()
    for stem, boxes in BOXES.items():
        width, height = upright(stem)
        lines = [
            f"{LABELS.index(name)} {(x0 + x1) / 2 / width:.6f} {(y0 + y1) / 2 / height:.6f} "
            f"{(x1 - x0) / width:.6f} {(y1 - y0) / height:.6f}\n"
            for name, (x0, y0, x1, y1) in boxes
        ]
        if lines:
            (folder / "labels" / f"{stem}.txt").write_text("".join(lines))


WRITERS = {"coco": write_coco, "voc": write_voc, "yolo": write_yolo}


def made(folder: Path, kind: str) -> Path:
    for stem, orientation in ORIENTATION.items():
        image(folder, f"{stem}.png", orientation)
    WRITERS[kind](folder)
    return folder


def training_images(folder: Path, kind: str) -> tuple[Split, tuple[str, ...]]:
    config = BoxesData.model_validate({"kind": kind, "path": folder, "split": {"val": 0.0, "test": 0.0}})
    dataset = load_dataset(config, seed=0, task="detect")
    return dataset.splits["train"], dataset.labels


@pytest.mark.parametrize("kind", WRITERS)
def test_the_format_makes_no_difference(tmp_path: Path, kind: str):
    split, labels = training_images(made(tmp_path, kind), kind)
    assert labels == LABELS
    assert [path.stem for path in split.paths] == list(BOXES)
    for path, found in zip(split.paths, split.boxes_N, strict=True):
        expected = BOXES[path.stem]
        assert found.size == upright(path.stem)
        assert [labels[index] for index in found.classes_B] == [name for name, _ in expected]
        wanted = np.array([corners for _, corners in expected]).reshape(-1, 4)
        np.testing.assert_allclose(found.corners_B4, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_kind_is_seen(tmp_path: Path, kind: str):
    folder = made(tmp_path, kind)
    seen = kind_of(folder)
    assert seen == kind
    listing, labels = list_boxes(seen, folder, SilentReporter())
    assert (listing.root, set(listing.splits), labels) == (folder, {"train"}, LABELS)
    assert kind_of(folder / "images") is None


def test_the_first_of_several_kinds_counts(tmp_path: Path):
    made(tmp_path, "voc")
    assert kind_of(tmp_path) == "voc"
    write_yolo(tmp_path)
    assert kind_of(tmp_path) == "yolo"
    write_coco(tmp_path)
    assert kind_of(tmp_path) == "coco"


def test_a_folder_of_classes_has_none(tmp_path: Path):
    assert kind_of(tmp_path) is None
    assert kind_of(tmp_path / "gone") is None
    image(tmp_path / "train" / "nut", "a.png")
    assert kind_of(tmp_path) is None
    (tmp_path / "train.json").write_text("{}")
    assert kind_of(tmp_path) is None, "train/ holds the training images"
    (tmp_path / "nut.xml").mkdir()
    (tmp_path / "Annotations").mkdir()
    assert kind_of(tmp_path) is None


@pytest.mark.parametrize(
    ("kind", "words"), [("coco", r"no train\.json"), ("voc", "no XML"), ("yolo", r"no data\.yaml")]
)
def test_a_folder_of_another_kind_says_what_is_missing(tmp_path: Path, kind, words):
    with pytest.raises(DataError, match=words):
        list_boxes(kind, tmp_path, SilentReporter())
