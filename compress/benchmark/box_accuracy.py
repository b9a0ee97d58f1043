"""How well detectors find boxes, and how often as the baseline does. N images, A anchors, K scores of an anchor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from compress.benchmark.asked import Accuracies, Pixels
from compress.benchmark.box_answers import BoxAnswers, image_boxes, labelled_boxes, precision_curves
from compress.core.names import few
from compress.core.stage import Reporter
from compress.data.dataset import Split
from compress.data.transforms import normalize, placement
from compress.detect.answers import Boxes, above, boxes_of
from compress.detect.bootstrap import RankedBoxes, draws, interval, map_pct, ranked
from compress.detect.geometry import in_image
from compress.detect.match import agreement_pct
from compress.detect.precision import EVAL_THRESHOLD, AveragePrecision, average_precision
from compress.errors import ImgcError, StageError
from compress.runtime.detector import Detector

_BATCH = 16
_TIMED = 256  # images whose post-processing is timed
_SHOWN = 10  # classes in a message


@dataclass(frozen=True)
class BoxAccuracy:
    """Accuracy of one detector; fields as in `compress.benchmark.schema.Row`."""

    n_images: int
    map_pct: float
    map_ci95_pct: tuple[float, float]
    map50_pct: float
    map_drop_pp: float
    map_drop_ci95_pp: tuple[float, float]
    agreement_pct: float
    class_map_pct: dict[str, float]
    class_map50_pct: dict[str, float]
    size_map_pct: dict[str, float]
    score_threshold: float
    postprocess_p50_ms: float


@dataclass(frozen=True)
class _Found:
    """What one detector found: its boxes in pixels from the least score that mAP looks at, and what they are worth."""

    boxes_N: list[Boxes]
    worth: AveragePrecision
    ranked: tuple[RankedBoxes, ...]
    threshold: float
    postprocess_p50_ms: float


def measure_box_accuracy(
    detectors: Mapping[str, Detector],
    baseline: str,
    pixels: Pixels,
    split: Split,
    labels: tuple[str, ...],
    reporter: Reporter,
) -> Accuracies:
    """Return the accuracy of each detector on the same images, each prepared as it wants; see `measure_accuracy`.

    Raises:
        StageError: the baseline knows other classes, or cannot answer.
    """
    found: dict[str, _Found] = {}
    errors: dict[str, str] = {}
    for name in sorted(detectors, key=lambda name: name != baseline):
        try:
            found[name] = _find(detectors[name], pixels, split, labels, reporter)
        except ImgcError as error:
            if name == baseline:
                raise StageError(
                    f"the baseline '{name}' cannot be measured: {error.message}", hint=error.hint
                ) from error
            errors[name] = error.message
    weights_RN = draws(len(split))
    first = found[baseline]
    first_R = map_pct(first.ranked, weights_RN)
    accuracies = {}
    for name, one in found.items():
        mine_R = map_pct(one.ranked, weights_RN)
        accuracies[name] = BoxAccuracy(
            n_images=len(split),
            map_pct=one.worth.map_pct,
            map_ci95_pct=interval(mine_R),
            map50_pct=one.worth.map50_pct,
            map_drop_pp=first.worth.map_pct - one.worth.map_pct,
            map_drop_ci95_pp=interval(first_R - mine_R),
            agreement_pct=agreement_pct(_shown(first), _shown(one)),
            class_map_pct=_by_label(labels, one.worth.by_class_pct),
            class_map50_pct=_by_label(labels, one.worth.by_class50_pct),
            size_map_pct={size: value for size, value in one.worth.by_size_pct.items() if value is not None},
            score_threshold=one.threshold,
            postprocess_p50_ms=one.postprocess_p50_ms,
        )
    return Accuracies(accuracies, errors, _answers(found, split, labels))


def _by_label(labels: Sequence[str], values: Sequence[float | None]) -> dict[str, float]:
    return {label: value for label, value in zip(labels, values, strict=True) if value is not None}


def _answers(found: Mapping[str, _Found], split: Split, labels: tuple[str, ...]) -> BoxAnswers:
    return BoxAnswers(
        labels=labels,
        paths=tuple(str(path) for path in split.paths),
        truth=tuple(map(labelled_boxes, split.boxes_N)),
        found={name: tuple(map(image_boxes, _shown(one))) for name, one in found.items()},
        precision={name: precision_curves(one.worth, labels) for name, one in found.items()},
    )


def _shown(found: _Found) -> list[Boxes]:
    """Return the boxes that the file shows by its own threshold."""
    return [above(boxes, found.threshold) for boxes in found.boxes_N]


def _find(detector: Detector, pixels: Pixels, split: Split, labels: Sequence[str], reporter: Reporter) -> _Found:
    """Return the boxes of every image; what is timed is the post-processing at the file's own threshold, alone.

    Raises:
        StageError: other classes, or an answer that is not finite.
    """
    _check_classes(detector, labels)
    coding, preprocess = detector.coding, detector.spec.preprocess
    wide = coding.model_copy(update={"score_threshold": min(EVAL_THRESHOLD, coding.score_threshold)})
    pixels_NHWC = pixels(preprocess)
    boxes: list[Boxes] = []
    times_ms: list[float] = []
    with reporter.progress(f"evaluate {detector.path.name}", len(split)) as advance:
        for start in range(0, len(split), _BATCH):
            raw_NA4, logits_NAK = detector.answers(normalize(pixels_NHWC[start : start + _BATCH], preprocess))
            boxes += boxes_of(raw_NA4, logits_NAK, wide)
            for index in range(len(raw_NA4) if len(times_ms) < _TIMED else 0):
                began = perf_counter()
                boxes_of(raw_NA4[index : index + 1], logits_NAK[index : index + 1], coding)
                times_ms.append(1000 * (perf_counter() - began))
            advance(len(raw_NA4))
    places = [placement(known.size, preprocess) for known in split.boxes_N]
    placed = [in_image(one, place) for one, place in zip(boxes, places, strict=True)]
    return _Found(
        placed,
        average_precision(split.boxes_N, placed, len(labels)),
        ranked(split.boxes_N, placed, len(labels)),
        coding.score_threshold,
        median(times_ms),
    )


def _check_classes(detector: Detector, labels: Sequence[str]) -> None:
    if detector.spec.labels != tuple(labels):
        raise StageError(
            f"{detector.path}: has the classes {few(detector.spec.labels, _SHOWN)}, the images have "
            f"{few(labels, _SHOWN)}",
            hint="measure it with the images it was trained on",
        )
