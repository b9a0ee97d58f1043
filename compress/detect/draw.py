"""An image with its boxes drawn on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont

from compress.core.storage import atomic_path
from compress.detect.answers import Boxes

_HUES, _STEP = 12, 5  # around the circle; neighbours in number are far apart in colour
_UNIT_PX = 320  # of the longer side: lines and letters grow with the image
_QUALITY = 90


def drawn(image: Image.Image, boxes: Boxes, labels: Sequence[str] | Mapping[int, str]) -> Image.Image:
    """Return a copy with each box in the colour of its class, its label and score; the best one on top.

    Args:
        image: upright RGB.
        boxes: in its pixels, best first.
        labels: class names by index.
    """
    copy = image.copy()
    pen = ImageDraw.Draw(copy)
    unit = max(1.0, max(copy.size) / _UNIT_PX)
    font = ImageFont.load_default(size=11 * unit)
    rows = list(zip(boxes.corners_B4.tolist(), boxes.scores_B.tolist(), boxes.classes_B.tolist(), strict=True))
    for corners, score, index in reversed(rows):
        colour = ImageColor.getrgb(f"hsl({index * _STEP * 360 // _HUES % 360}, 90%, 45%)")
        pen.rectangle(corners, outline=colour, width=round(2 * unit))
        text, height = f"{labels[index]} {100 * score:.0f} %", 14 * unit
        width = pen.textlength(text, font=font) + 6 * unit
        top = corners[1] - height if corners[1] >= height else corners[1]  # the label stays inside the image
        left = max(0.0, min(corners[0], copy.width - 1 - width))
        pen.rectangle((left, top, left + width, top + height), fill=colour)
        pen.text((left + 3 * unit, top), text, fill="white", font=font)
    return copy


def write_drawn(folder: Path, name: str, image: Image.Image, boxes: Boxes, labels: Sequence[str]) -> Path:
    """Write `drawn` as `folder/NAME.jpg`, and as NAME-2.jpg where that is there already; return it.

    Raises:
        OSError: it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stem, number = Path(name.replace("\\", "/")).name or "image", 1
    stem = stem.rsplit(".", 1)[0] or stem
    path = folder / f"{stem}.jpg"
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.jpg"
    with atomic_path(path) as temporary:
        drawn(image, boxes, labels).save(temporary, "JPEG", quality=_QUALITY)
    return path
