"""The accuracy of models of either task: by the classes of the images, or by their boxes."""

from __future__ import annotations

from collections.abc import Mapping

from compress.benchmark.accuracy import measure_accuracy
from compress.benchmark.asked import Accuracies, Pixels
from compress.benchmark.box_accuracy import measure_box_accuracy
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.runtime.detector import Detector
from compress.runtime.predictor import Predictor


def accuracies_of(
    models: Mapping[str, Predictor | Detector],
    baseline: str,
    pixels: Pixels,
    split: Split,
    labels: tuple[str, ...],
    reporter: Reporter,
) -> Accuracies:
    """Return the accuracy of the models, all of one task; see `measure_accuracy`."""
    if split.boxes_N:
        detectors = {name: one for name, one in models.items() if isinstance(one, Detector)}
        return measure_box_accuracy(detectors, baseline, pixels, split, labels, reporter)
    classifiers = {name: one for name, one in models.items() if not isinstance(one, Detector)}
    return measure_accuracy(classifiers, baseline, pixels, split, labels, reporter)
