"""Images with boxes, as annotation tools leave them."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngImageFile

from compress.core.dataset import BoxesData, FolderData
from compress.core.stage import SilentReporter
from compress.data.dataset import Dataset, load_dataset
from compress.data.decode import BadImageError, Sizes, decode_sized, sizes_of
from compress.errors import DataError

CLASSES = [{"id": 3, "name": "nut"}, {"id": 7, "name": "bolt"}]
SIZE = (60, 40)


class Told(SilentReporter):
    """Keeps the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def image(folder: Path, name: str, orientation: int = 1) -> None:
    noise = np.random.default_rng(zlib.crc32(name.encode())).integers(0, 256, (*SIZE[::-1], 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (folder / "images").mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise).save(folder / "images" / name, exif=exif)


def write(folder: Path, split: str = "train", **changes: Any) -> dict[str, Any]:
    """Write one image with two boxes as a split; return what the JSON file says."""
    name = f"{split}.png"
    image(folder, name)
    content = {
        "images": [{"id": 1, "file_name": name, "width": SIZE[0], "height": SIZE[1]}],
        "categories": CLASSES,
        "annotations": [
            {"image_id": 1, "category_id": 7, "bbox": [10, 5, 20, 30]},
            {"image_id": 1, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 0},
        ],
        **changes,
    }
    (folder / f"{split}.json").write_text(json.dumps(content))
    return content


def loaded(folder: Path, told: Told | None = None) -> Dataset:
    return load_dataset(BoxesData(kind="coco", path=folder), seed=0, reporter=told, task="detect")


@pytest.fixture
def cards(tmp_path: Path) -> Path:
    for split in ("train", "val", "test"):
        write(tmp_path, split)
    return tmp_path


def test_boxes_are_corners_and_classes_are_numbered_from_nought(cards: Path):
    dataset = loaded(cards)
    assert (dataset.task, dataset.labels) == ("detect", ("nut", "bolt"))
    (boxes,) = dataset.splits["train"].boxes_N
    assert boxes.corners_B4.tolist() == [[10, 5, 30, 35], [0, 0, 9, 9]]
    assert boxes.classes_B.tolist() == [1, 0]
    assert dataset.splits["train"].labels_N == ()


def test_a_moved_box_is_another_set(cards: Path):
    before = loaded(cards).fingerprint
    assert loaded(cards).fingerprint == before
    write(cards, annotations=[{"image_id": 1, "category_id": 7, "bbox": [10, 5, 20, 29]}])
    assert loaded(cards).fingerprint != before


@pytest.mark.parametrize(
    ("bbox", "corners", "words"),
    [
        ([30, 35, -20, -30], [[10, 5, 30, 35]], "negative width or height"),
        ([50, 30, 40, 40], [[50, 30, 60, 40]], "reach beyond"),
        ([-5, -5, 10, 10], [[0, 0, 5, 5]], "reach beyond"),
        ([10, 10, 0, 5], [], "of less than 1 pixel"),
        ([70, 10, 5, 5], [], "of less than 1 pixel"),
    ],
)
def test_slips_of_the_hand_are_mended_and_told(cards: Path, bbox, corners, words):
    good = {"image_id": 1, "category_id": 7, "bbox": [1, 1, 5, 5]}
    write(cards, annotations=[{"image_id": 1, "category_id": 7, "bbox": bbox}, good])
    told = Told()
    (boxes,) = loaded(cards, told).splits["train"].boxes_N
    assert boxes.corners_B4.tolist() == [*corners, [1, 1, 6, 6]]
    assert any(words in line and "train.png" in line for line in told.warnings)


def test_images_without_boxes_stay_and_crowds_do_not_count(cards: Path):
    image(cards, "empty.png")
    content = write(cards)
    content["images"].append({"id": 2, "file_name": "empty.png"})
    content["annotations"][1]["iscrowd"] = 1
    (cards / "train.json").write_text(json.dumps(content))
    assert [len(boxes.classes_B) for boxes in loaded(cards).splits["train"].boxes_N] == [0, 1]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_unturned_pixels_are_turned(orientation: int):
    """Against Pillow, which turns an image that is white where the box is."""
    stored = Image.new("L", SIZE)
    stored.paste(255, (10, 5, 30, 35))
    exif = stored.getexif()
    exif[0x0112] = orientation
    upright = ImageOps.exif_transpose(stored)
    rows, columns = np.nonzero(np.asarray(upright))
    sizes = Sizes(SIZE, orientation)
    (turned,) = sizes.turn_boxes(np.array([[10.0, 5.0, 30.0, 35.0]]))
    assert sizes.upright == upright.size
    assert turned.tolist() == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]


@pytest.mark.parametrize("said", [SIZE, SIZE[::-1], (None, None)])
def test_the_size_that_the_file_says_tells_what_the_boxes_were_drawn_on(cards: Path, said):
    write(cards)
    image(cards, "turned.jpg", orientation=6)
    entry = {"id": 1, "file_name": "turned.jpg", "width": said[0], "height": said[1]}
    box = {"image_id": 1, "category_id": 7, "bbox": [0, 0, 10, 20]}
    write(cards, images=[entry], annotations=[box])
    (boxes,) = loaded(cards).splits["train"].boxes_N
    expected = [20.0, 0.0, 40.0, 10.0] if said == SIZE else [0.0, 0.0, 10.0, 20.0]
    assert boxes.corners_B4.tolist() == [expected]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": [{"id": 1, "file_name": "../secret.png"}]}, "leaves the folder"),
        ({"images": [{"id": 1, "file_name": "/etc/passwd"}]}, "leaves the folder"),
        ({"images": [{"id": 1, "file_name": "train.png", "width": 61, "height": 40}]}, "is said to be 61 x 40"),
        ({"images": [{"id": 1, "file_name": "gone.png"}]}, "gone.png: cannot be read"),
        ({"images": [{"id": 1, "file_name": "train.png"}] * 2}, "share an id"),
        ({"annotations": [{"image_id": 1, "category_id": 4, "bbox": [1, 1, 5, 5]}]}, "category_id 4 is not among"),
        ({"annotations": [{"image_id": 9, "category_id": 7, "bbox": [1, 1, 5, 5]}]}, "that it does not list"),
        ({"annotations": [{"image_id": 1, "category_id": 7, "bbox": [1, 1, 5]}]}, r"annotations\.0\.bbox"),
        ({"annotations": []}, "not one box to learn from"),
        ({"categories": []}, "no categories"),
        ({"categories": [*CLASSES, {"id": 3, "name": "screw"}]}, "two categories have the number 3"),
        ({"categories": [*CLASSES, {"id": 8, "name": "nut"}]}, "two categories have the name 'nut'"),
        ({"categories": [{"id": 3, "name": "nut"}]}, "its categories are"),
    ],
)
def test_what_says_nothing_is_an_error(cards: Path, changes, words):
    write(cards, **changes)
    with pytest.raises(DataError, match=words):
        loaded(cards)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"images": []}', '{"images": [{"id": NaN}]}'])
def test_what_is_no_coco_says_what_would_be(cards: Path, text):
    (cards / "val.json").write_text(text)
    with pytest.raises(DataError, match=r"val\.json: not COCO JSON") as caught:
        loaded(cards)
    assert "category_id" in caught.value.hint


def test_a_folder_without_json_says_what_a_set_is(tmp_path: Path):
    with pytest.raises(DataError, match=r"no train\.json"):
        loaded(tmp_path)


def test_splits_that_are_not_there_are_made(cards: Path):
    for split in ("val", "test"):
        (cards / f"{split}.json").unlink()
    names = [f"{index}.png" for index in range(20)]
    for name in names:
        image(cards, name)
    images = [{"id": index, "file_name": name} for index, name in enumerate(names)]
    boxes = [{"image_id": index, "category_id": 7, "bbox": [1, 1, 5, 5]} for index in range(20)]
    write(cards, images=images, annotations=boxes)
    assert [len(split) for split in loaded(cards).splits.values()] == [14, 3, 3]


def test_images_of_the_other_task_are_refused(cards: Path):
    with pytest.raises(DataError, match="the images have boxes") as caught:
        load_dataset(BoxesData(kind="coco", path=cards), seed=0)
    assert "ssdlite" in caught.value.hint
    with pytest.raises(DataError, match="the images have classes"):
        load_dataset(FolderData(path=cards), seed=0, task="detect")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_the_size_of_an_upright_image_is_that_of_its_pixels(tmp_path: Path, suffix: str, orientation: int):
    path = tmp_path / f"turned.{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (100, 50)).save(path, exif=exif)
    image, size = decode_sized(path)
    assert image.size == size == sizes_of(path).upright
    assert sizes_of(path).stored == (100, 50)


def test_the_size_of_what_decode_refuses_is_refused(tmp_path: Path):
    path = tmp_path / "bomb.png"
    Image.new("1", (17000, 10000)).save(path)
    with pytest.raises(BadImageError, match="pixels"):
        sizes_of(path)


def test_memory_is_asked_for_before_a_png_is_decoded(tmp_path: Path, monkeypatch):
    calls: list[str] = []
    path = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(path)
    load = PngImageFile.load
    monkeypatch.setattr(PngImageFile, "load", lambda self: (calls.append("load"), load(self))[1])
    decode_sized(path, afford=lambda _: calls.append("afford"))
    assert calls[0] == "afford"
    assert "load" in calls


def test_a_set_whose_boxes_are_all_on_bad_images_is_refused(cards: Path):
    image(cards, "empty.png")
    content = write(cards)
    content["images"].append({"id": 2, "file_name": "empty.png"})
    (cards / "train.json").write_text(json.dumps(content))
    (cards / "images" / "train.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no training image with a box is left"):
        load_dataset(BoxesData(kind="coco", path=cards, on_bad_image="skip"), seed=0, task="detect")


def test_a_file_of_several_ids_is_one_image_with_all_their_boxes(tmp_path):
    content = write(tmp_path)
    again = {**content["images"][0], "id": 2}
    one, two = content["annotations"]
    write(tmp_path, images=[*content["images"], again], annotations=[one, {**two, "image_id": 2}])
    told = Told()
    (known,) = loaded(tmp_path, told).splits["train"].boxes_N
    assert sorted(known.classes_B.tolist()) == [0, 1]
    assert "images of several ids, whose boxes are taken together: 1\n  train.png" in "".join(told.warnings)
