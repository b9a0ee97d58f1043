"""Precision against recall, from the benchmark's answers: a curve of each detector, and of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from compress.benchmark.box_answers import BoxAnswers
from compress.core.fact import Fact

MAX_CURVES = 8  # classes


class PrecisionCurve(Fact):
    """One model.

    Attributes:
        stage: id of the model.
        mean: mean over the classes of the precision at IoU 0.50, 0..1, at the recalls 0, 0.01 .. 1; its own mean is the
            model's `map50_pct`.
        classes: the same of single classes: those that lost most from the baseline to any model.
    """

    stage: str
    mean: tuple[float, ...]
    classes: dict[str, tuple[float, ...]]


def find_curves(answers: BoxAnswers, baseline: str, others: Sequence[str]) -> tuple[PrecisionCurve, ...]:
    """Return the curves of the baseline, then of the others; none where the images have no boxes.

    Args:
        answers: of all models to the same images.
        baseline: the model that the others are compared with.
        others: whose curves are drawn beside it.
    """
    known = [name for name in (baseline, *others) if answers.precision.get(name)]
    if baseline not in known:
        return ()
    labels = _lost_most(answers, baseline, known)
    return tuple(
        PrecisionCurve(
            stage=name,
            mean=tuple(map(fmean, zip(*answers.precision[name].values(), strict=True))),
            classes={label: answers.precision[name][label] for label in labels if label in answers.precision[name]},
        )
        for name in known
    )


def _lost_most(answers: BoxAnswers, baseline: str, names: Sequence[str]) -> list[str]:
    before = answers.precision[baseline]
    least = {
        label: min(fmean(answers.precision[name].get(label, curve)) for name in names)
        for label, curve in before.items()
    }
    return sorted(before, key=lambda label: least[label] - fmean(before[label]))[:MAX_CURVES]
