from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from compress.core.digest import sha256_file
from compress.data.calibration import MAX_HELD_OUT, calibration_split, held_out_split, manifest
from compress.data.dataset import Split

LABELS = tuple([0] * 50 + [1] * 30 + [2] * 3)
SPLIT = Split("train", tuple(Path(f"{index:03d}.png") for index in range(len(LABELS))), LABELS)


def test_balanced_deterministic_and_ordered() -> None:
    chosen = calibration_split(SPLIT, 23, seed=0, n_classes=3)
    assert np.bincount(chosen.labels_N).tolist() == [10, 10, 3]
    assert list(chosen.paths) == sorted(chosen.paths)
    assert calibration_split(SPLIT, 23, seed=0, n_classes=3) == chosen
    assert calibration_split(SPLIT, 23, seed=1, n_classes=3) != chosen
    labels = dict(zip(SPLIT.paths, SPLIT.labels_N, strict=True))
    assert all(labels[path] == label for path, label in zip(chosen.paths, chosen.labels_N, strict=True))


def test_count_beyond_what_there_is_takes_all() -> None:
    assert calibration_split(SPLIT, 1000, seed=0, n_classes=5) == SPLIT


def test_manifest_names_hashes_and_labels(tmp_path: Path) -> None:
    paths = [tmp_path / "cat/a.png", tmp_path / "dog/b.png"]
    for path in paths:
        path.parent.mkdir()
        Image.new("RGB", (4, 4)).save(path)
    assert manifest(Split("train", tuple(paths), (0, 1))) == [
        {"file": "cat/a.png", "sha256": sha256_file(paths[0]), "label": 0},
        {"file": "dog/b.png", "sha256": sha256_file(paths[1]), "label": 1},
    ]
    assert manifest(Split("train", (), ())) == []
    assert [row["label"] for row in manifest(Split("train", tuple(paths), (0, 1)), ("", "b"))] == ["", "b"]


def test_every_fifth_of_each_class_is_held_out() -> None:
    chosen, held = held_out_split(SPLIT, 1000, seed=0, n_classes=3)
    assert held is not None
    assert np.bincount(held.labels_N).tolist() == [10, 6, 1]
    assert sorted(chosen.paths + held.paths) == list(SPLIT.paths)
    assert held_out_split(SPLIT, 1000, seed=0, n_classes=3) == (chosen, held)
    assert held_out_split(SPLIT, 1000, seed=1, n_classes=3) != (chosen, held)
    few, same = held_out_split(SPLIT, 9, seed=0, n_classes=3)
    assert (len(few), same) == (9, held)


def test_classes_of_one_image_give_some_too() -> None:
    single = Split("train", tuple(Path(f"{index:03d}.png") for index in range(20)), tuple(range(20)))
    chosen, held = held_out_split(single, 1000, seed=0, n_classes=20)
    assert held is not None
    assert (len(chosen), len(held)) == (16, 4)


def test_no_more_are_held_out_than_judging_needs() -> None:
    many = Split("train", tuple(Path(f"{index:05d}.png") for index in range(3000)), (0,) * 3000)
    chosen, held = held_out_split(many, 256, seed=0, n_classes=1)
    assert held is not None
    assert (len(chosen), len(held)) == (256, MAX_HELD_OUT)
    assert not set(chosen.paths) & set(held.paths)
