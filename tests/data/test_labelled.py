from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.data.labelled import load_labelled_folder
from compress.errors import DataError

ANIMALS = ("dog", "mouse", "cat")


def image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    for index in range(6):
        image(tmp_path / ("cat" if index < 4 else "dog") / f"{index}.png", index)
    return tmp_path


def listed(root: Path, *rows: str, head: str = "path,label") -> Path:
    manifest = root / "m.csv"
    manifest.write_text("\n".join([head, *rows]) + "\n")
    return manifest


def test_a_folder_of_classes_takes_the_models_order(flat: Path):
    split = load_labelled_folder(flat, ANIMALS)
    assert (split.labels_N, len(split)) == ((2, 2, 2, 2, 0, 0), 6)


def test_of_a_data_set_with_splits_the_test_images_count(tmp_path: Path):
    for name in ("train", "test"):
        image(tmp_path / name / "cat/1.png", len(name))
    assert load_labelled_folder(tmp_path, ANIMALS).paths == (tmp_path / "test/cat/1.png",)


def test_a_label_is_a_name_or_an_index_and_a_path_may_be_absolute(flat: Path):
    rows = ["cat/0.png,2", "dog/4.png,dog", f"{flat / 'cat/1.png'},MOUSE"]
    split = load_labelled_folder(listed(flat, *rows), ANIMALS)
    assert dict(zip((path.name for path in split.paths), split.labels_N, strict=True)) == {
        "0.png": 2,
        "4.png": 0,
        "1.png": 1,
    }


def test_a_class_whose_name_is_a_number_is_meant_by_its_name(flat: Path):
    assert load_labelled_folder(listed(flat, "cat/0.png,1", "cat/1.png,7"), ("1", "0", "7")).labels_N == (0, 2)


def test_names_that_differ_in_case_alone_are_not_guessed(flat: Path):
    with pytest.raises(DataError, match="CAT"):
        load_labelled_folder(listed(flat, "cat/0.png,CAT"), ("cat", "Cat"))


def test_a_manifest_may_hold_test_images_alone(flat: Path):
    manifest = listed(flat, "cat/0.png,cat,test", "dog/4.png,dog,test", head="path,label,split")
    assert len(load_labelled_folder(manifest, ANIMALS)) == 2
    with pytest.raises(DataError, match="no images"):
        load_labelled_folder(listed(flat, head="path,label,split"), ANIMALS)


@pytest.mark.parametrize("label", ["catt", "3", "-1", "1.0", "²"])
def test_what_the_model_does_not_know_is_listed_with_its_image(flat: Path, label: str):
    with pytest.raises(DataError, match=rf"not classes of the model:\n  {label} \(cat/0.png\)") as caught:
        load_labelled_folder(listed(flat, f"cat/0.png,{label}", "cat/1.png,dog"), ANIMALS)
    assert "an index 0..2" in caught.value.hint
    assert ("did you mean 'cat'?" in caught.value.hint) == (label == "catt")


def test_classes_without_names_are_indices_or_the_labels_in_order(flat: Path):
    unnamed = ("0", "1", "2")
    assert load_labelled_folder(listed(flat, "cat/0.png,2", "cat/1.png,1"), unnamed, named=False).labels_N == (2, 1)
    assert load_labelled_folder(flat, ("0", "1"), named=False).labels_N == (0, 0, 0, 0, 1, 1)
    with pytest.raises(DataError, match="has 3 classes without names, the images have 2 labels"):
        load_labelled_folder(flat, unnamed, named=False)


def test_damaged_images_are_refused(flat: Path):
    (flat / "cat/0.png").write_bytes(b"")
    with pytest.raises(DataError, match="1 of 6 images cannot be used"):
        load_labelled_folder(flat, ANIMALS)


def test_a_mistyped_name_is_not_looked_for_among_very_many(tmp_path, monkeypatch):
    """Else 200,000 names and a few mistakes take minutes."""
    asked = []
    monkeypatch.setattr("difflib.get_close_matches", lambda word, names, n: asked.append((word, len(names))) or [])
    from compress.data.labelled import _nearest

    assert _nearest([f"x{i}" for i in range(1000)], tuple(f"label {i}" for i in range(200_000))).startswith(
        "; the names"
    )
    assert asked == [("x0", 0), ("x1", 0), ("x10", 0)]
    asked.clear()
    _nearest([f"x{i}" for i in range(1000)], ("a", "b"))
    assert [count for _, count in asked] == [2, 2, 2]
