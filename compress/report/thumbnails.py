"""Images small enough to stand in a page: data URIs."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from compress.data.decode import BadImageError, decode, decode_sized
from compress.detect.answers import Boxes
from compress.detect.draw import drawn

_SIDE_PX, _DRAWN_SIDE_PX = 160, 240
_QUALITY = 70


def thumbnail(path: Path) -> str | None:
    """Return the image as a JPEG of at most 160 pixels a side in a data URI; None if it cannot be read."""
    try:
        image = decode(path, draft_px=_SIDE_PX)
    except BadImageError:
        return None
    image.thumbnail((_SIDE_PX, _SIDE_PX))
    return _data_uri(image)


def drawn_thumbnails(path: Path, answers: Sequence[Boxes], labels: Mapping[int, str]) -> list[str] | None:
    """Return the image once for each answer, its boxes drawn, of at most 240 pixels a side; None if it cannot be read.

    Args:
        path: the image.
        answers: boxes in pixels of the upright image, best first.
        labels: class index -> name.
    """
    try:
        image, size = decode_sized(path, draft_px=_DRAWN_SIDE_PX)
    except BadImageError:
        return None
    image.thumbnail((_DRAWN_SIDE_PX, _DRAWN_SIDE_PX))
    scale = (np.array(image.size * 2) / np.array(size * 2)).astype(np.float32)
    return [_data_uri(drawn(image, replace(boxes, corners_B4=boxes.corners_B4 * scale), labels)) for boxes in answers]


def _data_uri(image: Image.Image) -> str:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
