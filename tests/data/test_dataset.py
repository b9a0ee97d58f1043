from __future__ import annotations

import csv
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.core.dataset import CsvData, DefectsData, FolderData, SplitFractions
from compress.core.stage import SilentReporter
from compress.data import examine
from compress.data.dataset import Dataset, load_dataset
from compress.errors import DataError


class Listener(SilentReporter):
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.bars: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, label: str, total: int) -> AbstractContextManager:
        self.bars.append(label)
        return nullcontext(lambda done=1, note="": None)


def image(path: Path, seed: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Two classes of 20 and 10 images, no splits."""
    root = tmp_path / "flat"
    for index in range(30):
        image(root / ("cat" if index < 20 else "dog") / f"{index:02d}.png", index)
    return root


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """train/, valid/ and test/ of two classes."""
    root = tmp_path / "three"
    for number, split in enumerate(("train", "valid", "test")):
        for index in range(6):
            image(root / split / ("cat" if index % 2 else "dog") / f"{index}.png", number * 100 + index)
    return root


def load(root: Path, **options: object) -> tuple[Dataset, Listener]:
    listener = Listener()
    return load_dataset(FolderData(path=root, **options), seed=0, reporter=listener), listener


def names(data: Dataset, split: str) -> set[str]:
    return {path.name for path in data.splits[split].paths}


def test_split_folders_are_taken_as_they_are(three: Path) -> None:
    data, listener = load(three)
    assert data.labels == ("cat", "dog")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "val": 6, "test": 6}
    assert data.splits["val"].paths[0] == three / "valid/cat/1.png"
    assert data.splits["val"].labels_N == (0, 0, 0, 1, 1, 1)
    assert listener.warnings == []


def test_missing_val_is_taken_from_train(three: Path) -> None:
    shutil.rmtree(three / "valid")
    data, _ = load(three)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 4, "val": 2, "test": 6}


def test_stratified_split_is_seeded_and_disjoint(flat: Path) -> None:
    data, _ = load(flat)
    sizes = {name: np.bincount(split.labels_N).tolist() for name, split in data.splits.items()}
    assert sizes == {"train": [14, 6], "val": [3, 2], "test": [3, 2]}
    every = [names(data, split) for split in data.splits]
    assert len(set.union(*every)) == 30
    again, _ = load(flat)
    assert again == data
    other = load_dataset(FolderData(path=flat), seed=1)
    assert names(other, "test") != names(data, "test")
    assert other.fingerprint != data.fingerprint


def test_split_does_not_depend_on_where_or_what_the_files_are_called(flat: Path, tmp_path: Path) -> None:
    data, _ = load(flat)
    moved = tmp_path / "elsewhere"
    shutil.copytree(flat, moved)
    copy, _ = load(moved)
    assert copy.fingerprint == data.fingerprint


def test_fraction_zero_leaves_a_split_empty(flat: Path) -> None:
    data, _ = load(flat, split=SplitFractions(val=0.2, test=0.0))
    assert len(data.splits["test"]) == 0


def test_copies_stay_together_in_a_split_we_make(flat: Path) -> None:
    for index in range(20):
        shutil.copy(flat / f"cat/{index:02d}.png", flat / f"cat/copy{index:02d}.png")
    data, listener = load(flat)
    for split in data.splits:
        assert all(f"copy{name}" in names(data, split) for name in names(data, split) if name < "20")
    assert any("20 images are copies" in text for text in listener.warnings)


def test_image_under_two_labels_is_warned_of_and_never_leaks(flat: Path) -> None:
    for index in range(10):
        shutil.copy(flat / f"cat/{index:02d}.png", flat / f"dog/x{index:02d}.png")
    data, listener = load(flat)
    assert any("10 images carry two different labels" in text for text in listener.warnings)
    assert not any(name < "10" or name.startswith("x") for name in names(data, "test") | names(data, "val"))


def test_fingerprint_follows_content_and_labels(three: Path) -> None:
    before = load(three)[0].fingerprint
    assert len(before) == 64
    image(three / "train/cat/1.png", 999)
    after = load(three)[0].fingerprint
    assert after != before
    (three / "train/cat/1.png").rename(three / "train/dog/1.png")
    assert load(three)[0].fingerprint != after


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    for index in range(8):
        image(tmp_path / ("train" if index % 2 else "tram") / f"{index}.png", index)
    assert load(tmp_path)[0].labels == ("train", "tram")


def break_some(root: Path) -> None:
    (root / "cat/00.png").write_bytes(b"")
    (root / "cat/01.png").write_bytes((root / "cat/02.png").read_bytes()[:-150])
    frames = [Image.new("RGB", (8, 8), (value, 0, 0)) for value in (0, 200)]
    frames[0].save(root / "dog/anim.gif", save_all=True, append_images=frames[1:])


def test_bad_images_are_listed_or_skipped(flat: Path) -> None:
    break_some(flat)
    with pytest.raises(DataError, match="3 of 31 images cannot be used") as caught:
        load(flat)
    for text in ("00.png: empty file", "01.png: damaged", "anim.gif: animated"):
        assert text in caught.value.message
    assert "on_bad_image=skip" in caught.value.hint
    data, listener = load(flat, on_bad_image="skip")
    assert sum(len(split) for split in data.splits.values()) == 28
    assert {path.name for path, _ in data.skipped} == {"00.png", "01.png", "anim.gif"}
    assert any("3 of 31" in text and "left out" in text for text in listener.warnings)


def test_long_lists_are_cut(flat: Path) -> None:
    for index in range(15):
        (flat / f"cat/{index:02d}.png").write_bytes(b"x")
    with pytest.raises(DataError, match=r"and 5 more"):
        load(flat)


def test_class_of_bad_images_only_is_an_error_even_when_skipping(flat: Path) -> None:
    for path in (flat / "dog").iterdir():
        path.write_bytes(b"")
    with pytest.raises(DataError, match="no usable image is left of 1 classes:\n  dog"):
        load(flat, on_bad_image="skip")


def test_structural_errors_say_what_is_there(flat: Path, three: Path, tmp_path: Path) -> None:
    (flat / "bird").mkdir()
    with pytest.raises(DataError, match="hold no image:\n  bird"):
        load(flat)
    shutil.rmtree(flat / "bird")
    shutil.rmtree(flat / "dog")
    with pytest.raises(DataError, match=r"only one class .*cat"):
        load(flat)
    with pytest.raises(DataError, match="20 images lie directly in it"):
        load(flat / "cat")
    with pytest.raises(DataError, match="no such folder"):
        load(tmp_path / "absent")
    with pytest.raises(DataError, match="a file, not a folder"):
        load(three / "train/cat/1.png")
    (three / "validation/cat").mkdir(parents=True)
    with pytest.raises(DataError, match="both valid/ and validation/"):
        load(three)
    shutil.rmtree(three / "train")
    shutil.rmtree(three / "validation")
    with pytest.raises(DataError, match="no train/"):
        load(three)


def test_class_unknown_to_train_is_an_error_and_missing_from_test_a_warning(three: Path) -> None:
    shutil.rmtree(three / "test/dog")
    assert "test has no image of 1 classes: dog" in load(three)[1].warnings[0]
    image(three / "test/zebra/1.png", 5555)
    with pytest.raises(DataError, match="classes of test are not in train:\n  zebra"):
        load(three)


def test_leaks_are_listed_or_dropped_from_the_training_side(three: Path) -> None:
    shutil.copy(three / "train/cat/1.png", three / "test/cat/again.png")
    shutil.copy(three / "valid/dog/0.png", three / "test/dog/again.png")
    with pytest.raises(DataError, match="2 images are in two splits") as caught:
        load(three)
    assert "train/cat/1.png = test/cat/again.png" in caught.value.message
    assert "valid/dog/0.png = test/dog/again.png" in caught.value.message
    data, listener = load(three, on_leak="drop")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 5, "val": 5, "test": 8}
    assert "2 images are in two splits" in listener.warnings[0]


def test_other_files_are_counted_hidden_ones_passed_over_links_followed(flat: Path, tmp_path: Path) -> None:
    (flat / "cat/notes.txt").write_text("x")
    (flat / "cat/Thumbs.db").write_text("x")
    (flat / "LICENSE").write_text("x")
    image(flat / "lost.png", 2)
    (flat / "cat/.DS_Store").write_text("x")
    image(flat / ".cache/x.png", 1)
    outside = image(tmp_path / "outside/far.png", 777)
    (flat / "dog/near.png").symlink_to(outside)
    (flat / "dog/loop").symlink_to(flat / "dog", target_is_directory=True)
    data, listener = load(flat)
    assert sum(len(split) for split in data.splits.values()) == 31
    assert listener.warnings == [f"{flat}: ignored 2 files or folders that are no images of a class (.png, .txt)"]


@pytest.mark.parametrize("below", ["cat/@eaDir/00.png", "__MACOSX/cat", "@eaDir", "cat/#recycle", "$RECYCLE.BIN/x"])
def test_a_drives_thumbnails_and_leftovers_are_no_images(flat: Path, below: str) -> None:
    image(flat / below / "SYNOPHOTO_THUMB_M.png", 5)
    image(flat / "cat/._00.png", 6)
    data, listener = load(flat)
    assert sum(len(split) for split in data.splits.values()) == 30
    assert data.labels == ("cat", "dog")
    assert listener.warnings == []


def test_a_folder_whose_name_is_not_utf8_is_told_before_anything_is_read(flat: Path) -> None:
    latin = os.fsencode(flat) + b"/caf\xe9"
    Path(os.fsdecode(latin)).mkdir()
    shutil.copy(flat / "cat/00.png", os.fsdecode(latin + b"/0.png"))
    with pytest.raises(DataError, match=r"the name of the folder b'caf\\xe9' is not UTF-8") as caught:
        load(flat)
    assert "'café'" in caught.value.hint


def test_second_process_opens_no_image_again(flat: Path) -> None:
    assert load(flat)[1].bars
    examine._seen.clear()  # what another process begins with
    data, listener = load(flat)
    assert listener.bars == []
    image(flat / "cat/00.png", 4242)
    examine._seen.clear()
    changed, listener = load(flat)
    assert listener.bars == ["checking 1 images"]
    assert changed.fingerprint != data.fingerprint


def test_damaged_or_unwritable_memory_only_costs_time(
    flat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "own"))
    load(flat)
    (memory,) = (tmp_path / "own/examined").iterdir()
    memory.write_text('{"version": 1, "files": [')
    examine._seen.clear()
    assert load(flat)[1].bars
    (tmp_path / "file").touch()
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "file"))
    examine._seen.clear()
    assert "cannot be written" in load(flat)[1].warnings[0]


def test_csv_end_to_end(flat: Path) -> None:
    rows = [(f"{label}/{p.name}", label) for label in ("cat", "dog") for p in sorted((flat / label).iterdir())]
    with (flat / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    data = load_dataset(CsvData(kind="csv", path=flat / "list.csv"), seed=0)
    assert data.fingerprint == load(flat)[0].fingerprint


def test_defects_are_generated_once() -> None:
    config = DefectsData(kind="defects", size_px=64, train=14, val=7, test=7)
    data = load_dataset(config, seed=0)
    assert data.labels == ("crack", "dent", "hole", "ok", "rust", "scratch", "stain")
    assert len(data.splits["train"]) == 14
    listener = Listener()
    assert load_dataset(config, seed=0, reporter=listener) == data
    assert listener.bars == []
