"""`imgc predict` and `evaluate` with a detector: boxes in pixels of the upright images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from compress.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

    from compress.cli.predict_images import Answer
    from compress.cli.stream import StreamModel
    from compress.detect.answers import Boxes
    from compress.runtime.detector import Detector
    from compress.runtime.predictor import Floats
    from compress.runtime.stream import FrameResult


def require_none(**options: object) -> None:
    """Raise UsageError where an option was given that a detector's file has no use for."""
    if given := [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]:
        raise UsageError(f"{given[0]}: is for classifiers, and this file finds boxes", hint=f"leave {given[0]} out")


def found_by(detector: Detector, draw: Path | None) -> Callable[[Path], Answer]:
    """Return what finds the boxes of one image file, and draws them into a folder; it raises BadImageError."""
    from compress.data.decode import decode
    from compress.data.transforms import read_placed
    from compress.detect.draw import write_drawn

    def answer(image: Path) -> Answer:
        pixels_HWC, place = read_placed(image, detector.spec.preprocess)
        (boxes,) = detector.detect(pixels_HWC[None], [place])
        if draw is not None:
            write_drawn(draw, image.name, decode(image), boxes, detector.spec.labels)
        rows = detections(boxes, detector.spec.labels)
        words = [f"{row['label']} {row['score']:.2f} at {_corners(row)}" for row in rows]
        return {"detections": rows}, "; ".join(words) or "no box"

    return answer


def stream_of(detector: Detector, draw: Path | None) -> StreamModel[Boxes]:
    """Return what answers a stream with boxes, and draws them into a folder."""
    from compress.cli.stream import StreamModel
    from compress.data.decode import BadImageError
    from compress.data.transforms import placement
    from compress.detect.answers import Boxes, boxes_of
    from compress.detect.draw import write_drawn
    from compress.detect.geometry import in_image

    labels, preprocess = detector.spec.labels, detector.spec.preprocess

    def ask(images_NCHW: Floats, image: Image.Image) -> Boxes:
        (boxes,) = boxes_of(*detector.answers(images_NCHW), detector.coding)
        return in_image(boxes, placement(image.size, preprocess))

    def shown(frame: FrameResult[Boxes]) -> None:
        if draw is not None and isinstance(frame.answer, Boxes) and not isinstance(frame.image, BadImageError):
            write_drawn(draw, frame.name, frame.image, frame.answer, labels)

    return StreamModel(detector.spec, ask, lambda boxes: detections(boxes, labels), "detections", shown)


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
