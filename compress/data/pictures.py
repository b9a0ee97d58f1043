"""Pictures without labels: any folder, nested or flat, or a CSV with a column `path`; and their fingerprint."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from compress.core.digest import sha256_json
from compress.core.stage import Reporter
from compress.data.csv_manifest import list_csv
from compress.data.examine import examine
from compress.data.listing import IMAGE_SUFFIXES, Entry, pictures_below, subfolders
from compress.errors import DataError

_HELD_BACK = frozenset({"val", "valid", "validation", "test"})
_ALLOWED = "a folder of pictures, nested or flat, or a .csv with a column `path`"


def list_pictures(path: Path) -> tuple[Entry, ...]:
    """Return the pictures in the order of their names; the label of each is its folder, or the CSV's label, or "".

    Of a data set with splits (train/ beside val/ or test/, or a CSV with a column `split`) only the training pictures
    are meant: the others are there to judge with.

    Raises:
        DataError: nothing there, neither a folder nor a CSV, or no pictures in it.
    """
    if path.suffix.lower() == ".csv" and not path.is_dir():
        return list_csv(path, labelled=False).splits["train"]
    if not path.exists():
        raise DataError(f"{path}: no such folder", hint=f"give {_ALLOWED}")
    if not path.is_dir():
        raise DataError(f"{path}: a file, not a folder", hint=f"give {_ALLOWED}")
    pictures, others = pictures_below(training_folder(path))
    if not pictures:
        found = f"{len(others)} files of other kinds" if others else "nothing"
        raise DataError(
            f"{path}: no pictures in it or below it (found {found}, allowed {', '.join(sorted(IMAGE_SUFFIXES))})",
            hint=f"give {_ALLOWED}",
        )
    return tuple(Entry(picture, picture.relative_to(path).as_posix(), _group(picture, path)) for picture in pictures)


def training_folder(path: Path) -> Path:
    """Return train/ of a data set with splits, else the folder itself."""
    names = {folder.name.lower(): folder for folder in subfolders(path)}
    return names["train"] if "train" in names and names.keys() & _HELD_BACK else path


def pictures_fingerprint(path: Path, reporter: Reporter) -> str:
    """Return 64 hex digits over contents, groups and order; equal for a copy of the pictures elsewhere.

    Raises:
        DataError: as `list_pictures`.
    """
    entries = list_pictures(path)
    exams = examine([entry.path for entry in entries], path, reporter)
    rows = [[exam.sha256, entry.label] for entry, exam in zip(entries, exams, strict=True)]
    return sha256_json({"version": 1, "pictures": rows})


def groups_of(entries: Sequence[Entry]) -> tuple[str, ...]:
    """Return the folders or labels that the pictures come from, sorted."""
    return tuple(sorted({entry.label for entry in entries}))


def _group(picture: Path, root: Path) -> str:
    parent = picture.parent.relative_to(root).as_posix()
    return "" if parent == "." else parent
