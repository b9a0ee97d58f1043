"""`imgc predict` with a detector: boxes in pixels of the images as they were given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from compress.cli.output import echo, print_json
from compress.errors import DataError, UsageError

if TYPE_CHECKING:
    from compress.detect.answers import Boxes
    from compress.runtime.detector import Detector


def predict_boxes(images: list[Path], is_stream: bool, detector: Detector, as_json: bool) -> None:
    """Print the boxes of each image.

    Raises:
        UsageError: a stream is asked for.
        DataError: an image cannot be used; the others are answered before.
    """
    from compress.data.decode import BadImageError
    from compress.data.transforms import read_placed

    if is_stream:
        raise UsageError("a detector answers images one by one, no stream", hint="imgc predict IMAGE...")
    answers: list[dict[str, object]] = []
    faults: list[BadImageError] = []
    for image in images:
        try:
            pixels_HWC, place = read_placed(image, detector.spec.preprocess)
        except BadImageError as fault:
            if len(images) == 1:
                raise
            faults.append(fault)
            answers.append({"image": str(image), "error": fault.reason})
            continue
        (boxes,) = detector.detect(pixels_HWC[None], [place])
        answers.append({"image": str(image), "detections": detections(boxes, detector.spec.labels)})
        if not as_json:
            echo(f"{image}: {_words(boxes, detector.spec.labels)}")
    if as_json:
        print_json({"model": str(detector.path), "images": answers})
    if faults:
        listed = "".join(f"\n  {fault}" for fault in faults)
        raise DataError(f"{len(faults)} of {len(images)} images were not looked at:{listed}", hint="replace the files")


def detections(boxes: Boxes, labels: tuple[str, ...]) -> list[dict[str, object]]:
    """Return the boxes as JSON data, best first: class, score, and corners in pixels of the upright image."""
    rows = zip(boxes.classes_B.tolist(), boxes.scores_B.tolist(), boxes.corners_B4.tolist(), strict=True)
    return [
        {"index": index, "label": labels[index], "score": score, "box": [round(corner, 2) for corner in corners]}
        for index, score, corners in rows
    ]


def _words(boxes: Boxes, labels: tuple[str, ...]) -> str:
    found = [
        f"{labels[index]} {score:.2f} at {', '.join(f'{corner:.0f}' for corner in corners)}"
        for index, score, corners in zip(
            boxes.classes_B.tolist(), boxes.scores_B.tolist(), boxes.corners_B4.tolist(), strict=True
        )
    ]
    return "; ".join(found) or "no box"
