"""Anchors fitted to the boxes of a data set: k-means on IoU (Redmon & Farhadi 2017, YOLO9000, section 2).

Letters: B boxes, K anchors of a map; sides are (width, height) in shares of the square.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from compress.core.boxes import AnchorMap, BoxCoding

_CELLS = 3.0  # across: a larger box is for the next map
_ROUNDS = 100
Sides = NDArray[np.float64]


def fitted_anchors(coding: BoxCoding, sides_B2: Sides) -> BoxCoding:
    """Return the coding with as many anchors on each map, of the sizes that the boxes have.

    A box is for the first map of whose cells it covers at most three across. A map for which there are fewer different
    boxes than anchors keeps its own.

    Args:
        coding: before.
        sides_B2: of the boxes to learn from, f64 [B, 2], above 0.
    """
    scale_B = np.sqrt(sides_B2.prod(axis=1))
    maps: list[AnchorMap] = []
    above = 0.0
    for number, one in enumerate(coding.maps):
        last = number == len(coding.maps) - 1
        up_to = np.inf if last else _CELLS / max(one.rows, one.columns)
        mine_B2 = sides_B2[(scale_B > above) & (scale_B <= up_to)]
        above = up_to
        count = len(one.sizes)
        if len(np.unique(mine_B2, axis=0)) >= count:
            sizes = tuple((float(width), float(height)) for width, height in k_means(mine_B2, count))
            one = one.model_copy(update={"sizes": sizes})
        maps.append(one)
    return coding.model_copy(update={"maps": tuple(maps)})


def k_means(sides_B2: Sides, count: int) -> Sides:
    """Return the sides of `count` anchors, f64 [K, 2], smallest first; there are at least so many different boxes.

    It starts from boxes evenly spread by area, so that nothing is drawn. A centre is the median of its boxes.
    """
    distinct = np.unique(sides_B2, axis=0)
    ordered = distinct[np.argsort(distinct.prod(axis=1), kind="stable")]
    centres_K2 = ordered[np.linspace(0, len(ordered) - 1, count).round().astype(int)]
    for _ in range(_ROUNDS):
        nearest_B = sides_iou(sides_B2, centres_K2).argmax(axis=1)
        moved = [
            np.median(sides_B2[nearest_B == index], axis=0) if (nearest_B == index).any() else centres_K2[index]
            for index in range(count)
        ]
        if np.array_equal(moved, centres_K2):
            break
        centres_K2 = np.array(moved)
    return np.asarray(centres_K2[np.argsort(centres_K2.prod(axis=1), kind="stable")])


def sides_iou(sides_B2: Sides, others_K2: Sides) -> Sides:
    """Return the IoU of boxes with one centre, f64 [B, K]."""
    common_BK = np.minimum(sides_B2[:, None], others_K2[None]).prod(axis=2)
    every_BK = sides_B2.prod(axis=1)[:, None] + others_K2.prod(axis=1)[None] - common_BK
    return np.asarray(common_BK / every_BK)
