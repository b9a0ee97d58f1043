"""From the network's square to the image and back. B boxes, corners (x0, y0, x1, y1)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from compress.data.transforms import Placement
from compress.detect.answers import Boxes

Floats = NDArray[np.float32]


def in_image(boxes: Boxes, place: Placement) -> Boxes:
    """Return boxes in shares of the square as boxes in pixels of the upright image, cut at its sides."""
    origin, scale = _origin_and_scale(place)
    pixels_B4 = np.clip(boxes.corners_B4.astype(np.float64) * scale + origin, 0, place.size * 2)
    return replace(boxes, corners_B4=pixels_B4.astype(np.float32))


def in_square(corners_B4: Floats, place: Placement) -> Floats:
    """Return boxes in pixels of the upright image as shares of the square; they may reach beyond 0..1."""
    origin, scale = _origin_and_scale(place)
    return ((corners_B4 - origin) / scale).astype(np.float32)


def _origin_and_scale(place: Placement) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    origin = np.array((place.left, place.top) * 2, dtype=np.float64)
    return origin, np.array((place.width, place.height) * 2, dtype=np.float64)
