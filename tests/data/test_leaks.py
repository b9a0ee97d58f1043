"""Nearly equal images across the splits of a data set, and within one that is split here."""

from __future__ import annotations

import pytest

from compress.core.dataset import FolderData
from compress.data.dataset import load_dataset
from compress.errors import DataError
from tests.data.test_near import scene, thumbnail


class Told:
    """A reporter that keeps what it was told."""

    def __init__(self):
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def info(self, text):
        pass

    def progress(self, *_):
        from compress.core.stage import SilentReporter

        return SilentReporter().progress("", 1)


@pytest.fixture
def leaky(tmp_path, monkeypatch):
    """A data set with splits, of whose training images one is in test, as a thumbnail."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    root, seed = tmp_path / "set", 0
    for split, count in (("train", 4), ("val", 2), ("test", 2)):
        for label in ("a", "b"):
            folder = root / split / label
            folder.mkdir(parents=True)
            for number in range(count):
                seed += 1
                scene(seed).save(folder / f"{number}.png")
    thumbnail(scene(1), 128, 75).save(root / "test" / "a" / "0.jpg")
    return root


def test_a_thumbnail_in_another_split_is_listed_and_kept(leaky):
    told = Told()
    data = load_dataset(FolderData(path=leaky), seed=0, reporter=told)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "val": 4, "test": 5}
    (warning,) = told.warnings
    assert "1 images are nearly the same as one of another split" in warning
    assert "train/a/0.png ~ test/a/0.jpg" in warning
    assert "--on-leak drop" in warning


def test_it_is_dropped_from_the_training_side_when_asked_to(leaky):
    data = load_dataset(FolderData(path=leaky, on_leak="drop"), seed=0, reporter=Told())
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 7, "val": 4, "test": 5}
    assert "train/a/0.png" not in [path.relative_to(leaky).as_posix() for path in data.splits["train"].paths]


def test_dropping_may_not_empty_a_class(leaky):
    for number in (1, 2, 3):
        (leaky / "train" / "a" / f"{number}.png").unlink()
    with pytest.raises(DataError, match="dropping them leaves no training image of 1 classes"):
        load_dataset(FolderData(path=leaky, on_leak="drop"), seed=0, reporter=Told())


def flat_set(root, copies):
    for label, first in (("a", 0), ("b", 1000)):
        (root / label).mkdir(parents=True)
        for seed in range(first, first + 12):
            image = scene(seed)
            image.save(root / label / f"{seed}.png")
            for copy in range(copies if seed == first else 1):
                thumbnail(image, 200 + 10 * copy, 85).save(root / label / f"{seed}_{copy}.jpg")


def splits_of(root, seed):
    data = load_dataset(FolderData(path=root), seed=seed, reporter=Told())
    return {path.stem: name for name, split in data.splits.items() for path in split.paths}


def test_an_image_and_its_thumbnail_get_into_the_same_split(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flat_set(tmp_path / "set", 1)
    places = [splits_of(tmp_path / "set", seed) for seed in range(4)]
    for place in places:
        assert all(place[stem] == place[f"{stem}_0"] for stem in place if "_" not in stem)
    assert len({tuple(sorted(place.items())) for place in places}) > 1
    assert {name for place in places for name in place.values()} == {"train", "val", "test"}


def test_a_scene_that_never_changes_is_split_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flat_set(tmp_path / "set", 12)
    place = splits_of(tmp_path / "set", 0)
    assert len({place[stem] for stem in place if stem.startswith("0")}) > 1
