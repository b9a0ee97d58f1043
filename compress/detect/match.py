"""Which anchor learns which box, and which boxes of two answers are the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from compress.core.boxes import BoxCoding
from compress.detect.answers import Boxes
from compress.detect.boxes import iou
from compress.detect.coding import anchors_of, corners

Floats = NDArray[np.float32]
MATCH_IOU = 0.5
NOTHING = -1


def anchor_targets(boxes_B4: Floats, coding: BoxCoding, least_iou: float = MATCH_IOU) -> NDArray[np.int64]:
    """Return which box each anchor learns to find, i64 [A], `NOTHING` for the background.

    An anchor takes the box that it overlaps most, by `least_iou` or more; and each box has the anchor that overlaps it
    most (Liu et al. 2016, SSD, section 2.2). Of boxes that want the same anchor the later one has it, as in
    torchvision's `SSDMatcher`.

    Args:
        boxes_B4: corners, shares of the square.
        coding: the anchors.
        least_iou: 0..1.
    """
    anchors_A4 = anchors_of(coding)
    if not len(boxes_B4):
        return np.full(len(anchors_A4), NOTHING, dtype=np.int64)
    overlap_BA = iou(boxes_B4, corners(anchors_A4))
    taken_A = overlap_BA.argmax(axis=0)
    taken_A[overlap_BA.max(axis=0) < least_iou] = NOTHING
    for box, anchor in enumerate(overlap_BA.argmax(axis=1)):
        taken_A[anchor] = box
    return np.asarray(taken_A, dtype=np.int64)


def agreement_pct(wanted: Sequence[Boxes], found: Sequence[Boxes]) -> float:
    """Return the share of the boxes in both answers to the same images that have a partner, 0..100; 100 for none."""
    same = sum(matched(one, other) for one, other in zip(wanted, found, strict=True))
    every = sum(map(len, wanted)) + sum(map(len, found))
    return 200.0 * same / every if every else 100.0


def matched(boxes: Boxes, others: Boxes, least_iou: float = MATCH_IOU) -> int:
    """Return how many boxes have a partner in the other answer, see `partners`."""
    return int((partners(boxes, others, least_iou) != NOTHING).sum())


def partners(boxes: Boxes, others: Boxes, least_iou: float = MATCH_IOU) -> NDArray[np.int64]:
    """Return each box's partner in the other answer, i64 [B], `NOTHING` where it has none.

    Partners are of the same class, and overlap by an IoU of at least `least_iou`. Each box has at most one. Greedy, the
    best box first, each with the one that it overlaps most.
    """
    overlap_BD = iou(boxes.corners_B4, others.corners_B4)
    overlap_BD[boxes.classes_B[:, None] != others.classes_B[None, :]] = 0
    found_B = np.full(len(boxes), NOTHING, dtype=np.int64)
    for box, row_D in enumerate(overlap_BD):
        if len(row_D) and row_D.max() >= least_iou:
            found_B[box] = row_D.argmax()
            overlap_BD[:, found_B[box]] = 0
    return found_B
