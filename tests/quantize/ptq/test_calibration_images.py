from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from compress.core.dataset import BoxesData, FolderData
from compress.core.digest import sha256_file
from compress.core.preprocess import Preprocess
from compress.core.spec import CALIBRATION_KEY
from compress.core.stage import SilentReporter
from compress.data.dataset import Dataset, load_dataset
from compress.errors import DataError
from compress.quantize.ptq.calibration_images import (
    CalibrationSet,
    embed_calibration,
    from_folder,
    from_training,
    write_manifest,
)
from tests.detector_files import write_boxes

PREPROCESS = Preprocess(resize_px=16, crop_px=16)


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.said: list[str] = []

    def info(self, text: str) -> None:
        self.said.append(text)

    warn = info


def image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (20, 20, 3), dtype=np.uint8)).save(path)


def plain(path: Path, value: int) -> None:
    Image.new("RGB", (20 + value, 20), (value, 0, 0)).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two folders of 10 images each."""
    root = tmp_path / "images"
    for index in range(20):
        image(root / "ab"[index % 2] / f"{index:02d}.png", index)
    return root


def chosen_from(path: Path, dataset: Dataset | None = None, **changes: object) -> tuple[CalibrationSet, Listener]:
    listener = Listener()
    options = {"count": 256, "seed": 0, "on_bad": "error", "preprocess": PREPROCESS, "reporter": listener}
    return from_folder(path, dataset, **{**options, **changes}), listener


def test_a_fifth_is_held_out_and_the_folders_are_balanced(folder: Path):
    chosen, _ = chosen_from(folder)
    assert chosen.held_out is not None
    assert np.bincount(chosen.held_out.labels_N).tolist() == [2, 2]
    assert np.bincount(chosen.images.labels_N).tolist() == [8, 8]
    assert not set(chosen.images.paths) & set(chosen.held_out.paths)
    few, _ = chosen_from(folder, count=9)
    assert np.bincount(few.images.labels_N).tolist() in ([4, 5], [5, 4])
    assert chosen_from(folder, seed=1)[0] != chosen


def test_of_few_images_none_is_held_out(folder: Path):
    shutil.rmtree(folder / "b")
    chosen, _ = chosen_from(folder)
    assert (len(chosen.images), chosen.held_out) == (10, None)


def test_with_labelled_images_none_is_held_out(folder: Path, photos: Path):
    dataset = load_dataset(FolderData(path=photos), seed=0)
    chosen, _ = chosen_from(folder, dataset)
    assert (len(chosen.images), chosen.held_out) == (20, None)


def test_evaluation_images_are_refused_by_content(folder: Path, photos: Path):
    dataset = load_dataset(FolderData(path=photos), seed=0)
    held = dataset.splits["test"].paths[0]
    shutil.copy(held, folder / "other-name.jpg")
    shutil.copy(dataset.splits["train"].paths[0], folder / "fine.jpg")
    with pytest.raises(DataError, match=f"1 calibration images are also .*\n.*other-name.jpg = {held}") as caught:
        chosen_from(folder, dataset)
    assert "remove them" in caught.value.hint


def test_copies_count_once_and_are_said(folder: Path):
    for path in list((folder / "a").iterdir()):
        shutil.copy(path, folder / f"copy-{path.name}")
    chosen, listener = chosen_from(folder)
    contents = [sha256_file(path) for path in chosen.images.paths + chosen.held_out.paths]
    assert len(set(contents)) == len(contents) == 20
    assert any("10 images are copies" in text for text in listener.said)


def test_too_few_that_differ_are_refused(tmp_path: Path):
    for index in range(7):
        image(tmp_path / f"{index}.png", index)
        image(tmp_path / f"again{index}.png", index)
    with pytest.raises(DataError, match=r"7 different usable images .* at least 8") as caught:
        chosen_from(tmp_path)
    assert caught.value.exit_code == 2
    assert "add images" in caught.value.hint


def test_damaged_images_are_an_error_or_left_out(folder: Path):
    (folder / "a/bad.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"1 of 21 calibration images cannot be used:\n.*bad.jpg: ") as caught:
        chosen_from(folder)
    assert "on_bad_image=skip" in caught.value.hint
    chosen, listener = chosen_from(folder, on_bad="skip")
    assert len(chosen.images) + len(chosen.held_out) == 20
    assert any("bad.jpg" in text for text in listener.said)


def test_a_few_images_of_one_colour_are_named_and_replaced(folder: Path):
    for value in range(3):
        plain(folder / f"plain{value}.png", value)
    chosen, listener = chosen_from(folder, count=18)
    assert len(chosen.images) + len(chosen.held_out) == 20
    assert any("3 calibration images are of one colour" in text and "plain1.png" in text for text in listener.said)


def test_many_images_of_one_colour_are_refused(folder: Path):
    for value in range(25):
        plain(folder / f"plain{value}.png", value)
    with pytest.raises(DataError, match=r"are of one colour:\n.*plain"):
        chosen_from(folder)
    shutil.rmtree(folder / "a")
    shutil.rmtree(folder / "b")
    with pytest.raises(DataError, match="at most half"):
        chosen_from(folder)


def test_training_images_are_checked_alike(photos: Path, tmp_path: Path):
    shutil.copytree(photos, tmp_path / "data")
    for label in ("red", "blue"):
        plain(tmp_path / f"data/train/{label}/plain.png", len(label))
    dataset = load_dataset(FolderData(path=tmp_path / "data"), seed=0)
    listener = Listener()
    chosen = from_training(dataset, 12, 0, PREPROCESS, listener)
    assert (len(chosen.images), chosen.held_out, chosen.groups) == (12, None, None)
    assert not any(path.name == "plain.png" for path in chosen.images.paths)


def test_the_manifest_lies_beside_the_model_and_its_hashes_are_inside(folder: Path, tmp_path: Path):
    chosen, _ = chosen_from(folder)
    path = write_manifest(chosen, tmp_path)
    rows = json.loads(path.read_text())
    assert [row["file"] for row in rows] == [str(p.relative_to(folder)) for p in chosen.images.paths]
    assert {row["label"] for row in rows} == {"a", "b"}
    model = onnx.ModelProto()
    for _ in range(2):  # the planner writes each candidate, and the chosen one again
        embed_calibration(model, path)
    (entry,) = model.metadata_props
    assert entry.key == CALIBRATION_KEY
    assert json.loads(entry.value) == {
        "count": 16,
        "manifest_sha256": sha256_file(path),
        "sha256_starts": [sha256_file(p)[:16] for p in chosen.images.paths],
    }


def with_boxes(folder: Path, count: int) -> Dataset:
    write_boxes(folder, count)
    return load_dataset(BoxesData(kind="coco", path=folder), seed=0, task="detect")


def test_images_with_boxes_are_drawn_though_they_have_no_class(tmp_path: Path):
    dataset = with_boxes(tmp_path / "data", 12)
    train = dataset.splits["train"]
    assert train.labels_N == ()
    chosen = from_training(dataset, 9, 0, PREPROCESS, SilentReporter())
    assert (len(set(chosen.images.paths)), chosen.held_out, chosen.groups) == (9, None, None)
    assert set(chosen.images.paths) < set(train.paths)
    assert set(from_training(dataset, 9, 1, PREPROCESS, SilentReporter()).images.paths) != set(chosen.images.paths)
    assert from_training(dataset, 512, 0, PREPROCESS, SilentReporter()).images.paths == train.paths
    rows = json.loads(write_manifest(chosen, tmp_path).read_text())
    assert [row["sha256"] for row in rows] == [sha256_file(path) for path in chosen.images.paths]


def test_too_few_images_with_boxes_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"the training images: 4 different usable images .* at least 8"):
        from_training(with_boxes(tmp_path, 4), 512, 0, PREPROCESS, SilentReporter())


def test_evaluation_images_with_boxes_are_refused_too(folder: Path, tmp_path: Path):
    dataset = with_boxes(tmp_path / "data", 4)
    chosen, _ = chosen_from(folder, dataset)
    assert (len(chosen.images), chosen.held_out) == (20, None)
    shutil.copy(dataset.splits["val"].paths[0], folder / "held.png")
    with pytest.raises(DataError, match=r"1 calibration images are also .*\n.*held.png = "):
        chosen_from(folder, dataset)
