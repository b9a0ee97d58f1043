"""Data sets that torchvision downloads, written once as class folders of PNG files into the cache."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.core.cache import cache_dir
from compress.core.dataset import TorchvisionData
from compress.core.digest import sha256_bytes
from compress.core.stage import Reporter
from compress.core.storage import temporary_folder
from compress.errors import DataError, StageError, missing_backend


@dataclass(frozen=True)
class _Source:
    """How torchvision names a set: its class, our split -> its arguments."""

    class_name: str
    splits: dict[str, dict[str, Any]]


# Only train and val are published of imagenette: its val is held out here as test, and val is taken from train.
_SOURCES = {
    "cifar10": _Source("CIFAR10", {"train": {"train": True}, "test": {"train": False}}),
    "fashion_mnist": _Source("FashionMNIST", {"train": {"train": True}, "test": {"train": False}}),
    "flowers102": _Source("Flowers102", {name: {"split": name} for name in ("train", "val", "test")}),
    "oxford_iiit_pet": _Source("OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "imagenette": _Source(
        "Imagenette", {"train": {"split": "train", "size": "320px"}, "test": {"split": "val", "size": "320px"}}
    ),
}


def materialise(config: TorchvisionData, reporter: Reporter) -> Path:
    """Return the folder with train/ (val/) test/ class folders, made on first use.

    Raises:
        DataError: the set is not there and may not or cannot be downloaded.
        BackendMissingError: torchvision is not installed.
    """
    # another root may hold another set of the same name
    place = f"-{sha256_bytes(str(config.root.absolute()).encode())[:16]}" if config.root else ""
    folder = cache_dir() / "datasets" / f"torchvision-{config.name}{place}"
    if folder.is_dir():
        return folder
    root = config.root or cache_dir() / "torchvision"
    sets = _open(config, root)
    try:
        temporary = temporary_folder(folder.parent)
        try:
            for split, images in sets.items():
                _write(temporary / split, images, f"{config.name}: writing {split}", reporter)
            temporary.replace(folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if not folder.is_dir():  # else another process was faster
            raise StageError(f"{folder}: cannot write the data set: {error}", hint="free some space") from error
    return folder


def _open(config: TorchvisionData, root: Path) -> dict[str, Any]:
    """Return split -> torchvision data set, downloaded if allowed."""
    try:
        from torchvision import datasets
    except ImportError as error:
        raise missing_backend("torchvision", "train") from error
    source = _SOURCES[config.name]
    build: Callable[..., Any] = getattr(datasets, source.class_name)
    try:
        root.mkdir(parents=True, exist_ok=True)
        return {
            split: build(root=str(root), **arguments, **_download(config, source, arguments, root))
            for split, arguments in source.splits.items()
        }
    except (OSError, RuntimeError, ValueError) as error:  # URLError is an OSError
        if config.download:
            hint = f"is the network there? Put the files below {root} by hand, or use `data: {{kind: defects}}`"
            raise DataError(f"{config.name}: cannot be downloaded: {error}", hint=hint) from error
        raise DataError(
            f"{config.name}: not found below {root}: {error}",
            hint="set `download: true`, or `root:` to the folder that holds it",
        ) from error


def _download(config: TorchvisionData, source: _Source, arguments: dict[str, Any], root: Path) -> dict[str, bool]:
    """Return the download argument; Imagenette alone refuses to download what is there already."""
    there = source.class_name == "Imagenette" and (root / "imagenette2-320" / arguments["split"]).is_dir()
    return {"download": config.download and not there}


def _write(folder: Path, images: Any, label: str, reporter: Reporter) -> None:  # noqa: ANN401 - torchvision, untyped
    names = [_folder_name(name) for name in images.classes]
    if len(set(names)) < len(names):  # two classes of one name
        names = [f"{index:03d}-{name}" for index, name in enumerate(names)]
    for name in names:
        (folder / name).mkdir(parents=True)
    with reporter.progress(label, len(images)) as advance:
        for index in range(len(images)):
            image, target = images[index]
            image.save(folder / names[int(target)] / f"{index:06d}.png", compress_level=1)
            advance(1)


def _folder_name(name: str | tuple[str, ...]) -> str:
    """Return a class name that can be a folder's name; of several synonyms the first."""
    first = name if isinstance(name, str) else name[0]
    return re.sub(r"[^\w.-]+", "_", first).strip("._") or "class"
