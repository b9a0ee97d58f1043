"""From a network's raw numbers to labelled boxes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.core.boxes import BoxCoding
from compress.detect.coding import decode
from compress.detect.suppress import best_first, suppress
from compress.errors import StageError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Boxes:
    """The labelled boxes of one image, best first.

    Attributes:
        corners_B4: f32 [B, 4], (x0, y0, x1, y1).
        scores_B: f32 [B], 0..1.
        classes_B: i64 [B], indices among the labels, without a background.
    """

    corners_B4: Floats
    scores_B: Floats
    classes_B: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of boxes."""
        return len(self.scores_B)


def scores_of(logits: Floats, coding: BoxCoding) -> Floats:
    """Return the score of each class, 0..1, f32 [..., C], of raw scores [..., K]; the background's is left out."""
    scores: NDArray[np.floating] = logits
    if coding.activation == "sigmoid":
        scores = 1 / (1 + np.exp(-logits))
    elif coding.activation == "softmax":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        scores = powers / powers.sum(axis=-1, keepdims=True)
    return np.asarray(scores[..., 1:] if coding.background == "first" else scores, dtype=np.float32)


def boxes_of(raw_NA4: Floats, logits_NAK: Floats, coding: BoxCoding) -> list[Boxes]:
    """Return the boxes of each image, in shares of the network's square.

    Args:
        raw_NA4: offsets from the anchors, f32.
        logits_NAK: raw scores, f32.
        coding: what they mean, and which boxes are kept.

    Raises:
        StageError: a number is NaN or infinite.
    """
    if not (np.isfinite(raw_NA4).all() and np.isfinite(logits_NAK).all()):
        raise StageError("the model answers with NaN or infinity", hint="the file is damaged, or its training diverged")
    with np.errstate(over="ignore"):  # a score of exp(-200) is 0
        scores_NAC = scores_of(logits_NAK, coding)
    return [_kept(*pair, coding) for pair in zip(decode(raw_NA4, coding), scores_NAC, strict=True)]


def above(boxes: Boxes, least: float) -> Boxes:
    """Return the boxes of at least this score: those that `boxes_of` would have kept by it, where few are left out."""
    return _taken(boxes, np.flatnonzero(boxes.scores_B >= np.float32(least)))


def _kept(corners_A4: Floats, scores_AC: Floats, coding: BoxCoding) -> Boxes:
    found = [Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))]
    found += _candidates(corners_A4, scores_AC, coding)
    every = Boxes(
        np.concatenate([one.corners_B4 for one in found]),
        np.concatenate([one.scores_B for one in found]),
        np.concatenate([one.classes_B for one in found]),
    )
    order = best_first(every.scores_B, len(every))
    every = _taken(every, order)
    if coding.nms == "all":
        every = _taken(every, suppress(every.corners_B4, coding.nms_iou))
    return _taken(every, np.arange(min(len(every), coding.max_boxes)))


def _candidates(corners_A4: Floats, scores_AC: Floats, coding: BoxCoding) -> Iterator[Boxes]:
    """Yield the boxes of each class above the threshold, suppressed where that goes by class."""
    above_AC = scores_AC >= np.float32(coding.score_threshold)
    for index in np.flatnonzero(above_AC.any(axis=0)):
        at = np.flatnonzero(above_AC[:, index])
        at = at[best_first(scores_AC[at, index], coding.max_candidates)]
        if coding.nms == "per_class":
            at = at[suppress(corners_A4[at], coding.nms_iou)]
        yield Boxes(corners_A4[at], scores_AC[at, index], np.full(len(at), index, np.int64))


def _taken(boxes: Boxes, places: NDArray[np.int64]) -> Boxes:
    return Boxes(boxes.corners_B4[places], boxes.scores_B[places], boxes.classes_B[places])
