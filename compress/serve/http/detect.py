"""`POST /v1/detect`: where things are in an image."""

from __future__ import annotations

from typing import ClassVar

from compress.core.dataset import Task
from compress.serve.core.service import Answer
from compress.serve.core.work import detections
from compress.serve.http.images import ImageAnswer, ImageRoute, Wishes

DETECT = "/v1/detect"


class Detect(ImageRoute):
    """Answers with boxes in pixels of the image as sent; one that EXIF turns is upright first."""

    task: ClassVar[Task] = "detect"
    fields: ClassVar[frozenset[str]] = frozenset({"min_score"})

    def said(self, answer: Answer, wishes: Wishes) -> ImageAnswer:
        """Return the boxes, best first."""
        return {"detections": detections(answer.numbers, answer.model.spec.labels, wishes.min_score)}
