"""`load_dataset`: from the recipe's data block to checked, labelled, split file lists with a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.core.cache import cache_dir
from compress.core.dataset import (
    BoxesData,
    CsvData,
    DataConfig,
    DefectsData,
    FolderData,
    Task,
    TorchvisionData,
    task_of,
)
from compress.core.digest import sha256_json
from compress.core.stage import Reporter, SilentReporter
from compress.data.box_folders import list_boxes
from compress.data.boxes import BoxEntry, BoxLabels
from compress.data.checks import Splits, check_labels, check_structure, drop_bad
from compress.data.csv_manifest import list_csv
from compress.data.examine import Exam
from compress.data.folder import list_folder
from compress.data.leaks import drop_leaks, drop_near, kept_together, warn_of_duplicates
from compress.data.listing import SPLITS, Entry, Listing, labels_of
from compress.data.partition import missing_splits, partition
from compress.errors import DataError


@dataclass(frozen=True)
class Split:
    """Images with their class indices, or with their boxes, in the order of their relative names.

    Attributes:
        name: "train", "val" or "test".
        paths: the files.
        labels_N: the class of each image; empty where images have boxes.
        boxes_N: the boxes of each image; empty where images have classes.
    """

    name: str
    paths: tuple[Path, ...]
    labels_N: tuple[int, ...]
    boxes_N: tuple[BoxLabels, ...] = ()

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.paths)


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Attributes:
        labels: class names in the order of the classes: sorted, or as a COCO file numbers them.
        splits: "train", "val" and "test"; val or test is empty only where its fraction is 0.
        fingerprint: 64 hex digits over labels, contents and order; equal for a copy of the data elsewhere.
        skipped: bad files that were left out, each with its reason.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    fingerprint: str
    skipped: tuple[tuple[Path, str], ...] = ()
    task: Task = "classify"


def load_dataset(
    config: DataConfig, *, seed: int, reporter: Reporter | None = None, task: Task | None = "classify"
) -> Dataset:
    """Return the data set that a `data:` block describes; every image has been decoded once, now or earlier.

    Args:
        config: the block.
        seed: decides the split where the data has none.
        reporter: is told of everything that was ignored, left out or odd.
        task: what the images are for; None where whoever asks takes either.

    Raises:
        DataError: the data cannot be used; the message lists the files or classes. Or it is for another task.
    """
    reporter = reporter or SilentReporter()
    if task not in (None, task_of(config)):
        raise DataError(_OTHER_TASK[task_of(config)], hint=_OTHER_TASK_HINT[task_of(config)])
    if isinstance(config, BoxesData):
        return _with_boxes(list_boxes(config.kind, config.path, reporter), config, seed, reporter)
    if isinstance(config, DefectsData) and config.task == "detect":
        return _with_boxes(list_boxes("coco", _defects(config, reporter), reporter), config, seed, reporter)
    listing = _listing(config, reporter)
    check_structure(listing, reporter)
    splits, exams, skipped = drop_bad(listing, config.on_bad_image, reporter)
    splits = drop_leaks(listing.root, splits, exams, config.on_leak, reporter)
    splits = drop_near(listing.root, splits, exams, config.on_leak, reporter)
    warn_of_duplicates(listing.root, splits, exams, reporter)
    take = missing_splits(splits, config.split)
    if take:
        contents = kept_together({entry.path: exams[entry.path] for entry in splits["train"]})
        splits |= partition(splits["train"], contents, take, seed)
        check_labels(listing.root, splits, reporter)
        counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
        reporter.info(f"{listing.root}: split by class with seed {seed}: {counts}")
    labels = labels_of(splits["train"])
    return Dataset(
        labels=labels,
        splits={name: indexed(name, splits[name], labels) for name in SPLITS},
        fingerprint=_fingerprint(labels, splits, exams),
        skipped=skipped,
    )


_OTHER_TASK = {
    "detect": "the images have boxes, and this is for images with classes",
    "classify": "the images have classes, and this is for images with boxes",
}
_OTHER_TASK_HINT = {
    "detect": "a detector learns from them: imgc train --arch ssdlite_mobilenet_v3_small",
    "classify": "a classifier learns from them: --arch mobilenet_v3_small; boxes come as COCO, Pascal VOC or YOLO",
}


def _with_boxes(
    found: tuple[Listing, tuple[str, ...]], config: BoxesData | DefectsData, seed: int, reporter: Reporter
) -> Dataset:
    listing, labels = found
    splits, exams, skipped = drop_bad(listing, config.on_bad_image, reporter)
    splits = drop_leaks(listing.root, splits, exams, config.on_leak, reporter)
    splits = drop_near(listing.root, splits, exams, config.on_leak, reporter)
    take = missing_splits(splits, config.split)
    if take:
        contents = kept_together({entry.path: exams[entry.path] for entry in splits["train"]})
        splits |= partition(splits["train"], contents, take, seed)
    counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
    _require_boxes(listing.root, splits["train"])
    boxes = {name: tuple(_boxes_of(entry) for entry in splits[name]) for name in SPLITS}
    known = sum(len(one.classes_B) for one in boxes["train"])
    reporter.info(f"{listing.root}: images {counts}; {known} boxes of {len(labels)} classes to learn from")
    contents_of = {
        name: [[exams[e.path].sha256, _boxes_of(e).corners_B4.tolist(), _boxes_of(e).classes_B.tolist()] for e in s]
        for name, s in splits.items()
    }
    return Dataset(
        labels=labels,
        splits={name: Split(name, tuple(e.path for e in splits[name]), (), boxes[name]) for name in SPLITS},
        fingerprint=sha256_json({"version": 1, "labels": labels, "splits": contents_of}),
        skipped=skipped,
        task="detect",
    )


def _require_boxes(root: Path, entries: Sequence[Entry]) -> None:
    if not any(len(_boxes_of(entry).classes_B) for entry in entries):
        raise DataError(f"{root}: no training image with a box is left", hint="label more images, or mend the bad ones")


def _boxes_of(entry: Entry) -> BoxLabels:
    assert isinstance(entry, BoxEntry)
    return entry.boxes


def indexed(name: str, entries: Sequence[Entry], labels: Sequence[str]) -> Split:
    """Return entries, all of whose labels are among `labels`, as a split."""
    index = {label: number for number, label in enumerate(labels)}
    return Split(name, tuple(entry.path for entry in entries), tuple(index[entry.label] for entry in entries))


def evenly_spread(split: Split, limit: int | None) -> Split:
    """Return at most `limit` images, evenly spread: a split is sorted by class, so its head would be one class."""
    count = len(split)
    if limit is None or limit >= count:
        return split
    chosen = [index * count // limit for index in range(limit)]
    return Split(
        name=split.name,
        paths=tuple(split.paths[index] for index in chosen),
        labels_N=tuple(split.labels_N[index] for index in chosen) if split.labels_N else (),
        boxes_N=tuple(split.boxes_N[index] for index in chosen) if split.boxes_N else (),
    )


def _fingerprint(labels: tuple[str, ...], splits: Splits, exams: Mapping[Path, Exam]) -> str:
    contents = {name: [[exams[e.path].sha256, e.label] for e in splits[name]] for name in SPLITS}
    return sha256_json({"version": 1, "labels": labels, "splits": contents})


def _listing(config: FolderData | CsvData | TorchvisionData | DefectsData, reporter: Reporter) -> Listing:
    match config:
        case FolderData():
            return list_folder(config.path)
        case CsvData():
            return list_csv(config.path)
        case TorchvisionData():
            from compress.data.torchvision_sets import materialise

            return list_folder(materialise(config, reporter))
        case DefectsData():
            return list_folder(_defects(config, reporter))


def _defects(config: DefectsData, reporter: Reporter) -> Path:
    from compress.data.defects.write import parameters, write_defects

    folder = cache_dir() / "datasets" / f"defects-{sha256_json(parameters(config))[:16]}"
    if not folder.exists():
        write_defects(folder, config, reporter)
    return folder
