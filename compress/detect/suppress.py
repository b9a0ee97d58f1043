"""Non-maximum suppression (NMS): of boxes that overlap, the best one stays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.detect.boxes import iou

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def best_first(scores_B: Floats, most: int) -> Indices:
    """Return the places of the `most` best scores, best first; of equal ones the first place first."""
    return np.argsort(-scores_B, kind="stable")[:most]


def suppress(boxes_B4: Floats, max_iou: float) -> Indices:
    """Return the places of the boxes that stay, in their order.

    Greedy: each box that stays removes those behind it that it covers by more than `max_iou`.

    Args:
        boxes_B4: best first.
        max_iou: 0..1.
    """
    alive_B = np.ones(len(boxes_B4), dtype=bool)
    for index in range(len(boxes_B4)):
        if alive_B[index]:  # a row at a time: all pairs of some thousand boxes would be gigabytes
            covered = iou(boxes_B4[index : index + 1], boxes_B4[index + 1 :])[0] > np.float32(max_iou)
            alive_B[index + 1 :] &= ~covered
    return np.flatnonzero(alive_B)
