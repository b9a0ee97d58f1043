"""`load_dataset`: from the recipe's data block to checked, labelled, split file lists with a fingerprint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from compress.core.cache import cache_dir
from compress.core.dataset import CsvData, DataConfig, DefectsData, FolderData, TorchvisionData
from compress.core.digest import sha256_json
from compress.core.stage import Reporter, SilentReporter
from compress.data.checks import Splits, check_labels, check_structure, drop_bad, drop_leaks, warn_of_duplicates
from compress.data.csv_manifest import list_csv
from compress.data.examine import Exam
from compress.data.folder import list_folder
from compress.data.listing import SPLITS, Entry, Listing, labels_of, shown
from compress.data.partition import missing_splits, partition
from compress.errors import DataError


@dataclass(frozen=True)
class Split:
    """Pictures with their class indices, in the order of their relative names."""

    name: str
    paths: tuple[Path, ...]
    labels_N: tuple[int, ...]

    def __len__(self) -> int:
        """Return the number of pictures."""
        return len(self.paths)


@dataclass(frozen=True)
class Dataset:
    """A checked data set.

    Attributes:
        labels: class names, sorted; their order is the order of the classes.
        splits: "train", "val" and "test"; val or test is empty only where its fraction is 0.
        fingerprint: 64 hex digits over labels, contents and order; equal for a copy of the data elsewhere.
        skipped: bad files that were left out, each with its reason.
    """

    labels: tuple[str, ...]
    splits: Mapping[str, Split]
    fingerprint: str
    skipped: tuple[tuple[Path, str], ...] = ()


def load_dataset(config: DataConfig, *, seed: int, reporter: Reporter | None = None) -> Dataset:
    """Return the data set that a `data:` block describes; every picture has been decoded once, now or earlier.

    Args:
        config: the block.
        seed: decides the split where the data has none.
        reporter: is told of everything that was ignored, left out or odd.

    Raises:
        DataError: the data cannot be used; the message lists the files or classes.
    """
    reporter = reporter or SilentReporter()
    listing = _listing(config, reporter)
    check_structure(listing, reporter)
    splits, exams, skipped = drop_bad(listing, config.on_bad_image, reporter)
    splits = drop_leaks(listing.root, splits, exams, config.on_leak, reporter)
    warn_of_duplicates(listing.root, splits, exams, reporter)
    take = missing_splits(splits, config.split)
    if take:
        splits |= partition(splits["train"], exams, take, seed)
        check_labels(listing.root, splits, reporter)
        counts = ", ".join(f"{name} {len(splits[name])}" for name in SPLITS)
        reporter.info(f"{listing.root}: split by class with seed {seed}: {counts}")
    labels = labels_of(splits["train"])
    return Dataset(
        labels=labels,
        splits={name: _split(name, splits[name], labels) for name in SPLITS},
        fingerprint=_fingerprint(labels, splits, exams),
        skipped=skipped,
    )


def load_labelled_folder(path: Path, labels: Sequence[str] | None, *, reporter: Reporter | None = None) -> Split:
    """Return labelled pictures to evaluate a model on.

    Args:
        path: a folder of class folders; a data set with splits (its test pictures, else its val pictures); or a CSV
            manifest, whose labels are class names or class indices (with a split column: its test rows).
        labels: the model's classes in index order; None means the classes found, sorted.
        reporter: is told of everything that was ignored.

    Raises:
        DataError: classes the model does not know, bad pictures, or nothing to evaluate on.
    """
    reporter = reporter or SilentReporter()
    listing = list_csv(path) if path.suffix.lower() == ".csv" else list_folder(path)
    name = next(name for name in ("test", "val", "train") if name in listing.splits)
    if name == "train" and path.is_dir():
        reporter.info(f"{path} has no test folder: every picture counts, also those a model may have been trained on")
    chosen = Listing(path, {"train": listing.splits[name]}, ignored=listing.ignored)
    splits, _, _ = drop_bad(chosen, "error", reporter)
    known = tuple(labels) if labels is not None else labels_of(splits["train"])
    return _split(name, tuple(_named(entry, known) for entry in splits["train"]), known)


def _named(entry: Entry, labels: tuple[str, ...]) -> Entry:
    """Return the entry with its label as a class name; a number that is no class name is a class index."""
    if entry.label not in labels and entry.label.isdecimal() and int(entry.label) < len(labels):
        return Entry(entry.path, entry.name, labels[int(entry.label)])
    return entry


def _split(name: str, entries: Sequence[Entry], labels: tuple[str, ...]) -> Split:
    index = {label: number for number, label in enumerate(labels)}
    if strange := sorted({entry.label for entry in entries} - set(index)):
        raise DataError(
            f"{len(strange)} classes of the pictures are not classes of the model:{shown(strange)}",
            hint=f"the model's classes are {', '.join(labels[:20])}",
        )
    return Split(name, tuple(entry.path for entry in entries), tuple(index[entry.label] for entry in entries))


def _fingerprint(labels: tuple[str, ...], splits: Splits, exams: Mapping[Path, Exam]) -> str:
    contents = {name: [[exams[e.path].sha256, e.label] for e in splits[name]] for name in SPLITS}
    return sha256_json({"version": 1, "labels": labels, "splits": contents})


def _listing(config: DataConfig, reporter: Reporter) -> Listing:
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
