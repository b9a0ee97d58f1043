"""answers.json of detectors: what it refuses, and what its boxes become."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from compress.benchmark.box_answers import BoxAnswers, ImageBoxes, image_boxes, labelled_boxes, precision_curves
from compress.data.boxes import BoxLabels
from compress.detect.answers import Boxes
from compress.detect.precision import RECALLS, AveragePrecision

CORNERS_B4 = np.array([[1.234567, 2, 30, 40.5], [0, 0, 5, 6]], np.float32)
BOX = {"corners": [[0, 0, 5, 6]], "classes": [1], "scores": [0.5]}
ANSWERS = {"labels": ["a", "b"], "paths": ["/i/0.jpg"], "truth": [BOX], "found": {"train": [BOX]}}


def test_boxes_come_back_rounded() -> None:
    boxes = Boxes(CORNERS_B4, np.array([0.912345, 0.5], np.float32), np.array([3, 1]))
    kept = image_boxes(boxes)
    assert kept.corners[0] == (1.23, 2.0, 30.0, 40.5)
    assert (kept.classes, kept.scores) == ((3, 1), (0.9123, 0.5))
    back = kept.as_boxes()
    np.testing.assert_allclose(back.corners_B4, CORNERS_B4, atol=0.005)
    assert (back.corners_B4.dtype, back.scores_B.dtype, back.classes_B.dtype) == (np.float32, np.float32, np.int64)
    assert ImageBoxes().as_boxes().corners_B4.shape == (0, 4)


def test_labelled_boxes_are_sure() -> None:
    kept = labelled_boxes(BoxLabels(CORNERS_B4, np.array([0, 1])))
    assert (kept.classes, kept.scores) == ((0, 1), (1.0, 1.0))


def test_classes_without_boxes_have_no_curve() -> None:
    worth = AveragePrecision(1.0, 1.0, (None, 1.0), {}, (None, (1 / 3,) * RECALLS))
    assert precision_curves(worth, ("a", "b")) == {"b": (0.3333,) * RECALLS}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"truth": []}, "truth: boxes of 1 images"),
        ({"found": {"train": [BOX, BOX]}}, "train: boxes of 1 images"),
        ({"labels": ["a"]}, "class indices below 1"),
        ({"paths": [""]}, "none empty"),
        ({"precision": {"train": {"a": [1.0]}}}, "101 numbers a class"),
        ({"truth": [{**BOX, "scores": []}]}, "as many of each"),
        ({"truth": [{**BOX, "corners": [[9, 0, 5, 6]]}]}, "x0 <= x1"),
        ({"truth": [{**BOX, "corners": [[0, 0, float("inf"), 6]]}]}, "finite"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], said: str) -> None:
    assert BoxAnswers.model_validate(ANSWERS).found["train"][0].classes == (1,)
    with pytest.raises(ValidationError, match=said):
        BoxAnswers.model_validate({**ANSWERS, **change})
