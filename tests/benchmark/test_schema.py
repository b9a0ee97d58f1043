from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from compress.benchmark.schema import Answers

GOOD: dict[str, Any] = {
    "labels": ("a", "b"),
    "paths": ("x/0.jpg", "x/1.jpg"),
    "truth": (0, 1),
    "top1": {"m": (0, 0)},
    "confidence": {"m": (0.9, 0.8)},
    "truth_confidence": {"m": (0.9, 0.2)},
}


def test_answers_are_of_the_same_images() -> None:
    assert Answers(**GOOD).top1 == {"m": (0, 0)}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"truth": (0, 2)}, "truth: 2 class indices below 2"),
        ({"truth": (0,)}, "truth: 2 class indices"),
        ({"top1": {"m": (0, -1)}}, "m: 2 class indices"),
        ({"confidence": {}}, r"the rows \['m'\] need 2 confidences each"),
        ({"truth_confidence": {"m": (0.9,)}}, "need 2 confidences"),
        ({"paths": ("x/0.jpg", "")}, "none empty"),
        ({"paths": ("/x/0.jpg", "x/1.jpg")}, "all of one folder"),
    ],
)
def test_answers_that_contradict_themselves_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Answers(**{**GOOD, **change})
