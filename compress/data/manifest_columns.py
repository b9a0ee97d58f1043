"""Which columns a manifest means, and what stands between them: people's tables are not all called path,label,split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from compress.data.listing import IMAGE_SUFFIXES, SPLIT_NAMES
from compress.errors import DataError

DELIMITERS = (",", ";", "\t")
PATH, LABEL, SPLIT = "path", "label", "split"
_SYNONYMS = {
    PATH: "path file filename file_name filepath file_path image image_path image_name image_file img img_path",
    LABEL: "label labels class classes class_name classname category category_name target",
    SPLIT: "split set subset partition",
}
HINT = "a manifest begins with the line `path,label` or `path,label,split`"

Columns = dict[str, int]  # PATH, LABEL, SPLIT -> number of the column


def delimiter_of(first_line: str) -> str:
    """Return what stands between the columns: the most frequent of comma, semicolon and tab in the first line."""
    return max(DELIMITERS, key=first_line.count)  # of equals the first


def columns_in(first_row: Sequence[str]) -> tuple[Columns, bool]:
    """Return the columns by a table's first row, and whether that row is a header.

    A first row that holds an image's file name is no header: the columns are then told by what is in them.

    Raises:
        DataError: two columns of one meaning, or no header and other than two or three columns; without a file's name.
    """
    if any(_is_image(cell) for cell in first_row):
        return _by_content(first_row), False
    found: Columns = {}
    for meaning, words in _SYNONYMS.items():
        numbers = [number for number, cell in enumerate(first_row) if _plain(cell) in words.split()]
        exact = [number for number in numbers if _plain(first_row[number]) == meaning] or numbers
        if len(exact) > 1:
            names = " and ".join(f"'{first_row[number]}'" for number in exact)
            raise DataError(f"{names} could both be the {meaning}", hint=f"call the one that is meant {meaning}")
        if exact:
            found[meaning] = exact[0]
    return found, True


def _by_content(row: Sequence[str]) -> Columns:
    if len(row) not in (1, 2, 3):
        raise DataError(f"no header, and {len(row)} columns: which is the label is not said", hint=HINT)
    path = next(number for number, cell in enumerate(row) if _is_image(cell))
    others = [number for number in range(len(row)) if number != path]
    split = next((number for number in others if _plain(row[number]) in SPLIT_NAMES), None) if len(row) == 3 else None
    labels = [number for number in others if number != split]
    if len(labels) > 1:
        raise DataError("no header, and three columns of which none is train, val or test", hint=HINT)
    numbers = {PATH: path, LABEL: labels[0] if labels else None, SPLIT: split}
    return {meaning: number for meaning, number in numbers.items() if number is not None}


def _is_image(cell: str) -> bool:
    return PurePosixPath(cell.strip().replace("\\", "/")).suffix.lower() in IMAGE_SUFFIXES


def _plain(cell: str) -> str:
    return cell.strip().lower().replace(" ", "_").replace("-", "_")


def cells(row: Sequence[str], columns: Mapping[str, int]) -> dict[str, str]:
    """Return meaning -> text of a row; a row that ends early has empty cells."""
    return {meaning: row[number].strip() if number < len(row) else "" for meaning, number in columns.items()}
