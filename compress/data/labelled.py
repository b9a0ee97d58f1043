"""Labelled images to evaluate a model on; a label is a class name or a class index."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

from compress.core.dataset import is_manifest
from compress.core.stage import Reporter, SilentReporter
from compress.data.checks import drop_bad
from compress.data.csv_manifest import list_csv
from compress.data.dataset import Split, indexed
from compress.data.folder import class_folders_below, list_folder
from compress.data.listing import Entry, Listing, labels_of, listed
from compress.errors import DataError


def load_labelled_folder(
    path: Path, labels: Sequence[str], *, named: bool = True, reporter: Reporter | None = None
) -> Split:
    """Return labelled images to evaluate a model on; they may be of only some of its classes.

    Args:
        path: a folder of class folders; a data set with splits (its test images, else its val images); or a CSV
            manifest with the columns path,label (with a split column: its test rows, else its val rows).
        labels: the model's classes in index order.
        named: whether these are names; False for "0".."K-1" of a model whose classes nobody named. Labels that are no
            indices are then its classes in the order of their names, if there are as many.
        reporter: is told of everything that was ignored.

    Raises:
        DataError: classes the model does not know, bad images, or nothing to evaluate on.
    """
    reporter = reporter or SilentReporter()
    listing = list_csv(path, need_train=False) if is_manifest(path) else list_folder(path)
    name = next(name for name in ("test", "val", "train") if name in listing.splits)
    if name == "train":
        reporter.info(f"{path} has no test images: every image counts, also those a model may have been trained on")
    chosen = Listing(path, {"train": listing.splits[name]}, ignored=listing.ignored)
    splits, _, _ = drop_bad(chosen, "error", reporter, hint="replace or remove them")
    entries = splits["train"]
    found = labels_of(entries)
    if not named and not set(found) <= set(labels):
        if len(found) != len(labels):
            raise DataError(
                f"{path}: the model has {len(labels)} classes without names, the images have {len(found)} labels",
                hint=f"give class indices 0..{len(labels) - 1} as labels",
            )
        reporter.info(f"{path}: the model does not name its classes; they are taken for the labels in order of name")
        labels = found
    return indexed(name, _known(entries, tuple(labels), path), labels)


_MOST_COMPARED = 5000  # names among which a mistyped one is looked for
_FEW = 3  # mistyped names that are looked for


def _known(entries: Sequence[Entry], labels: tuple[str, ...], path: Path) -> list[Entry]:
    """Return the entries with their labels as the model spells them."""
    exact, alone = frozenset(labels), _plain_spellings(labels)
    known = [Entry(entry.path, entry.name, _name_of(entry.label, labels, exact, alone)) for entry in entries]
    strange = {entry.label: entry.name for entry in known if entry.label not in exact}
    if strange:
        rows = [f"{label} ({name})" for label, name in sorted(strange.items())]
        raise DataError(
            f"{path}: {len(strange)} classes of the images are not classes of the model:{listed(rows)}",
            hint=_inside(path)
            or f"a label is a class name or an index 0..{len(labels) - 1}{_nearest(strange, labels)}",
        )
    return known


def _inside(path: Path) -> str:
    inner = class_folders_below(path) if path.is_dir() else None
    return f"did you mean {inner}? It holds class folders itself" if inner else ""


def _name_of(label: str, labels: tuple[str, ...], exact: frozenset[str], alone: dict[str, str]) -> str:
    """Return a label as a class name; a number that is no class name is a class index."""
    if label in exact:
        return label
    if label.isdecimal() and label.isascii() and int(label) < len(labels):
        return labels[int(label)]
    return alone.get(_plain(label), label)


def _plain_spellings(labels: tuple[str, ...]) -> dict[str, str]:
    """Return class names by their plain spelling, where no other class has the same."""
    plain: dict[str, list[str]] = {}
    for label in labels:
        plain.setdefault(_plain(label), []).append(label)
    return {spelling: names[0] for spelling, names in plain.items() if len(names) == 1}


def _plain(label: str) -> str:
    return label.casefold().replace("_", " ").strip()


def _nearest(strange: Iterable[str], labels: tuple[str, ...]) -> str:
    compared = labels if len(labels) <= _MOST_COMPARED else ()
    asked = sorted(strange)[:_FEW]
    near = next((match for label in asked for match in difflib.get_close_matches(label, compared, n=1)), None)
    if near is not None:
        return f"; did you mean '{near}'?"
    return f"; the names are {', '.join(labels[:10])}" + (" ..." if len(labels) > 10 else "")
