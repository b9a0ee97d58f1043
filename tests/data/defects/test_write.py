from __future__ import annotations

import json
from pathlib import Path

import pytest

import compress.data.defects.write as module
from compress.core.dataset import DefectsData
from compress.core.digest import sha256_file
from compress.core.stage import SilentReporter
from compress.data.defects.image import LABELS, make_image
from compress.data.defects.write import write_defects
from compress.errors import DataError, StageError

CONFIG = DefectsData(kind="defects", size_px=64, train=21, val=7, test=14, seed=5)


def test_writes_class_folders_and_a_true_manifest(tmp_path: Path) -> None:
    out = tmp_path / "new/defects"
    write_defects(out, CONFIG, SilentReporter())
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["parameters"]["seed"] == 5
    assert len(manifest["files"]) == 42
    for row in manifest["files"]:
        assert sha256_file(out / row["file"]) == row["sha256"]
        assert Path(row["file"]).parent.name == row["label"]
    assert {path.name for path in (out / "train").iterdir()} == set(LABELS)
    assert all(len(list((out / "test" / label).iterdir())) == 2 for label in LABELS)
    assert [path.name for path in out.parent.iterdir()] == ["defects"]


def test_images_do_not_depend_on_threads_or_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_THREADS", 5)
    write_defects(tmp_path / "a", CONFIG.model_copy(update={"train": 7}), SilentReporter())
    for index in range(7):
        written = (tmp_path / f"a/train/{LABELS[index]}/{index:06d}.jpg").read_bytes()
        assert written == make_image(5, "train", index, 64).jpeg


def test_same_set_is_left_alone_and_anything_else_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    write_defects(out, CONFIG, SilentReporter())  # an empty folder may be filled
    before = (out / "manifest.json").stat().st_mtime_ns
    write_defects(out, CONFIG, SilentReporter())
    assert (out / "manifest.json").stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"not empty, it holds a data set made with .*'seed': 5"):
        write_defects(out, CONFIG.model_copy(update={"seed": 6}), SilentReporter())
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/diary.txt").write_text("x")
    with pytest.raises(DataError, match="holds something else"):
        write_defects(tmp_path / "mine", CONFIG, SilentReporter())


def test_failure_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(seed: int, split: str, index: int, size_px: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "make_image", full)
    with pytest.raises(StageError, match="cannot write the data set: No space left"):
        write_defects(tmp_path / "out", CONFIG, SilentReporter())
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(StageError, match="cannot write"):
        write_defects(tmp_path / "file/out", CONFIG, SilentReporter())
