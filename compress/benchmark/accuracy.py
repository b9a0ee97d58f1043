"""How well every model answers, and how often as the baseline does. Shape suffixes: N images, H, W, C."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.runtime.evaluate import agreement_pct, evaluate
from compress.runtime.predictor import Predictor

Pixels = Callable[[Preprocess], NDArray[np.uint8]]  # -> pixels_NHWC of the test pictures, resized and cropped


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one model; fields as in `compress.benchmark.schema.Row`."""

    n_images: int
    top1_pct: float
    top1_ci95_pct: tuple[float, float]
    top5_pct: float
    top1_drop_pp: float
    agreement_pct: float


def measure_accuracy(
    predictors: Mapping[str, Predictor],
    baseline: str,
    pixels: Pixels,
    labels_N: Sequence[int],
    reporter: Reporter,
) -> dict[str, Accuracy]:
    """Return name -> accuracy on the same pictures, each prepared as its model wants.

    Args:
        predictors: name -> model.
        baseline: the name whose answers the others are compared with; its own drop is 0 and its agreement 100.
        pixels: gives the pictures for a preprocessing.
        labels_N: class index of each picture.
        reporter: shows progress.

    Raises:
        StageError: a model answers NaN or infinity.
    """
    found = {
        name: evaluate(predictor, pixels(predictor.spec.preprocess), labels_N, reporter)
        for name, predictor in predictors.items()
    }
    reference = found[baseline]
    return {
        name: Accuracy(
            n_images=one.n_images,
            top1_pct=one.top1_pct,
            top1_ci95_pct=one.top1_ci95_pct,
            top5_pct=one.top5_pct,
            top1_drop_pp=reference.top1_pct - one.top1_pct,
            agreement_pct=agreement_pct(reference.logits_NK, one.logits_NK),
        )
        for name, one in found.items()
    }
