"""The mAP of a detector's file on images with boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compress.core.dataset import BoxesData, SplitFractions
from compress.core.stage import Reporter
from compress.data.box_folders import kind_of
from compress.data.dataset import Split, load_dataset
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import placement
from compress.detect.answers import Boxes
from compress.detect.precision import EVAL_THRESHOLD, AveragePrecision, average_precision
from compress.errors import DataError
from compress.runtime.detector import Detector

_BATCH = 16


@dataclass(frozen=True)
class DetectorAccuracy:
    """What a detector's boxes are worth on how many images."""

    detector: Detector
    n_images: int
    found: AveragePrecision


def evaluate_detector(detector: Detector, data: Path, reporter: Reporter) -> DetectorAccuracy:
    """Return the mAP on the test images of a COCO folder, else on the validation or the training images.

    Raises:
        DataError: the images cannot be used, or have other classes than the detector.
    """
    split = held_out_boxes(data, detector.spec.labels, detector.path, reporter)
    answers = [boxes for boxes, _ in detected(detector, split, reporter)]
    found = average_precision(split.boxes_N, answers, detector.spec.num_classes)
    return DetectorAccuracy(detector, len(split), found)


def held_out_boxes(data: Path, labels: tuple[str, ...], model: Path, reporter: Reporter) -> Split:
    """Return the test images of a folder of images with boxes, else the validation or the training images.

    Args:
        data: the folder.
        labels: the classes that a detector knows.
        model: its file, for messages.
        reporter: hears which images it is.

    Raises:
        DataError: the images cannot be used, or have other classes than the detector.
    """
    as_it_is = SplitFractions(val=0.0, test=0.0)  # a split made here would not be the one of the training
    given = BoxesData(kind=kind_of(data) or "coco", path=data, split=as_it_is)
    dataset = load_dataset(given, seed=0, reporter=reporter, task="detect")
    if dataset.labels != labels:
        raise DataError(
            f"{data}: its classes are {', '.join(dataset.labels)}, those of {model} {', '.join(labels)}",
            hint="the classes must have the same names, and their numbers the same order",
        )
    split = next(one for one in (dataset.splits[name] for name in ("test", "val", "train")) if len(one))
    if split.name == "train":
        reporter.warn(f"{data}: has no test and no validation images; judged on the training images")
    else:
        reporter.info(f"{data}: judged on the {split.name} images")
    return split


def detected(detector: Detector, split: Split, reporter: Reporter) -> Iterator[tuple[Boxes, Path]]:
    """Yield the boxes of every image, from the least score that mAP looks at, and its file."""
    pixels_NHWC = evaluation_pixels(split, detector.spec.preprocess, reporter)
    places = [placement(boxes.size, detector.spec.preprocess) for boxes in split.boxes_N]
    threshold = min(EVAL_THRESHOLD, detector.coding.score_threshold)
    for start in range(0, len(split), _BATCH):
        part = slice(start, start + _BATCH)
        boxes_N = detector.detect(pixels_NHWC[part], places[part], score_threshold=threshold)
        yield from zip(boxes_N, split.paths[part], strict=True)


def as_json_data(accuracy: DetectorAccuracy) -> dict[str, Any]:
    """Return the measurements as JSON data."""
    found = accuracy.found
    return {
        "n_images": accuracy.n_images,
        "map_pct": found.map_pct,
        "map50_pct": found.map50_pct,
        "by_class_map_pct": dict(zip(accuracy.detector.spec.labels, found.by_class_pct, strict=True)),
    }


def texts(accuracy: DetectorAccuracy) -> list[str]:
    """Return the measurements as lines for people."""
    found, detector = accuracy.found, accuracy.detector
    by_class = ", ".join(
        f"{label} {'-' if value is None else f'{value:.1f}'}"
        for label, value in zip(detector.spec.labels, found.by_class_pct, strict=True)
    )
    return [
        f"{detector.path} with {detector.runtime}: {accuracy.n_images} images",
        f"mAP {found.map_pct:.2f} % (IoU 0.50:0.95), {found.map50_pct:.2f} % at IoU 0.50; by class: {by_class}",
    ]
