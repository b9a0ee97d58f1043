from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.core.stage import SilentReporter
from compress.pipeline.own_images import own_test_split
from compress.pipeline.runner import run_recipe
from compress.recipe.load import recipe_from_dict


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("flat")
    for number, label in enumerate(("a", "b")):
        (root / label).mkdir()
        for index in range(10):
            noise = np.random.default_rng(100 * number + index).integers(0, 256, (40, 40, 3), dtype=np.uint8)
            Image.fromarray(noise).save(root / label / f"{index}.png")
    return root


@pytest.fixture(scope="module")
def run_dir(images, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("work")
    train = {"kind": "train", "arch": "tiny", "weights": "none", "input_px": 32, "fit": {"epochs": 1, "batch_size": 4}}
    data = {"kind": "folder", "path": str(images)}
    loaded = recipe_from_dict({"imgc": 1, "name": "r", "data": data, "stages": [train]}, folder)
    return run_recipe(loaded, runs_dir=folder / "runs").run_dir


class Told(SilentReporter):
    def __init__(self):
        self.said = []

    def info(self, text):
        self.said.append(text)


@pytest.mark.slow
def test_on_its_own_folder_a_run_s_file_is_asked_the_test_images_alone(run_dir, images, tmp_path, monkeypatch):
    file, told = run_dir / "01-train" / "model.safetensors", Told()
    split = own_test_split(file, images, told).split
    assert (split.name, len(split)) == ("test", 4)
    assert told.said == [f"{images}: the 4 test images of run r; it was trained on the others, or chosen by them"]
    assert own_test_split(file, images / "a", told) is None
    copy = shutil.copy(file, tmp_path / "mine.safetensors")
    assert own_test_split(Path(copy), images, told) is None, "nobody knows whose it is"
    monkeypatch.chdir(run_dir.parent.parent)
    assert own_test_split(Path(copy), images, told).split.paths == split.paths
    Path(copy).write_bytes(b"another file")
    assert own_test_split(Path(copy), images, told) is None


@pytest.mark.slow
def test_after_the_images_changed_nobody_knows_which_were_trained_on(run_dir, images):
    file, told = run_dir / "01-train" / "model.safetensors", Told()
    (images / "0 new").mkdir()
    shutil.copy(images / "a" / "0.png", images / "0 new" / "0.png")
    try:
        assert own_test_split(file, images, told) is None, "a class more, and every index would be another class"
    finally:
        shutil.rmtree(images / "0 new")
    assert own_test_split(file, images, told).labels == ("a", "b")
