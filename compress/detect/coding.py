"""Anchors, and boxes to offsets from them and back. A anchors."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from compress.core.boxes import BoxCoding

Floats = NDArray[np.float32]

# A raw size beyond this would be exp() of anything; torchvision's BoxCoder has the same bound.
MAX_LOG_SIZE = math.log(1000.0 / 16.0)
_ORDERS = {"xywh": (0, 1, 2, 3), "yxhw": (1, 0, 3, 2)}
Y_FIRST = (1, 0, 3, 2)  # of x, y, width, height; and back


class CodingYFirst(NamedTuple):
    """A coding for operators that take y, x, height, width, as TensorFlow's and ONNX's do.

    Attributes:
        columns: where these four stand in a raw box.
        anchors_A4: f32, centre and size, shares of the square.
        scales_4: f32, factors of the raw offsets.
    """

    columns: tuple[int, ...]
    anchors_A4: Floats
    scales_4: Floats


@lru_cache(maxsize=16)
def anchors_of(coding: BoxCoding) -> Floats:
    """Return the anchors as (centre x, centre y, width, height), shares of the square, f32 [A, 4], read-only."""
    parts = []
    for one in coding.maps:
        y, x = np.mgrid[0 : one.rows, 0 : one.columns].astype(np.float64)
        centres = np.stack([(x + 0.5) / one.columns, (y + 0.5) / one.rows], axis=-1).reshape(-1, 1, 2)
        sizes = np.array(one.sizes, dtype=np.float64)[None]
        cells, count = len(centres), sizes.shape[1]
        pairs = np.concatenate(
            [np.broadcast_to(centres, (cells, count, 2)), np.broadcast_to(sizes, (cells, count, 2))], axis=2
        )
        parts.append(pairs.reshape(-1, 4))
    anchors_A4 = np.concatenate(parts).astype(np.float32)
    anchors_A4.flags.writeable = False
    return anchors_A4


def corners(centred: Floats) -> Floats:
    """Return (centre x, centre y, width, height) [..., 4] as corners."""
    half = centred[..., 2:] / 2
    return np.concatenate([centred[..., :2] - half, centred[..., :2] + half], axis=-1)


def encode(boxes_A4: Floats, coding: BoxCoding) -> Floats:
    """Return what a network should answer, f32 [A, 4], for the box (corners, with area) that each anchor is to find."""
    anchors_A4 = anchors_of(coding)
    size_A2 = boxes_A4[:, 2:] - boxes_A4[:, :2]
    centre_A2 = (boxes_A4[:, :2] + boxes_A4[:, 2:]) / 2
    offset_A2 = (centre_A2 - anchors_A4[:, :2]) / anchors_A4[:, 2:]
    raw_A4 = np.concatenate([offset_A2, np.log(size_A2 / anchors_A4[:, 2:])], axis=1) * _scales(coding)
    return np.asarray(raw_A4[:, _ORDERS[coding.order]], dtype=np.float32)


def decode(raw_NA4: Floats, coding: BoxCoding) -> Floats:
    """Return the boxes of raw answers as corners, f32 [N, A, 4]: shares of the square, cut at its sides."""
    anchors_A4 = anchors_of(coding)
    offsets = raw_NA4[..., _ORDERS[coding.order]] / _scales(coding)
    centre = offsets[..., :2] * anchors_A4[:, 2:] + anchors_A4[:, :2]
    size = np.exp(np.minimum(offsets[..., 2:], np.float32(MAX_LOG_SIZE))) * anchors_A4[:, 2:]
    return np.clip(corners(np.concatenate([centre, size], axis=-1)), 0, 1)


def y_first(coding: BoxCoding) -> CodingYFirst:
    """Return the coding in the order y, x, height, width."""
    order = list(Y_FIRST)
    columns = tuple(_ORDERS[coding.order][place] for place in order)
    return CodingYFirst(columns, anchors_of(coding)[:, order], _scales(coding)[order])


def _scales(coding: BoxCoding) -> Floats:
    return np.array(coding.scales, dtype=np.float32)
