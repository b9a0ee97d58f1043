"""Which of the formats a folder of images with boxes is in, and its listing."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from compress.core.stage import Reporter
from compress.data.coco import is_coco, list_coco
from compress.data.listing import Listing
from compress.data.voc import is_voc, list_voc
from compress.data.yolo import is_yolo, list_yolo

BoxKind = Literal["coco", "voc", "yolo"]
_LISTINGS = {"coco": list_coco, "voc": list_voc, "yolo": list_yolo}


def kind_of(folder: Path) -> BoxKind | None:
    """Return the format of a folder of images with boxes; None where it has none of them."""
    if is_coco(folder):
        return "coco"
    if is_yolo(folder):
        return "yolo"
    return "voc" if is_voc(folder) else None


def list_boxes(kind: BoxKind, folder: Path, reporter: Reporter) -> tuple[Listing, tuple[str, ...]]:
    """Return the images of each split with their boxes, and the class names; errors as each format raises them."""
    return _LISTINGS[kind](folder, reporter)
