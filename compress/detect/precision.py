"""Mean average precision (mAP) as COCO defines it: over IoU 0.50:0.95 and all classes, at most 100 boxes an image.

Letters: T values of IoU, R recalls, K classes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

import numpy as np

from compress.data.boxes import BoxLabels
from compress.detect.answers import Boxes
from compress.errors import missing_backend

_SIZES = ("small", "medium", "large")
EVAL_THRESHOLD = 0.01  # boxes of a lower score than any that is shown still lengthen the curve of precision and recall
RECALLS = 101  # of a curve


@dataclass(frozen=True)
class AveragePrecision:
    """What a detector's boxes are worth.

    Attributes:
        map_pct: mean over IoU 0.50:0.95 and classes, 0..100.
        map50_pct: the same at IoU 0.50.
        by_class_pct: of each class over IoU 0.50:0.95, None where no image has one.
        by_size_pct: the same of boxes that are small (below 32 x 32 pixels), medium (below 96 x 96) and large.
        curves: precision of each class at IoU 0.50, 0..1, at the recalls 0, 0.01 .. 1; None where no image has one.
    """

    map_pct: float
    map50_pct: float
    by_class_pct: tuple[float | None, ...]
    by_size_pct: Mapping[str, float | None] = field(default_factory=dict)
    curves: tuple[tuple[float, ...] | None, ...] = ()

    @property
    def by_class50_pct(self) -> tuple[float | None, ...]:
        """Return what each class is worth at IoU 0.50, the mean of its curve."""
        return tuple(None if curve is None else 100 * fmean(curve) for curve in self.curves)


def average_precision(truth: Sequence[BoxLabels], answers: Sequence[Boxes], num_classes: int) -> AveragePrecision:
    """Return the mAP of the answers to images whose boxes are known, both in pixels of the images.

    Raises:
        BackendMissingError: faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise missing_backend("faster_coco_eval", "train") from error
    logging.getLogger("faster_coco_eval").setLevel(logging.ERROR)
    known = COCO(_truth(truth, num_classes))
    found = _answers(answers)
    if not found:
        there = [any((one.classes_B == index).any() for one in truth) for index in range(num_classes)]
        nought = tuple(0.0 if one else None for one in there)
        return AveragePrecision(0.0, 0.0, nought, curves=tuple((0.0,) * RECALLS if one else None for one in there))
    judge: Any = COCOeval_faster(known, known.loadRes(found), "bbox")
    judge.evaluate()
    judge.accumulate()
    precision_TRKAM = judge.eval["precision"]  # A sizes of a box, M most boxes of an image
    every = precision_TRKAM[:, :, :, 0, -1]
    return AveragePrecision(
        _mean_pct(every) or 0.0,
        _mean_pct(every[0]) or 0.0,
        tuple(_mean_pct(every[:, :, k]) for k in range(num_classes)),
        {size: _mean_pct(precision_TRKAM[:, :, :, index, -1]) for index, size in enumerate(_SIZES, 1)},
        tuple(None if (curve_R < 0).any() else tuple(curve_R.tolist()) for curve_R in every[0].T),
    )


def _mean_pct(precision: Any) -> float | None:  # noqa: ANN401 - an untyped library's array
    """Return the mean of what is known (-1 is not) in percent."""
    known = precision[precision > -1]
    return float(100 * known.mean()) if known.size else None


def _truth(truth: Sequence[BoxLabels], num_classes: int) -> dict[str, Any]:
    annotations: list[dict[str, Any]] = []
    for image, one in enumerate(truth, 1):
        for (x0, y0, x1, y1), index in zip(one.corners_B4.tolist(), one.classes_B.tolist(), strict=True):
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": index,
                    "bbox": [x0, y0, x1 - x0, y1 - y0],
                    "area": (x1 - x0) * (y1 - y0),
                    "iscrowd": 0,
                }
            )
    return {
        "images": [{"id": image} for image in range(1, len(truth) + 1)],
        "annotations": annotations,
        "categories": [{"id": index, "name": str(index)} for index in range(num_classes)],
    }


def _answers(answers: Sequence[Boxes]) -> list[dict[str, Any]]:
    found = []
    for image, one in enumerate(answers, 1):
        sides_B2 = one.corners_B4[:, 2:] - one.corners_B4[:, :2]
        boxes_B4 = np.concatenate([one.corners_B4[:, :2], sides_B2], axis=1).tolist()
        for box, score, index in zip(boxes_B4, one.scores_B.tolist(), one.classes_B.tolist(), strict=True):
            found.append({"image_id": image, "category_id": index, "bbox": box, "score": score})
    return found
