"""Class-per-folder data: `root/class/*.jpg`, or the same below train/, val/ and test/ by any usual name."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

from compress.core.visible import visible
from compress.data.listing import IMAGE_SUFFIXES, SPLIT_NAMES, SPLITS, Entry, Listing, images_below, listed, subfolders
from compress.errors import DataError


def list_folder(root: Path) -> Listing:
    """Return what lies below a folder.

    A folder named train that itself holds folders makes it a data set with splits; else every folder is a class.

    Raises:
        DataError: no such folder, no class folders, two folders for one split, or test/ without train/.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder", hint=_folder_like(root))
    if not root.is_dir():
        raise DataError(f"{root}: a file, not a folder", hint="give the folder that holds the class folders, or a .csv")
    split_folders = _split_folders(root)
    # a LICENSE or a manifest beside the class folders is usual; an image there has lost its class
    ignored = [path for path in sorted(root.iterdir()) if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file()]
    splits: dict[str, tuple[Entry, ...]] = {}
    empty: dict[str, tuple[str, ...]] = {}
    if not split_folders:
        splits["train"], empty["train"], others = _classes(root, root)
        return Listing(root, splits, empty, tuple(ignored + others))
    for split, folder in split_folders.items():
        splits[split], empty[split], others = _classes(folder, root)
        ignored += others
    ignored += [path for path in subfolders(root) if path not in split_folders.values()]
    return Listing(root, splits, empty, tuple(ignored))


def _folder_like(root: Path) -> str:
    names = [path.name for path in subfolders(root.parent)] if root.parent.is_dir() else []
    lower = {name.lower(): name for name in names}
    near = get_close_matches(root.name.lower(), lower, n=1)
    return f"did you mean {root.parent / lower[near[0]]}?" if near else "give the folder that holds the class folders"


def _split_folders(root: Path) -> dict[str, Path]:
    """Return split -> folder, empty when the folders below `root` are classes."""
    found: dict[str, Path] = {}
    for folder in subfolders(root):
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None or not subfolders(folder):
            continue
        if split in found:
            raise DataError(f"{root}: both {found[split].name}/ and {folder.name}/ would be '{split}'; keep one")
        found[split] = folder
    if found and "train" not in found:
        names = ", ".join(f"{folder.name}/" for folder in found.values())
        raise DataError(f"{root}: found {names} but no train/", hint="put the training images into train/<class>/")
    return {split: found[split] for split in SPLITS if split in found}


def class_folders_below(root: Path) -> Path | None:
    """Return the one folder directly below that holds class folders itself, None where none or several do."""
    inner = [folder for folder in subfolders(root) if _holds_classes(folder)]
    return inner[0] if len(inner) == 1 else None


def _holds_classes(folder: Path) -> bool:
    below = subfolders(folder)
    return any(one.name.lower() in SPLIT_NAMES for one in below) or sum(bool(images_below(one)[0]) for one in below) > 1


def _require_utf8(folder: Path) -> None:
    try:
        folder.name.encode()
    except UnicodeEncodeError:
        raw = os.fsencode(folder.name)
        raise DataError(
            f"{folder.parent}: the name of the folder {raw!r} is not UTF-8, so no file can hold it as a class",
            hint=f"rename it; read as Latin-1 it is '{raw.decode('latin-1')}'",
        ) from None


def _classes(folder: Path, root: Path) -> tuple[tuple[Entry, ...], tuple[str, ...], list[Path]]:
    """Return the entries of the class folders, the classes without an image, and the files that are no images."""
    classes = subfolders(folder)
    if not classes:
        loose, _ = images_below(folder)
        found = f"{len(loose)} images lie directly in it" if loose else "it holds no folders"
        raise DataError(f"{folder}: no class folders; {found}", hint="make one folder per class, named by the class")
    entries: list[Entry] = []
    others: list[Path] = []
    empty: list[str] = []
    for klass in classes:
        _require_utf8(klass)
        images, rest = images_below(klass)
        entries += [Entry(path, path.relative_to(root).as_posix(), visible(klass.name)) for path in images]
        others += rest
        if not images:
            empty.append(visible(klass.name))
    if not entries:
        raise DataError(f"{folder}: no images in its {len(classes)} folders:{listed(path.name for path in classes)}")
    return tuple(sorted(entries, key=lambda entry: entry.name)), tuple(empty), others
