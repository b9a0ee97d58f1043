from __future__ import annotations

from pathlib import Path
from typing import ClassVar, get_args

import pytest
from PIL import Image

from compress.core.dataset import TorchvisionData
from compress.core.stage import SilentReporter
from compress.data.dataset import load_dataset
from compress.data.torchvision_sets import _SOURCES, materialise
from compress.errors import DataError

datasets = pytest.importorskip("torchvision.datasets")

NAMES = get_args(TorchvisionData.model_fields["name"].annotation)


class Pretend:
    """What we use of a torchvision data set."""

    classes: ClassVar = [("red fox", "vulpes"), "Crane", "Crane"]
    made: ClassVar[list[dict]] = []

    def __init__(self, root: str, **arguments: object) -> None:
        self.made.append(arguments)
        self.shift = sum(map(ord, str(sorted(arguments.items())))) % 97

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        return Image.new("L", (8, 8), 97 + index + self.shift), index % 3


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGC_CACHE", str(tmp_path / "cache"))


def test_every_name_of_the_config_is_known_to_torchvision() -> None:
    assert set(_SOURCES) == set(NAMES)
    assert all(hasattr(datasets, source.class_name) for source in _SOURCES.values())


def test_written_once_with_its_own_splits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets, "Flowers102", Pretend)
    monkeypatch.setattr(Pretend, "made", [])
    config = TorchvisionData(kind="torchvision", name="flowers102", download=True, on_leak="drop")
    folder = materialise(config, SilentReporter())
    assert [made["split"] for made in Pretend.made] == ["train", "val", "test"]
    assert all(made["download"] for made in Pretend.made)
    assert sorted(path.name for path in (folder / "val").iterdir()) == ["000-red_fox", "001-Crane", "002-Crane"]
    assert materialise(config, SilentReporter()) == folder
    assert len(Pretend.made) == 3
    assert {name: len(split) for name, split in load_dataset(config, seed=0).splits.items()}["test"] == 6


@pytest.mark.parametrize("name", NAMES)
def test_absent_and_not_to_be_downloaded_is_a_clear_error(name: str, tmp_path: Path) -> None:
    config = TorchvisionData(kind="torchvision", name=name, root=tmp_path / "nothing")
    with pytest.raises(DataError, match=f"{name}: not found below .*nothing") as caught:
        materialise(config, SilentReporter())
    assert "download: true" in caught.value.hint


def test_offline_is_a_clear_error_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def offline(**arguments: object) -> None:
        raise OSError("<urlopen error: no network>")

    monkeypatch.setattr(datasets, "CIFAR10", offline)
    with pytest.raises(DataError, match=r"cifar10: cannot be downloaded: .*no network"):
        materialise(TorchvisionData(kind="torchvision", name="cifar10", download=True), SilentReporter())
    assert not (tmp_path / "cache/datasets").exists()
