"""What asking models about labelled images brings, whatever they do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.box_answers import BoxAnswers
from compress.benchmark.schema import Answers
from compress.core.preprocess import Preprocess

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Pixels = Callable[[Preprocess], NDArray[np.uint8]]  # -> pixels_NHWC of the images, resized and cropped


@dataclass(frozen=True)
class Accuracies:
    """What the models answered.

    Attributes:
        found: name -> accuracy, of the models that could be asked: fields of `compress.benchmark.schema.Row`.
        errors: name -> why not, of the others.
        answers: what each model said to each image; None when no image was shown.
    """

    found: Mapping[str, DataclassInstance] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    answers: Answers | BoxAnswers | None = None
