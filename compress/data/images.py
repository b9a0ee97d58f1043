"""Images without labels: any folder, nested or flat, or a CSV with a column `path`; and their fingerprint."""

from __future__ import annotations

from pathlib import Path

from compress.core.dataset import is_manifest
from compress.core.digest import sha256_json
from compress.core.stage import Reporter
from compress.data.csv_manifest import list_csv
from compress.data.examine import examine
from compress.data.listing import IMAGE_SUFFIXES, SPLIT_NAMES, Entry, images_below, subfolders
from compress.errors import DataError

_ALLOWED = "a folder of images, nested or flat, or a .csv or .tsv with a column `path`"


def list_images(path: Path) -> tuple[Entry, ...]:
    """Return the images in the order of their names; the label of each is its folder, or the CSV's label, or "".

    Of a data set with splits (train/ beside val/ or test/, or a CSV with a column `split`) only the training images
    are meant: the others are there to judge with.

    Raises:
        DataError: nothing there, neither a folder nor a CSV, or no images in it.
    """
    if is_manifest(path) and not path.is_dir():
        return list_csv(path, labelled=False).splits["train"]
    if not path.exists():
        raise DataError(f"{path}: no such folder", hint=f"give {_ALLOWED}")
    if not path.is_dir():
        raise DataError(f"{path}: a file, not a folder", hint=f"give {_ALLOWED}")
    images, others = images_below(training_folder(path))
    if not images:
        found = f"{len(others)} files of other kinds" if others else "nothing"
        raise DataError(
            f"{path}: no images in it or below it (found {found}, allowed {', '.join(sorted(IMAGE_SUFFIXES))})",
            hint=f"give {_ALLOWED}",
        )
    return tuple(Entry(image, image.relative_to(path).as_posix(), _group(image, path)) for image in images)


def training_folder(path: Path) -> Path:
    """Return train/ of a data set with splits, else the folder itself."""
    splits = {SPLIT_NAMES[one.name.lower()]: one for one in subfolders(path) if one.name.lower() in SPLIT_NAMES}
    return splits["train"] if "train" in splits and len(splits) > 1 else path


def images_fingerprint(path: Path, reporter: Reporter) -> str:
    """Return 64 hex digits over contents, groups and order; equal for a copy of the images elsewhere.

    Raises:
        DataError: as `list_images`.
    """
    entries = list_images(path)
    exams = examine([entry.path for entry in entries], path, reporter)
    rows = [[exam.sha256, entry.label] for entry, exam in zip(entries, exams, strict=True)]
    return sha256_json({"version": 1, "images": rows})


def _group(image: Path, root: Path) -> str:
    parent = image.parent.relative_to(root).as_posix()
    return "" if parent == "." else parent
