"""The images that ranges are found on, and those the file is judged on where nobody labelled any.

Chosen by a seed, balanced over classes or folders, each content once, none of them among the images that accuracy is
measured on. What was chosen is in `calibration.json` beside the model, and its hashes are in the model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import onnx

from compress.core.digest import sha256_file
from compress.core.preprocess import Preprocess
from compress.core.spec import CALIBRATION_KEY
from compress.core.stage import Reporter
from compress.core.storage import write_json
from compress.data.calibration import calibration_split, held_out_split, manifest
from compress.data.dataset import Dataset, Split
from compress.data.examine import content_sha256, examine
from compress.data.images import list_images
from compress.data.listing import Entry, labels_of, listed
from compress.data.pixel_cache import evaluation_pixels
from compress.errors import DataError

_HASH_DIGITS = 16  # of an image inside the model; the manifest beside it has them whole
FILE_NAME = "calibration.json"
MIN_IMAGES = 8
MIN_TO_HOLD_OUT = 16  # below, keeping some back would leave too few to calibrate on
Drawn = tuple[Split, Split | None]  # to calibrate on, held out
_MORE = "add images like those the model will see; a few hundred are usual"


@dataclass(frozen=True)
class CalibrationSet:
    """What was chosen.

    Attributes:
        source: folder, manifest or split it was drawn from, for messages.
        images: to find ranges on; labels are class indices, or numbers of `groups`.
        held_out: not calibrated on, to judge with; None where labelled images do that, or there are too few.
        groups: folder names of the groups, None where the labels are classes.
    """

    source: str
    images: Split
    held_out: Split | None
    groups: tuple[str, ...] | None


def from_training(
    dataset: Dataset, count: int, seed: int, preprocess: Preprocess, reporter: Reporter
) -> CalibrationSet:
    """Return `count` training images, class balanced.

    Raises:
        DataError: too few images that differ, or too many of one colour.
    """
    split, classes = dataset.splits["train"], len(dataset.labels)
    if dataset.task == "detect":  # an image has boxes of several classes, and is of none
        split, classes = replace(split, labels_N=(0,) * len(split), boxes_N=()), 1
    train = _each_once(split, "the training images", reporter)

    def draw(pool: Split) -> Drawn:
        return calibration_split(pool, count, seed, classes), None

    chosen, _ = _draw_with_range(train, draw, "the training images", preprocess, reporter)
    return CalibrationSet("the training images", chosen, None, None)


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
    """Return up to `count` images of a folder or CSV, balanced over its folders, and every fifth to judge with.

    Args:
        path: the folder or CSV.
        dataset: labelled images, which then judge instead; their val and test images may not be in the folder.
        count: number of images to calibrate on.
        seed: another seed, another choice.
        on_bad: whether a damaged image is an error or left out.
        preprocess: of the model.
        reporter: hears what is left out.

    Raises:
        DataError: no images, damaged ones, too few that differ, images of one colour, or images that accuracy is
            measured on; lists them.
    """
    entries = _usable(list_images(path), path, on_bad, reporter)
    if dataset is not None:
        _refuse_evaluation_images(entries, path, dataset)
    groups = labels_of(entries)
    numbers = tuple(groups.index(entry.label) for entry in entries)
    split = _each_once(Split("calibration", tuple(entry.path for entry in entries), numbers), str(path), reporter)

    def draw(pool: Split) -> Drawn:
        if dataset is not None or len(pool) < MIN_TO_HOLD_OUT:
            return calibration_split(pool, count, seed, len(groups)), None
        return held_out_split(pool, count, seed, len(groups))

    chosen, held_out = _draw_with_range(split, draw, str(path), preprocess, reporter)
    return CalibrationSet(str(path), chosen, held_out, groups)


def write_manifest(chosen: CalibrationSet, folder: Path) -> Path:
    """Write `calibration.json`, one row per image, and return it."""
    path = folder / FILE_NAME
    write_json(path, manifest(chosen.images, chosen.groups))
    return path


def embed_calibration(model: onnx.ModelProto, manifest_file: Path) -> None:
    """Put the number of images, the manifest's hash and the start of each image's into the model's metadata."""
    rows = json.loads(manifest_file.read_text())
    digest = {
        "count": len(rows),
        "manifest_sha256": sha256_file(manifest_file),
        "sha256_starts": [row["sha256"][:_HASH_DIGITS] for row in rows],
    }
    kept = [entry for entry in model.metadata_props if entry.key != CALIBRATION_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    model.metadata_props.add(key=CALIBRATION_KEY, value=json.dumps(digest, separators=(",", ":")))


def _usable(entries: Sequence[Entry], root: Path, on_bad: str, reporter: Reporter) -> list[Entry]:
    exams = examine([entry.path for entry in entries], root, reporter)
    bad = [f"{entry.path}: {exam.reason}" for entry, exam in zip(entries, exams, strict=True) if exam.reason]
    if bad:
        text = f"{root}: {len(bad)} of {len(entries)} calibration images cannot be used:{listed(bad)}"
        if on_bad == "error":
            raise DataError(text, hint="remove or replace them, or leave them out with `--set on_bad_image=skip`")
        reporter.warn(f"{text}\n  left out (on_bad_image: skip)")
    return [entry for entry, exam in zip(entries, exams, strict=True) if not exam.reason]


def _refuse_evaluation_images(entries: Sequence[Entry], root: Path, dataset: Dataset) -> None:
    held = _by_content([path for name in ("val", "test") for path in dataset.splits[name].paths])
    twins = [f"{entry.path} = {held[digest]}" for entry in entries if (digest := content_sha256(entry.path)) in held]
    if twins:
        raise DataError(
            f"{root}: {len(twins)} calibration images are also validation or test images (equal content), so that "
            f"the accuracy would be measured on what it was tuned on; 0 are allowed:{listed(twins)}",
            hint="remove them from the folder, or leave `calibration` out to calibrate on the training images",
        )


def _by_content(paths: Sequence[Path]) -> Mapping[str, Path]:
    return {content_sha256(path): path for path in paths}


def _each_once(split: Split, source: str, reporter: Reporter) -> Split:
    """Return the split with the first image of each content; refuse too few."""
    first: dict[str, int] = {}
    for index, path in enumerate(split.paths):
        first.setdefault(content_sha256(path), index)
    if copies := len(split) - len(first):
        reporter.info(f"{source}: {copies} images are copies of others; each content counts once in calibration")
    if len(first) < MIN_IMAGES:
        raise DataError(
            f"{source}: {len(first)} different usable images to calibrate on, at least {MIN_IMAGES} are needed:"
            f"{listed(split.paths[index] for index in first.values())}",
            hint=_MORE,
        )
    return _part(split, sorted(first.values()))


def _draw_with_range(
    pool: Split, draw: Callable[[Split], Drawn], source: str, preprocess: Preprocess, reporter: Reporter
) -> Drawn:
    """Draw from the pool until no image is one colour as the model sees it: such an image has no range to find.

    Raises:
        DataError: images of one colour are more than half of those wanted, or too few others are left.
    """
    constant: list[Path] = []
    while True:
        chosen, held_out = draw(pool)
        found = [*_of_one_colour(chosen, preprocess, reporter)]
        found += _of_one_colour(held_out, preprocess, reporter) if held_out else []
        constant += found
        text = f"{source}: {len(constant)} calibration images are of one colour:{listed(constant)}"
        if not found:
            break
        pool = _part(pool, [index for index, path in enumerate(pool.paths) if path not in found])
        if len(pool) < MIN_IMAGES or 2 * len(constant) > len(chosen):
            raise DataError(
                f"{text}\n  {len(pool)} others are left, at least {MIN_IMAGES} are needed, and at most half of the "
                f"{len(chosen)} drawn may be of one colour",
                hint=f"remove them; {_MORE}",
            )
    if constant:
        reporter.warn(f"{text}\n  left out")
    return chosen, held_out


def _of_one_colour(split: Split, preprocess: Preprocess, reporter: Reporter) -> list[Path]:
    pixels_NHWC = evaluation_pixels(split, preprocess, reporter)
    return [
        path for path, pixels in zip(split.paths, pixels_NHWC, strict=True) if not np.ptp(pixels, axis=(0, 1)).any()
    ]


def _part(split: Split, indices: Sequence[int]) -> Split:
    return Split(split.name, tuple(split.paths[i] for i in indices), tuple(split.labels_N[i] for i in indices))
