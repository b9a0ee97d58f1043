"""How sure a mAP is: the same boxes judged on images drawn again (bootstrap, Efron 1979). `precision` has the mAP.

Letters: N images, R draws, T values of IoU, D boxes of one class, best first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.data.boxes import BoxLabels
from compress.detect.answers import Boxes
from compress.detect.boxes import iou

DRAWS = 500
_IOUS_T = np.linspace(0.5, 0.95, 10)
_RECALLS = np.linspace(0.0, 1.0, 101)
_MOST = 2_000_000  # numbers at once
Interval = tuple[float, float]


@dataclass(frozen=True)
class RankedBoxes:
    """The found boxes of one class over all images, best first.

    Attributes:
        image_D: which image each is in.
        right_TD: whether it is right, by IoU.
        known_N: how many there are to be found in each image.
    """

    image_D: NDArray[np.int64]
    right_TD: NDArray[np.bool_]
    known_N: NDArray[np.int64]


def ranked(truth: Sequence[BoxLabels], answers: Sequence[Boxes], num_classes: int) -> tuple[RankedBoxes, ...]:
    """Return the boxes of each class, matched with the known ones as COCO's evaluation does."""
    return tuple(_of_class(truth, answers, index) for index in range(num_classes))


def draws(images: int, seed: int = 0) -> NDArray[np.int64]:
    """Return how often each image is drawn, i64 [R, N]; each row sums to N."""
    return np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), size=DRAWS)


def map_pct(classes: Sequence[RankedBoxes], weights_RN: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mAP [R] of images that count so many times; classes of which nothing is known do not count."""
    every = np.stack([np.concatenate(list(_precision(one, weights_RN))) for one in classes])
    known = ~np.isnan(every)
    sums, counts = np.where(known, every, 0.0).sum(axis=0), known.sum(axis=0)
    return np.asarray(100.0 * sums / np.maximum(counts, 1))


def interval(values_R: NDArray[np.float64]) -> Interval:
    """Return the middle 95 % of the draws."""
    low, high = np.percentile(values_R, [2.5, 97.5])
    return float(low), float(high)


def _of_class(truth: Sequence[BoxLabels], answers: Sequence[Boxes], index: int) -> RankedBoxes:
    scores: list[NDArray[np.float32]] = []
    images: list[NDArray[np.int64]] = []
    right: list[NDArray[np.bool_]] = []
    for image, (known, found) in enumerate(zip(truth, answers, strict=True)):
        mine = found.classes_B == index
        corners_B4 = found.corners_B4[mine]
        scores.append(found.scores_B[mine])
        images.append(np.full(len(corners_B4), image, dtype=np.int64))
        right.append(_matches(iou(corners_B4, known.corners_B4[known.classes_B == index])))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return RankedBoxes(
        np.concatenate(images)[order],
        np.concatenate(right, axis=1)[:, order],
        np.array([int((known.classes_B == index).sum()) for known in truth]),
    )


def _matches(overlap_BG: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which boxes of one image, best first, have a known box of their own [T, B]: the one they overlap most."""
    right_TB = np.zeros((len(_IOUS_T), len(overlap_BG)), dtype=np.bool_)
    for step, least in enumerate(_IOUS_T):
        left_BG = overlap_BG.copy()
        for box, row_G in enumerate(left_BG):
            if len(row_G) and row_G.max() >= least:
                right_TB[step, box] = True
                left_BG[:, row_G.argmax()] = -1.0
    return right_TB


def _precision(one: RankedBoxes, weights_RN: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Yield the average precision of one class over all IoU, for one part of the draws after the other."""
    rows = max(1, _MOST // max(1, len(one.image_D)))
    for start in range(0, len(weights_RN), rows):
        weights = weights_RN[start : start + rows]
        wanted_R = weights @ one.known_N
        count_RD = weights[:, one.image_D]
        parts = [_average(count_RD * right_D, count_RD, wanted_R) for right_D in one.right_TD]
        yield np.mean(parts, axis=0)


def _average(
    right_RD: NDArray[np.int64], count_RD: NDArray[np.int64], wanted_R: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the mean precision at 101 recalls, NaN where nothing is to be found (Lin et al. 2014, COCO)."""
    right_RD = right_RD.cumsum(axis=1)
    precision_RD = right_RD / np.maximum(count_RD.cumsum(axis=1), 1)
    precision_RD = np.maximum.accumulate(precision_RD[:, ::-1], axis=1)[:, ::-1]
    found = np.full(len(wanted_R), np.nan)
    for row, wanted in enumerate(wanted_R):
        if wanted:
            places = np.searchsorted(right_RD[row] / wanted, _RECALLS, side="left")
            inside = places < right_RD.shape[1]
            found[row] = precision_RD[row, places[inside]].sum() / len(_RECALLS)
    return found
