"""How well every model answers, and how often as the baseline does. Shape suffixes: N images, H, W, C, K classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.schema import Answers
from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.runtime.evaluate import Evaluation, agreement_pct, evaluate
from compress.runtime.predictor import Floats, Predictor

Pixels = Callable[[Preprocess], NDArray[np.uint8]]  # -> pixels_NHWC of the pictures, resized and cropped
_DIGITS = 4  # of a confidence


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
    split: Split,
    labels: tuple[str, ...],
    reporter: Reporter,
) -> tuple[dict[str, Accuracy], Answers]:
    """Return name -> accuracy on the same pictures, each prepared as its model wants, and what was answered.

    Args:
        predictors: name -> model.
        baseline: the name whose answers the others are compared with; its own drop is 0 and its agreement 100.
        pixels: gives the pictures for a preprocessing.
        split: the pictures and the class index of each.
        labels: names of the classes.
        reporter: shows progress.

    Raises:
        StageError: a model answers NaN or infinity.
    """
    found = {
        name: evaluate(predictor, pixels(predictor.spec.preprocess), split.labels_N, reporter)
        for name, predictor in predictors.items()
    }
    reference = found[baseline]
    accuracy = {
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
    return accuracy, _answers(found, split, labels)


def _answers(found: Mapping[str, Evaluation], split: Split, labels: tuple[str, ...]) -> Answers:
    truth_N = np.asarray(split.labels_N)
    rows_N = np.arange(len(truth_N))
    shares = {name: softmax(one.logits_NK) for name, one in found.items()}
    return Answers(
        labels=labels,
        paths=tuple(str(path) for path in split.paths),
        truth=split.labels_N,
        top1={name: tuple(share_NK.argmax(axis=1).tolist()) for name, share_NK in shares.items()},
        confidence={name: _rounded(share_NK.max(axis=1)) for name, share_NK in shares.items()},
        truth_confidence={name: _rounded(share_NK[rows_N, truth_N]) for name, share_NK in shares.items()},
    )


def softmax(logits_NK: Floats) -> NDArray[np.float64]:
    """Return the softmax of each row, in double precision."""
    powers_NK = np.exp(logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True))
    shares: NDArray[np.float64] = powers_NK / powers_NK.sum(axis=1, keepdims=True)
    return shares


def _rounded(values_N: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values_N)
