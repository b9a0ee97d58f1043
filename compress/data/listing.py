"""What a source of images says it holds, before any file is opened: `Listing`."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from compress.data.heic import SUFFIXES as HEIC_SUFFIXES

SPLITS = ("train", "val", "test")
SPLIT_NAMES = {  # what people call them -> what they are
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
IMAGE_SUFFIXES = HEIC_SUFFIXES | {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".bmp", ".gif", ".tif", ".tiff")
}
# what network drives, archives of a Mac and Windows put among the images: thumbnails, copies of names, deleted files
_NOT_OURS = frozenset(
    {"@eadir", "@tmp", "#recycle", "#snapshot", "__macosx", "$recycle.bin", "lost+found", "thumbs.db", "desktop.ini"}
)
_SHOWN = 10


@dataclass(frozen=True)
class Entry:
    """One image: its file, its name relative to the data set (with forward slashes), its class."""

    path: Path
    name: str
    label: str


@dataclass(frozen=True)
class Listing:
    """Entries per split, in the order of their names. A split that the source does not have is missing.

    Attributes:
        root: folder or manifest that was read; begins every message.
        splits: "train" and, where the source has them, "val" and "test".
        empty_classes: per split, class folders without an image.
        ignored: files below classes that are no images by their names, and images or folders outside of classes.
    """

    root: Path
    splits: Mapping[str, tuple[Entry, ...]]
    empty_classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[Path, ...] = ()


def listed(items: Iterable[object]) -> str:
    """Return up to ten items, one a line, and how many more there are."""
    every = [str(item) for item in items]
    lines = [f"\n  {item}" for item in every[:_SHOWN]]
    if len(every) > _SHOWN:
        lines.append(f"\n  ... and {len(every) - _SHOWN} more")
    return "".join(lines)


def images_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the images below a folder and the other files, both sorted; what `is_passed_over` is left out.

    Links are followed, each folder once, so that a link to a folder above does not loop.
    """
    images: list[Path] = []
    others: list[Path] = []
    seen: set[str] = set()
    for where, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(where)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_passed_over(name))
        for name in sorted(files):
            if not is_passed_over(name):
                path = Path(where, name)
                (images if path.suffix.lower() in IMAGE_SUFFIXES else others).append(path)
    return sorted(images), sorted(others)


def subfolders(folder: Path) -> list[Path]:
    """Return the folders directly below, sorted by name, without those that are passed over."""
    return sorted(path for path in folder.iterdir() if path.is_dir() and not is_passed_over(path.name))


def is_passed_over(name: str) -> bool:
    """Return whether a file or folder is no part of a data set: hidden, or a system's own thumbnails and leftovers."""
    return name.startswith(".") or name.lower() in _NOT_OURS


def labels_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the class names, sorted; of images without classes the folders that they come from."""
    return tuple(sorted({entry.label for entry in entries}))
