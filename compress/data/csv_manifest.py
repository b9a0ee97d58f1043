"""CSV manifests: an image, its label and optionally its split a row; paths are relative to the manifest."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from io import TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import TextIO

from compress.core.regular_file import open_regular
from compress.core.visible import visible
from compress.data.listing import SPLIT_NAMES, Entry, Listing, listed, subfolders
from compress.data.manifest_columns import (
    DELIMITERS,
    HINT,
    LABEL,
    PATH,
    SPLIT,
    Columns,
    cells,
    columns_in,
    delimiter_of,
)
from compress.errors import DataError

_EXCEL = "sep="  # a first line by which Excel says what stands between the columns


def list_csv(manifest: Path, *, labelled: bool = True, need_train: bool = True) -> Listing:
    """Return what a manifest lists.

    Args:
        manifest: the file, with commas, semicolons or tabs, with or without a header.
        labelled: whether every image needs a label; else the column may be missing, and labels are "" there.
        need_train: whether there must be training images.

    Raises:
        DataError: named by file and line: missing columns, an empty field, an unknown split, a file listed twice;
            or the list of files that do not exist.
    """
    splits: dict[str, list[Entry]] = {}
    first_line: dict[str, int] = {}
    missing: list[tuple[int, str]] = []
    for line, row in _rows(manifest, {PATH, LABEL} if labelled else {PATH}):
        where = f"{manifest}:{line}"
        entry = _entry(manifest, where, row, labelled=labelled)
        if entry.name in first_line:
            raise DataError(f"{where}: '{entry.name}' is listed already in line {first_line[entry.name]}")
        first_line[entry.name] = line
        if not entry.path.is_file():
            missing.append((line, entry.name))
        splits.setdefault(_split(where, row), []).append(entry)
    if missing:
        raise DataError(
            f"{manifest}: {len(missing)} listed files do not exist:"
            + listed(f"{manifest}:{line}: {name}" for line, name in missing),
            hint=_where_else(manifest, missing[0][1]),
        )
    if not splits or (need_train and "train" not in splits):
        found = ", ".join(splits) or "no rows"
        what = "training images" if need_train else "images"
        raise DataError(f"{manifest}: no {what} (found {found})", hint=HINT)
    ordered = {name: tuple(sorted(entries, key=lambda entry: entry.name)) for name, entries in splits.items()}
    return Listing(manifest, ordered)


def _rows(manifest: Path, needed: set[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells by their meaning, of the columns that must be there and those that may be."""
    try:
        with TextIOWrapper(open_regular(manifest), encoding="utf-8-sig", newline="") as file:
            for line, row, columns, width in _table(manifest, file, needed):
                if any(row[width:]):  # a spreadsheet's empty cells at the end say nothing
                    raise DataError(f"{manifest}:{line}: more fields than columns", hint=HINT)
                yield line, cells(row, columns)
    except OSError as error:
        raise DataError(
            f"{manifest}: cannot be read: {error.strerror}",
            hint="give a CSV file as --data or data.path",
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(f"{manifest}: not UTF-8 text", hint="save the manifest as CSV in UTF-8") from error


def _table(manifest: Path, file: TextIO, needed: set[str]) -> Iterator[tuple[int, list[str], Columns, int]]:
    """Yield line number, fields, the columns that are meant, and how many columns there are, without the header."""
    first_line = file.readline()
    told = first_line.lower().startswith(_EXCEL)
    delimiter = first_line[len(_EXCEL) :].strip() if told else delimiter_of(first_line)
    if told and delimiter not in DELIMITERS:
        raise DataError(f"{manifest}:1: '{first_line.strip()}' names no comma or semicolon", hint=HINT)
    reader = csv.reader(
        file if told else chain([first_line], file), delimiter=delimiter, strict=True, skipinitialspace=True
    )
    read_to = int(told)
    try:
        first = next(reader, [])
        read_to = reader.line_num + told
        columns, is_header = _columns(f"{manifest}:{read_to}", first, needed)
        for row in reader if is_header else chain([first], reader):
            read_to = reader.line_num + told
            if row:
                yield read_to, row, columns, len(first)
    except csv.Error as error:
        raise DataError(f"{manifest}:{read_to + 1}: {error}", hint=HINT) from error


def _columns(where: str, first: list[str], needed: set[str]) -> tuple[Columns, bool]:
    try:
        columns, is_header = columns_in(first)
    except DataError as error:
        raise DataError(f"{where}: {error}", hint=error.hint) from None
    if not needed <= columns.keys():
        found = ",".join(first) or "an empty file"
        raise DataError(f"{where}: expected the columns path,label[,split], found {found}", hint=HINT)
    return columns, is_header


def _entry(manifest: Path, where: str, row: dict[str, str], *, labelled: bool) -> Entry:
    name, label = row[PATH], row.get(LABEL, "")
    if not name or (labelled and not label):
        raise DataError(f"{where}: '{'label' if name else 'path'}' is empty", hint=HINT)
    path = manifest.parent / name
    if "\\" in name and not path.is_file():  # written on Windows
        name = name.replace("\\", "/")
        path = manifest.parent / name
    return Entry(path, name, visible(label))


def _split(where: str, row: dict[str, str]) -> str:
    if SPLIT not in row:
        return "train"
    if row[SPLIT].lower() not in SPLIT_NAMES:
        raise DataError(f"{where}: split '{row[SPLIT]}' (allowed: train, val, test)")
    return SPLIT_NAMES[row[SPLIT].lower()]


def _where_else(manifest: Path, name: str) -> str:
    """Return what to do about a listed file that is not there: where one of its name is, or what paths refer to."""
    base = f"paths are relative to the folder of the manifest, {manifest.parent.absolute()}"
    last = name.replace("\\", "/").rpartition("/")[2]
    places = [manifest.parent, *subfolders(manifest.parent)]
    found = next((place / part for part in (name, last) for place in places if part and (place / part).is_file()), None)
    return f"{base}; there is {found.relative_to(manifest.parent).as_posix()}: write that" if found else base
