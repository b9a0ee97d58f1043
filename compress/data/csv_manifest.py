"""CSV manifests: the columns path,label and optionally split; paths are relative to the manifest."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path

from compress.core.regular_file import open_regular
from compress.core.visible import visible
from compress.data.listing import Entry, Listing, listed
from compress.errors import DataError

_SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
_HINT = "a manifest begins with the line `path,label` or `path,label,split`"


def list_csv(manifest: Path, *, labelled: bool = True, need_train: bool = True) -> Listing:
    """Return what a manifest lists.

    Args:
        manifest: the CSV file.
        labelled: whether every image needs a label; else the column may be missing, and labels are "" there.
        need_train: whether there must be training images.

    Raises:
        DataError: named by file and line: missing columns, an empty field, an unknown split, a file listed twice;
            or the list of files that do not exist.
    """
    splits: dict[str, list[Entry]] = {}
    first_line: dict[str, int] = {}
    missing: list[str] = []
    for line, row in _rows(manifest, {"path", "label"} if labelled else {"path"}):
        where = f"{manifest}:{line}"
        entry = _entry(manifest, where, row, labelled=labelled)
        if entry.name in first_line:
            raise DataError(f"{where}: '{entry.name}' is listed already in line {first_line[entry.name]}")
        first_line[entry.name] = line
        if not entry.path.is_file():
            missing.append(f"{where}: {entry.name}")
        splits.setdefault(_split(where, row), []).append(entry)
    if missing:
        raise DataError(
            f"{manifest}: {len(missing)} listed files do not exist:{listed(missing)}",
            hint=f"paths are relative to {manifest.parent}",
        )
    if not splits or (need_train and "train" not in splits):
        found = ", ".join(splits) or "no rows"
        what = "training images" if need_train else "images"
        raise DataError(f"{manifest}: no {what} (found {found})", hint=_HINT)
    ordered = {name: tuple(sorted(entries, key=lambda entry: entry.name)) for name, entries in splits.items()}
    return Listing(manifest, ordered)


def _rows(manifest: Path, needed: set[str]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """Yield line number and row, checked for the columns that must be there."""
    try:
        with TextIOWrapper(open_regular(manifest), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            columns = reader.fieldnames or []
            if not needed <= set(columns):
                found = ",".join(columns) or "an empty file"
                raise DataError(f"{manifest}:1: expected the columns path,label[,split], found {found}", hint=_HINT)
            for row in reader:
                if None in row:
                    raise DataError(f"{manifest}:{reader.line_num}: more fields than columns", hint=_HINT)
                yield reader.line_num, row
    except OSError as error:
        raise DataError(
            f"{manifest}: cannot be read: {error.strerror}",
            hint="give a CSV file as --data or data.path",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest}: not UTF-8 text", hint="save the manifest as CSV in UTF-8") from error
    except csv.Error as error:
        raise DataError(f"{manifest}:{reader.line_num + 1}: {error}", hint=_HINT) from error


def _entry(manifest: Path, where: str, row: dict[str, str | None], *, labelled: bool) -> Entry:
    name, label = (row["path"] or "").strip(), (row.get("label") or "").strip()
    if not name or (labelled and not label):
        raise DataError(f"{where}: '{'label' if name else 'path'}' is empty", hint=_HINT)
    return Entry(manifest.parent / name, name, visible(label))


def _split(where: str, row: dict[str, str | None]) -> str:
    if "split" not in row:
        return "train"
    name = (row["split"] or "").strip()
    if name.lower() not in _SPLIT_NAMES:
        raise DataError(f"{where}: split '{name}' (allowed: train, val, test)")
    return _SPLIT_NAMES[name.lower()]
