"""Overlaps of boxes. B and D boxes, each a row of corners (x0, y0, x1, y1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def areas(boxes_B4: Floats) -> Floats:
    """Return the area of each box; 0 where a corner lies before the other."""
    sides_B2 = np.maximum(boxes_B4[:, 2:] - boxes_B4[:, :2], 0)
    return np.asarray(sides_B2[:, 0] * sides_B2[:, 1], dtype=np.float32)


def iou(boxes_B4: Floats, others_D4: Floats) -> Floats:
    """Return the intersection over union of each pair, f32 [B, D] in 0..1; 0 for two boxes without area."""
    top_left = np.maximum(boxes_B4[:, None, :2], others_D4[None, :, :2])
    bottom_right = np.minimum(boxes_B4[:, None, 2:], others_D4[None, :, 2:])
    sides = np.maximum(bottom_right - top_left, 0)
    common_BD = sides[..., 0] * sides[..., 1]
    union_BD = areas(boxes_B4)[:, None] + areas(others_D4)[None, :] - common_BD
    shares: Floats = np.divide(common_BD, union_BD, out=np.zeros_like(common_BD), where=union_BD > 0)
    return shares
