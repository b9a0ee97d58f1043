from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.core.stage import SilentReporter
from compress.data.images import images_fingerprint, list_images
from compress.data.listing import labels_of
from compress.errors import DataError


def image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return path


def fingerprint(path: Path) -> str:
    return images_fingerprint(path, SilentReporter())


def test_flat_and_nested_images_are_found_with_their_folder_as_group(tmp_path: Path):
    for index, name in enumerate(("b.png", "a/x.png", "a/deep/y.PNG")):
        image(tmp_path / name, index)
    (tmp_path / "a/notes.txt").touch()
    entries = list_images(tmp_path)
    assert [(entry.name, entry.label) for entry in entries] == [
        ("a/deep/y.PNG", "a/deep"),
        ("a/x.png", "a"),
        ("b.png", ""),
    ]
    assert labels_of(entries) == ("", "a", "a/deep")


@pytest.mark.parametrize("other", ["val", "Test", "validation"])
def test_of_a_data_set_with_splits_only_the_training_images_are_meant(tmp_path: Path, other: str):
    image(tmp_path / "train/cat/1.png", 1)
    image(tmp_path / other / "cat/2.png", 2)
    assert [entry.name for entry in list_images(tmp_path)] == ["train/cat/1.png"]
    shutil.rmtree(tmp_path / "train")
    assert [entry.name for entry in list_images(tmp_path)] == [f"{other}/cat/2.png"]


def test_a_manifest_needs_no_labels(tmp_path: Path):
    image(tmp_path / "1.png", 1)
    image(tmp_path / "2.png", 2)
    manifest = tmp_path / "m.csv"
    manifest.write_text("path\n1.png\n2.png\n")
    assert [(entry.name, entry.label) for entry in list_images(manifest)] == [("1.png", ""), ("2.png", "")]
    manifest.write_text("path,label,split\n1.png,cat,train\n2.png,,test\n")
    assert [(entry.name, entry.label) for entry in list_images(manifest)] == [("1.png", "cat")]
    manifest.write_text("path,split\n2.png,test\n")
    with pytest.raises(DataError, match=r"no training images \(found test\)"):
        list_images(manifest)


def test_what_is_no_folder_of_images_says_what_it_is(tmp_path: Path):
    with pytest.raises(DataError, match=r"found nothing, allowed .*\.jpg"):
        list_images(tmp_path)
    (tmp_path / "a.txt").touch()
    with pytest.raises(DataError, match="found 1 files of other kinds"):
        list_images(tmp_path)
    with pytest.raises(DataError, match="a file, not a folder"):
        list_images(tmp_path / "a.txt")
    with pytest.raises(DataError, match="no such folder") as caught:
        list_images(tmp_path / "absent")
    assert "nested or flat" in caught.value.hint


def test_the_fingerprint_follows_the_content_not_the_place(tmp_path: Path):
    one = tmp_path / "one"
    image(one / "a/1.png", 1)
    image(one / "a/2.png", 2)
    before = fingerprint(one)
    assert len(before) == 64
    shutil.copytree(one, tmp_path / "two")
    assert fingerprint(tmp_path / "two") == before
    image(one / "a/2.png", 3)
    assert fingerprint(one) != before
    (tmp_path / "two/b").mkdir()
    (tmp_path / "two/a/2.png").rename(tmp_path / "two/b/2.png")
    assert fingerprint(tmp_path / "two") != before
