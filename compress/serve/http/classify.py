"""`POST /v1/classify`: what is in an image."""

from __future__ import annotations

from typing import ClassVar

from compress.core.dataset import Task
from compress.serve.core.service import Answer
from compress.serve.core.work import predictions
from compress.serve.http.images import ImageAnswer, ImageRoute, Wishes

CLASSIFY = "/v1/classify"


class Classify(ImageRoute):
    """Answers with the best classes."""

    task: ClassVar[Task] = "classify"
    fields: ClassVar[frozenset[str]] = frozenset({"top_k"})

    def said(self, answer: Answer, wishes: Wishes) -> ImageAnswer:
        """Return the best classes, best first."""
        found = predictions(answer.numbers, answer.model.spec, wishes.top_k)
        return {"predictions": [one.as_json() for one in found]}
