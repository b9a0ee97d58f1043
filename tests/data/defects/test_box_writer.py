"""The files of a split of defects with boxes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from compress.core.dataset import BoxesData, DefectsData
from compress.core.digest import sha256_file
from compress.core.stage import SilentReporter
from compress.data.box_folders import kind_of
from compress.data.coco import list_coco
from compress.data.dataset import load_dataset
from compress.data.defects.box_writer import BoxWriter
from compress.data.defects.boxes import BOX_LABELS, make_box_image
from compress.data.defects.write import parameters, write_defects
from compress.errors import DataError
from tests.data.test_coco import Told

CONFIG = DefectsData(kind="defects", task="detect", size_px=64, train=21, val=7, test=14, seed=5)


def written(folder: Path, split: str, order: Iterable[int]) -> list[dict[str, object]]:
    """Write images in some order; return their rows."""
    folder.mkdir(exist_ok=True)
    writer = BoxWriter(folder, split, CONFIG)
    rows = [writer(index) for index in order]
    writer.finish()
    return rows


def test_an_image_is_the_generators_and_its_row_is_true(tmp_path: Path):
    rows = written(tmp_path, "val", range(7))
    for index, row in enumerate(rows):
        made = make_box_image(5, "val", index, 64)
        assert row["file"] == f"images/val_{index:06d}.jpg"
        assert (tmp_path / str(row["file"])).read_bytes() == made.jpeg
        assert row["sha256"] == sha256_file(tmp_path / str(row["file"]))
        assert (row["surface"], row["flaws"]) == (made.surface, len(made.boxes))


def test_the_json_is_coco_with_numbers_from_one(tmp_path: Path):
    written(tmp_path, "train", range(12))
    content = json.loads((tmp_path / "train.json").read_text())
    assert content["categories"] == [{"id": place + 1, "name": name} for place, name in enumerate(BOX_LABELS)]
    assert content["images"] == [
        {"id": index, "file_name": f"train_{index:06d}.jpg", "width": 64, "height": 64} for index in range(12)
    ]
    found = content["annotations"]
    assert [one["id"] for one in found] == list(range(1, len(found) + 1))
    expected = []
    for index in range(12):
        made = make_box_image(5, "train", index, 64)
        expected += [(index, label + 1, box) for label, box in zip(made.labels, made.boxes, strict=True)]
    assert len(expected) > 12
    for one, (index, category, (x0, y0, x1, y1)) in zip(found, expected, strict=True):
        assert (one["image_id"], one["category_id"], one["iscrowd"]) == (index, category, 0)
        assert one["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert one["area"] == (x1 - x0) * (y1 - y0)


def test_what_is_written_is_read_with_the_same_boxes(tmp_path: Path):
    written(tmp_path, "train", range(12))
    told = Told()
    listing, labels = list_coco(tmp_path, told)
    assert (kind_of(tmp_path), labels, told.warnings) == ("coco", BOX_LABELS, [])
    for index, entry in enumerate(listing.splits["train"]):
        made = make_box_image(5, "train", index, 64)
        assert [tuple(corners) for corners in entry.boxes.corners_B4.tolist()] == list(made.boxes)
        assert tuple(entry.boxes.classes_B) == made.labels
    assert any(len(entry.boxes.classes_B) == 0 for entry in listing.splits["train"]), "one shows no flaw"


def test_files_do_not_depend_on_the_order_of_images(tmp_path: Path):
    first, second = tmp_path / "first", tmp_path / "second"
    rows = written(first, "test", range(9))
    assert written(second, "test", reversed(range(9))) == rows[::-1]
    assert (first / "test.json").read_bytes() == (second / "test.json").read_bytes()


def test_a_split_without_images_has_its_classes(tmp_path: Path):
    assert written(tmp_path, "test", []) == []
    content = json.loads((tmp_path / "test.json").read_text())
    assert (content["images"], content["annotations"], len(content["categories"])) == ([], [], len(BOX_LABELS))


def test_a_whole_set_has_a_true_manifest_and_is_left_alone(tmp_path: Path):
    out = tmp_path / "new" / "defects"
    write_defects(out, CONFIG, SilentReporter())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["parameters"] == parameters(CONFIG)
    assert manifest["parameters"]["task"] == "detect"
    assert [row["file"] for row in manifest["files"]] == [
        f"images/{split}_{index:06d}.jpg"
        for split, count in (("train", 21), ("val", 7), ("test", 14))
        for index in range(count)
    ]
    assert all(sha256_file(out / row["file"]) == row["sha256"] for row in manifest["files"])
    assert {path.name for path in out.iterdir()} == {"images", "manifest.json", "train.json", "val.json", "test.json"}
    assert len(list((out / "images").iterdir())) == 42
    before = (out / "train.json").stat().st_mtime_ns
    write_defects(out, CONFIG, SilentReporter())
    assert (out / "train.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"not empty, it holds a data set made with .*'task': 'detect'"):
        write_defects(out, CONFIG.model_copy(update={"task": "classify"}), SilentReporter())


def test_the_generators_set_is_that_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "cache"))
    made = load_dataset(CONFIG, seed=0, task="detect")
    assert (made.task, made.labels) == ("detect", BOX_LABELS)
    assert {name: len(split.boxes_N) for name, split in made.splits.items()} == {"train": 21, "val": 7, "test": 14}
    write_defects(tmp_path / "out", CONFIG, SilentReporter())
    read = load_dataset(BoxesData(kind="coco", path=tmp_path / "out"), seed=1, task="detect")
    assert read.fingerprint == made.fingerprint
