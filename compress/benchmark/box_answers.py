"""What detectors said to the images: what a report compares, drawn from it and counted.

Letters: B boxes, R recalls, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from compress.benchmark.schema import ImagePaths
from compress.core.fact import Fact
from compress.core.spec import VisibleText
from compress.data.boxes import BoxLabels
from compress.detect.answers import Boxes
from compress.detect.precision import RECALLS, AveragePrecision

_PLACE_DIGITS, _SCORE_DIGITS, _PRECISION_DIGITS = 2, 4, 4
Corners = tuple[float, float, float, float]


class ImageBoxes(Fact):
    """The boxes of one image, best first.

    Attributes:
        corners: (x0, y0, x1, y1) of each, in pixels of the upright image.
        classes: index of each among the labels.
        scores: 0..1; of labelled boxes 1.
    """

    corners: tuple[Corners, ...] = ()
    classes: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()

    @model_validator(mode="after")
    def _are_boxes(self) -> ImageBoxes:
        if not len(self.corners) == len(self.classes) == len(self.scores):
            raise ValueError("corners, classes and scores: as many of each are needed")
        if any(x0 > x1 or y0 > y1 for x0, y0, x1, y1 in self.corners):
            raise ValueError("corners: (x0, y0, x1, y1) with x0 <= x1 and y0 <= y1 are needed")
        return self

    def as_boxes(self) -> Boxes:
        """Return what `compress.detect` works with."""
        return Boxes(
            np.array(self.corners, np.float32).reshape(-1, 4),
            np.array(self.scores, np.float32),
            np.array(self.classes, np.int64),
        )


class BoxAnswers(Fact):
    """What `answers.json` beside a `bench.json` holds of detectors: each one's boxes in each image, in one order.

    Attributes:
        labels: class names in index order.
        paths: the images.
        truth: the labelled boxes of each image.
        found: row -> the boxes that its file shows, by its own threshold, in each image.
        precision: row -> class -> precision at IoU 0.50, 0..1, at the recalls 0, 0.01 .. 1, as the mAP is made of;
            classes without boxes are absent.
    """

    schema_version: Literal[1] = 1
    labels: tuple[VisibleText, ...]
    paths: ImagePaths
    truth: tuple[ImageBoxes, ...]
    found: dict[str, tuple[ImageBoxes, ...]]
    precision: dict[str, dict[str, tuple[float, ...]]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _are_of_the_same_images(self) -> BoxAnswers:
        count, classes = len(self.paths), len(self.labels)
        for name, images in {"truth": self.truth, **self.found}.items():
            if len(images) != count or not all(0 <= index < classes for one in images for index in one.classes):
                raise ValueError(f"{name}: boxes of {count} images are needed, their class indices below {classes}")
        if any(len(curve) != RECALLS for curves in self.precision.values() for curve in curves.values()):
            raise ValueError(f"precision: {RECALLS} numbers a class are needed")
        return self


def image_boxes(boxes: Boxes) -> ImageBoxes:
    """Return the boxes of one image as JSON shall have them."""
    return ImageBoxes(
        corners=tuple(tuple(row) for row in boxes.corners_B4.astype(np.float64).round(_PLACE_DIGITS).tolist()),
        classes=tuple(boxes.classes_B.tolist()),
        scores=tuple(boxes.scores_B.astype(np.float64).round(_SCORE_DIGITS).tolist()),
    )


def labelled_boxes(labels: BoxLabels) -> ImageBoxes:
    """Return the labelled boxes of one image as JSON shall have them."""
    return image_boxes(Boxes(labels.corners_B4, np.ones(len(labels.classes_B), np.float32), labels.classes_B))


def precision_curves(worth: AveragePrecision, labels: Sequence[str]) -> dict[str, tuple[float, ...]]:
    """Return class -> its curve, of the classes that have one."""
    return {
        label: tuple(round(value, _PRECISION_DIGITS) for value in curve)
        for label, curve in zip(labels, worth.curves, strict=True)
        if curve is not None
    }
