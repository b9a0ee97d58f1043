"""The pictures that ranges are found on, and those the file is judged on where nobody labelled any.

Chosen by a seed, balanced over classes or folders, each content once, none of them among the pictures that accuracy is
measured on. What was chosen is in `calibration.json` beside the model, and its hashes are in the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from compress.core.digest import sha256_file
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.core.storage import write_json
from compress.data.calibration import calibration_split, held_out_split, manifest
from compress.data.dataset import Dataset, Split
from compress.data.examine import content_sha256, examine
from compress.data.listing import Entry, shown
from compress.data.pictures import groups_of, list_pictures
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import DataError

CALIBRATION_KEY = "imgc.calibration"  # of the ONNX metadata
FILE_NAME = "calibration.json"
MIN_PICTURES = 8
MIN_TO_HOLD_OUT = 16  # below, keeping some back would leave too few to calibrate on
_MORE = "add pictures like those the model will see; a few hundred are usual"


@dataclass(frozen=True)
class CalibrationSet:
    """What was chosen.

    Attributes:
        source: folder, manifest or split it was drawn from, for messages.
        pictures: to find ranges on; labels are class indices, or numbers of `groups`.
        held_out: not calibrated on, to judge with; None where labelled photographs do that, or there are too few.
        groups: folder names of the groups, None where the labels are classes.
    """

    source: str
    pictures: Split
    held_out: Split | None
    groups: tuple[str, ...] | None


def from_training(
    dataset: Dataset, count: int, seed: int, preprocess: Preprocess, reporter: Reporter
) -> CalibrationSet:
    """Return `count` training pictures, class balanced.

    Raises:
        DataError: too few pictures that differ, or too many of one colour.
    """
    train = _each_once(dataset.splits["train"], "the training pictures", reporter)
    chosen = calibration_split(train, count, seed, len(dataset.labels))
    chosen = _without_constants(chosen, "the training pictures", preprocess, reporter)
    return CalibrationSet("the training pictures", chosen, None, None)


def from_folder(
    path: Path,
    dataset: Dataset | None,
    *,
    count: int,
    seed: int,
    on_bad: Literal["error", "skip"],
    preprocess: Preprocess,
    reporter: Reporter,
) -> CalibrationSet:
    """Return up to `count` pictures of a folder or CSV, balanced over its folders, and every fifth to judge with.

    Args:
        path: the folder or CSV.
        dataset: labelled photographs, which then judge instead; their val and test pictures may not be in the folder.
        count: number of pictures to calibrate on.
        seed: another seed, another choice.
        on_bad: whether a damaged picture is an error or left out.
        preprocess: of the model.
        reporter: hears what is left out.

    Raises:
        DataError: no pictures, damaged ones, too few that differ, pictures of one colour, or pictures that accuracy is
            measured on; lists them.
    """
    entries = _usable(list_pictures(path), path, on_bad, reporter)
    if dataset is not None:
        _refuse_evaluation_pictures(entries, path, dataset)
    groups = groups_of(entries)
    numbers = tuple(groups.index(entry.label) for entry in entries)
    split = _each_once(Split("calibration", tuple(entry.path for entry in entries), numbers), str(path), reporter)
    held_out = None
    if dataset is not None or len(split) < MIN_TO_HOLD_OUT:
        chosen = calibration_split(split, count, seed, len(groups))
    else:
        chosen, held_out = held_out_split(split, count, seed, len(groups))
    chosen = _without_constants(chosen, str(path), preprocess, reporter)
    return CalibrationSet(str(path), chosen, held_out, groups)


def write_manifest(chosen: CalibrationSet, folder: Path) -> Path:
    """Write `calibration.json`, one row per picture, and return it."""
    path = folder / FILE_NAME
    write_json(path, manifest(chosen.pictures, chosen.groups))
    return path


def embed_calibration(model: onnx.ModelProto, manifest_file: Path) -> None:
    """Put the number of pictures, the manifest's hash and each picture's hash into the model's metadata."""
    rows = json.loads(manifest_file.read_text())
    digest = {
        "count": len(rows),
        "manifest_sha256": sha256_file(manifest_file),
        "sha256": [row["sha256"] for row in rows],
    }
    model.metadata_props.add(key=CALIBRATION_KEY, value=json.dumps(digest, separators=(",", ":")))


def _usable(entries: Sequence[Entry], root: Path, on_bad: str, reporter: Reporter) -> list[Entry]:
    exams = examine([entry.path for entry in entries], root, reporter)
    bad = [f"{entry.path}: {exam.reason}" for entry, exam in zip(entries, exams, strict=True) if exam.reason]
    if bad:
        text = f"{root}: {len(bad)} of {len(entries)} calibration pictures cannot be used:{shown(bad)}"
        if on_bad == "error":
            raise DataError(text, hint="remove or replace them, or leave them out with `--set on_bad_image=skip`")
        reporter.warn(f"{text}\n  left out (on_bad_image: skip)")
    return [entry for entry, exam in zip(entries, exams, strict=True) if not exam.reason]


def _refuse_evaluation_pictures(entries: Sequence[Entry], root: Path, dataset: Dataset) -> None:
    held = _by_content([path for name in ("val", "test") for path in dataset.splits[name].paths])
    twins = [f"{entry.path} = {held[digest]}" for entry in entries if (digest := content_sha256(entry.path)) in held]
    if twins:
        raise DataError(
            f"{root}: {len(twins)} calibration pictures are also validation or test pictures (equal content), so that "
            f"the accuracy would be measured on what it was tuned on; 0 are allowed:{shown(twins)}",
            hint="remove them from the folder, or leave `calibration` out to calibrate on the training pictures",
        )


def _by_content(paths: Sequence[Path]) -> Mapping[str, Path]:
    return {content_sha256(path): path for path in paths}


def _each_once(split: Split, source: str, reporter: Reporter) -> Split:
    """Return the split with the first picture of each content; refuse too few."""
    first: dict[str, int] = {}
    for index, path in enumerate(split.paths):
        first.setdefault(content_sha256(path), index)
    if copies := len(split) - len(first):
        reporter.info(f"{source}: {copies} pictures are copies of others; each content counts once in calibration")
    if len(first) < MIN_PICTURES:
        raise DataError(
            f"{source}: {len(first)} different usable pictures to calibrate on, at least {MIN_PICTURES} are needed:"
            f"{shown(split.paths[index] for index in first.values())}",
            hint=_MORE,
        )
    return _part(split, sorted(first.values()))


def _without_constants(split: Split, source: str, preprocess: Preprocess, reporter: Reporter) -> Split:
    """Return the split without pictures that are one colour as the model sees them: they have no range to find."""
    pixels_NHWC = evaluation_pixels(split, preprocess, reporter)
    constant = [index for index, pixels in enumerate(pixels_NHWC) if bool((np.ptp(pixels, axis=(0, 1)) == 0).all())]
    if not constant:
        return split
    left = len(split) - len(constant)
    text = (
        f"{source}: {len(constant)} of {len(split)} calibration pictures are of one colour:"
        f"{shown(split.paths[index] for index in constant)}"
    )
    if left < MIN_PICTURES or 2 * len(constant) > len(split):
        raise DataError(
            f"{text}\n  {left} others are left; allowed are at most half of one colour, and at least {MIN_PICTURES} "
            "others",
            hint=f"remove them; {_MORE}",
        )
    reporter.warn(f"{text}\n  left out")
    return _part(split, sorted(set(range(len(split))) - set(constant)))


def _part(split: Split, indices: Sequence[int]) -> Split:
    return Split(split.name, tuple(split.paths[i] for i in indices), tuple(split.labels_N[i] for i in indices))
