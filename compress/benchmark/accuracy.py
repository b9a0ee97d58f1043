"""How well every model answers, and how often as the baseline does. Shape suffixes: N images, H, W, C, K classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.benchmark.asked import Accuracies, Pixels
from compress.benchmark.schema import Answers
from compress.core.names import few
from compress.core.outputs import shares
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.errors import ImgcError, StageError
from compress.models.imagenet_labels import is_named
from compress.runtime.evaluate import Evaluation, agreement_pct, evaluate, expected_calibration_error_pct, mcnemar_p
from compress.runtime.predictor import Predictor

_SHOWN = 10  # classes in a message
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
    ece_pct: float
    recall_pct: dict[str, float]
    lost: int
    gained: int
    mcnemar_p: float


def measure_accuracy(
    predictors: Mapping[str, Predictor],
    baseline: str,
    pixels: Pixels,
    split: Split,
    labels: tuple[str, ...],
    reporter: Reporter,
) -> Accuracies:
    """Return the accuracy of each model on the same images, each prepared as its model wants.

    Args:
        predictors: name -> model.
        baseline: the name whose answers the others are compared with; its own drop is 0 and its agreement 100.
        pixels: gives the images for a preprocessing.
        split: the images and the class index of each.
        labels: names of the classes.
        reporter: shows progress.

    Raises:
        StageError: the baseline knows other classes, or cannot answer: the others have nothing to be compared with.
    """
    found: dict[str, Evaluation] = {}
    errors: dict[str, str] = {}
    for name in sorted(predictors, key=lambda name: name != baseline):  # it first: without it the rest is in vain
        predictor = predictors[name]
        try:
            _check_classes(predictor, labels)
            found[name] = evaluate(predictor, pixels(predictor.spec.preprocess), split.labels_N, reporter)
        except ImgcError as error:
            if name == baseline:
                raise StageError(
                    f"the baseline '{name}' cannot be measured: {error.message}", hint=error.hint
                ) from error
            errors[name] = error.message
    truth_N = np.asarray(split.labels_N)
    accuracy = {name: _accuracy(one, found[baseline], truth_N, labels) for name, one in found.items()}
    return Accuracies(accuracy, errors, _answers(found, split, labels))


def _check_classes(predictor: Predictor, labels: tuple[str, ...]) -> None:
    spec = predictor.spec
    taken_in_order = not is_named(spec) and spec.num_classes == len(labels)  # another tool's file knows numbers only
    if spec.labels != labels and not taken_in_order:
        raise StageError(
            f"{predictor.path}: has the classes {few(spec.labels, _SHOWN)}, the images have {few(labels, _SHOWN)}",
            hint="measure it with the images it was trained on",
        )


def _accuracy(one: Evaluation, reference: Evaluation, truth_N: NDArray[np.int64], labels: tuple[str, ...]) -> Accuracy:
    answers_N = one.logits_NK.argmax(axis=1)
    right_N, wanted_N = answers_N == truth_N, reference.logits_NK.argmax(axis=1) == truth_N
    lost, gained = int((wanted_N & ~right_N).sum()), int((right_N & ~wanted_N).sum())
    return Accuracy(
        n_images=one.n_images,
        top1_pct=one.top1_pct,
        top1_ci95_pct=one.top1_ci95_pct,
        top5_pct=one.top5_pct,
        top1_drop_pp=reference.top1_pct - one.top1_pct,
        agreement_pct=agreement_pct(reference.logits_NK, one.logits_NK),
        ece_pct=expected_calibration_error_pct(shares(one.logits_NK, one.outputs), truth_N),
        recall_pct={
            label: 100.0 * float(right_N[truth_N == index].mean())
            for index, label in enumerate(labels)
            if (truth_N == index).any()
        },
        lost=lost,
        gained=gained,
        mcnemar_p=mcnemar_p(lost, gained),
    )


def _answers(found: Mapping[str, Evaluation], split: Split, labels: tuple[str, ...]) -> Answers:
    truth_N = np.asarray(split.labels_N)
    rows_N = np.arange(len(truth_N))
    of_each = {name: shares(one.logits_NK, one.outputs) for name, one in found.items()}
    return Answers(
        labels=labels,
        paths=tuple(str(path) for path in split.paths),
        truth=split.labels_N,
        top1={name: tuple(share_NK.argmax(axis=1).tolist()) for name, share_NK in of_each.items()},
        confidence={name: _rounded(share_NK.max(axis=1)) for name, share_NK in of_each.items()},
        truth_confidence={name: _rounded(share_NK[rows_N, truth_N]) for name, share_NK in of_each.items()},
    )


def _rounded(values_N: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(round(float(value), _DIGITS) for value in values_N)
