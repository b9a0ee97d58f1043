"""Augmentation of one image with its boxes, by torchvision's transforms (v2)."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from compress.engine.detection.options import DetectOptions

_GREY = 128


def augmented(
    pixels_SSC: Tensor, corners_B4: Tensor, classes_B: Tensor, options: DetectOptions, side_px: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Return an image as a network may see it, with the boxes that are left in it; draws from torch's generator.

    Args:
        pixels_SSC: uint8, the whole image squashed to a square.
        corners_B4: of its boxes, shares of the square.
        classes_B: of its boxes.
        options: how likely each change is.
        side_px: of the image that comes out.

    Returns:
        uint8 [3, side, side], corners in shares of it, classes.
    """
    side = len(pixels_SSC)
    boxes = tv_tensors.BoundingBoxes(corners_B4 * side, format="XYXY", canvas_size=(side, side))
    image = tv_tensors.Image(pixels_SSC.permute(2, 0, 1))
    transform = _transform(options, side_px, bool(len(classes_B)))
    seen, found = transform(image, {"boxes": boxes, "labels": classes_B})
    return seen.as_subclass(Tensor), found["boxes"].as_subclass(Tensor) / side_px, found["labels"]


@lru_cache(maxsize=8)
def _transform(options: DetectOptions, side_px: int, has_boxes: bool) -> v2.Transform:
    steps: list[v2.Transform] = []
    if options.photometric:
        steps.append(v2.RandomPhotometricDistort(p=options.photometric))
    if options.zoom_out:
        steps.append(v2.RandomZoomOut(fill=_GREY, side_range=(1.0, options.zoom_out_most), p=options.zoom_out))
    if options.iou_crop and has_boxes:
        steps.append(v2.RandomApply([v2.RandomIoUCrop(min_scale=0.5)], p=options.iou_crop))
    if options.flip == "horizontal":
        steps.append(v2.RandomHorizontalFlip())
    steps.append(v2.Resize((side_px, side_px), antialias=True))
    if has_boxes:
        steps.append(v2.ClampBoundingBoxes())  # the resize rounds a box at the edge to a bit beyond, and it would go
        steps.append(v2.SanitizeBoundingBoxes(min_size=2))
    return v2.Compose(steps)
