"""`imgc predict` and `evaluate` with a detector: boxes in pixels of the upright images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import UsageError

if TYPE_CHECKING:
    from compress.cli.predict_images import Answer
    from compress.detect.answers import Boxes
    from compress.runtime.detector import Detector


def require_none(**options: object) -> None:
    """Raise UsageError where an option was given that a detector's file has no use for."""
    if given := [f"--{name}" for name, value in options.items() if value is not None]:
        raise UsageError(f"{given[0]}: is for classifiers, and this file finds boxes", hint=f"leave {given[0]} out")


def require_images(source: object | None, **options: object) -> None:
    """Raise UsageError where a stream is asked for, or as `require_none`."""
    if source is not None:
        raise UsageError("a detector answers images one by one, no stream", hint="imgc predict IMAGE...")
    require_none(**options)


def found_by(detector: Detector) -> Callable[[Path], Answer]:
    """Return what finds the boxes of one image file; it raises BadImageError."""
    from compress.data.transforms import read_placed

    def answer(image: Path) -> Answer:
        pixels_HWC, place = read_placed(image, detector.spec.preprocess)
        (boxes,) = detector.detect(pixels_HWC[None], [place])
        rows = detections(boxes, detector.spec.labels)
        words = [f"{row['label']} {row['score']:.2f} at {_corners(row)}" for row in rows]
        return {"detections": rows}, "; ".join(words) or "no box"

    return answer


def detections(boxes: Boxes, labels: tuple[str, ...]) -> list[dict[str, object]]:
    """Return the boxes as JSON data, best first: class, score, and corners in pixels of the upright image."""
    rows = zip(boxes.classes_B.tolist(), boxes.scores_B.tolist(), boxes.corners_B4.tolist(), strict=True)
    return [
        {"index": index, "label": labels[index], "score": score, "box": [round(corner, 2) for corner in corners]}
        for index, score, corners in rows
    ]


def _corners(row: dict[str, object]) -> str:
    box = row["box"]
    return ", ".join(f"{corner:.0f}" for corner in box) if isinstance(box, list) else ""
