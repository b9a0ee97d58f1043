"""The hazards of a data set that can be seen from its listing and its files' hashes, each with a defined answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from compress.core.names import few
from compress.core.stage import Reporter
from compress.core.visible import mixed_alphabets, spelled
from compress.data.examine import Exam, examine
from compress.data.folder import class_folders_below
from compress.data.listing import SPLITS, Entry, Listing, labels_of, listed
from compress.errors import DataError

Splits = dict[str, tuple[Entry, ...]]
Answer = Literal["error", "skip"]


def check_structure(listing: Listing, reporter: Reporter) -> None:
    """Refuse classes without images, a single class, and classes that only val or test know; warn of lesser things.

    Raises:
        DataError: listing the classes.
    """
    if empty := listing.empty_classes.get("train"):
        raise DataError(
            f"{listing.root}: {len(empty)} class folders hold no image:{listed(empty)}",
            hint=_did_you_mean(listing.root) or "add images, or remove the folders",
        )
    check_labels(listing.root, dict(listing.splits), reporter)
    if listing.ignored:
        kinds = sorted({path.suffix or path.name for path in listing.ignored})[:10]
        what = f"{len(listing.ignored)} files or folders that are no images of a class ({', '.join(kinds)})"
        reporter.warn(f"{listing.root}: ignored {what}")


def _differ_in_case(labels: Sequence[str]) -> list[str]:
    by_plain: dict[str, list[str]] = defaultdict(list)
    for label in labels:
        by_plain[label.casefold()].append(label)
    return [" and ".join(group) for group in by_plain.values() if len(group) > 1]


def _did_you_mean(root: Path) -> str:
    inner = class_folders_below(root) if root.is_dir() else None
    return f"did you mean {inner}? It holds class folders itself" if inner else ""


def check_labels(root: Path, splits: Splits, reporter: Reporter) -> None:
    """Refuse a single class, and classes that train lacks; warn of classes that val or test lack."""
    known = labels_of(splits["train"])
    if alike := [f"{spelled(label)} ({letter})" for label in known if (letter := mixed_alphabets(label))]:
        reporter.warn(f"{root}: classes whose names mix alphabets, perhaps by mistake: {few(alike)}")
    if twins := _differ_in_case(known):
        reporter.warn(f"{root}: classes whose names differ in capitals alone, perhaps by mistake: {few(twins)}")
    if len(known) < 2:
        raise DataError(
            f"{root}: only one class in the training images ({', '.join(known) or 'none'}); a classifier needs two",
            hint=_did_you_mean(root) or "add a folder with images of something else",
        )
    for name in ("val", "test"):
        if not splits.get(name):
            continue
        labels = labels_of(splits[name])
        if strange := sorted(set(labels) - set(known)):
            raise DataError(
                f"{root}: {len(strange)} classes of {name} are not in train:{listed(strange)}",
                hint=f"the classes of train are {', '.join(known[:20])}",
            )
        if absent := sorted(set(known) - set(labels)):
            reporter.warn(f"{root}: {name} has no image of {len(absent)} classes: {', '.join(absent[:10])}")


_LEAVE_OUT = "replace them, or leave them out: `imgc init --on-bad-image skip`, else `--set data.on_bad_image=skip`"


def drop_bad(
    listing: Listing, on_bad: Answer, reporter: Reporter, *, hint: str = _LEAVE_OUT
) -> tuple[Splits, dict[Path, Exam], tuple[tuple[Path, str], ...]]:
    """Return the splits without bad images, what was found per file, and the bad files with their reasons.

    `hint` says what whoever asked may do about them.

    Raises:
        DataError: there are bad images and `on_bad` is "error".
    """
    paths = [entry.path for name in SPLITS for entry in listing.splits.get(name, ())]
    exams = dict(zip(paths, examine(paths, listing.root, reporter), strict=True))
    bad = tuple((path, exam.reason) for path, exam in exams.items() if exam.reason)
    if bad:
        text = f"{listing.root}: {len(bad)} of {len(paths)} images cannot be used:" + listed(
            f"{path}: {reason}" for path, reason in bad
        )
        if on_bad == "error":
            raise DataError(text, hint=hint)
        reporter.warn(f"{text}\n  left out (data.on_bad_image: skip)")
    kept = {name: tuple(e for e in entries if not exams[e.path].reason) for name, entries in listing.splits.items()}
    _refuse_emptied(listing, kept)
    return kept, exams, bad


def _refuse_emptied(listing: Listing, kept: Mapping[str, tuple[Entry, ...]]) -> None:
    if gone := sorted(set(labels_of(listing.splits["train"])) - set(labels_of(kept["train"]))):
        raise DataError(f"{listing.root}: no usable image is left of {len(gone)} classes:{listed(gone)}")
