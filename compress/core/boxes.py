"""`BoxCoding`: how a detector's numbers become boxes, as data. It travels inside every artifact.

The arithmetic is in `compress.detect`, once.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(ge=1e-6, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]

MAX_ANCHORS = 100_000
BOXES, LOGITS = "boxes", "logits"  # a detector's outputs in every file: its raw numbers
# what post-processing inside a file adds, called as by TensorFlow's detectors
DETECTIONS = ("detection_boxes", "detection_classes", "detection_scores", "num_detections")


class AnchorMap(BaseModel):
    """The anchors of one feature map: at the centre of each cell, one of each size.

    They are numbered row by row, cell by cell, size by size.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int = Field(ge=1, le=1024, description="Cells of the feature map from top to bottom.")
    columns: int = Field(ge=1, le=1024, description="Cells of the feature map from left to right.")
    sizes: tuple[tuple[Positive, Positive], ...] = Field(
        min_length=1, max_length=64, description="Width and height of each anchor, as shares of the image's sides."
    )


class BoxCoding(BaseModel):
    """How raw boxes [N, A, 4] and scores [N, A, K] become labelled boxes.

    A raw box is an offset from its anchor (Liu et al. 2016, SSD, section 2.2): the centre in units of the anchor's
    size, and the logarithm of the size over the anchor's, each times its entry of `scales`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    maps: tuple[AnchorMap, ...] = Field(min_length=1, max_length=32, description="Anchors, feature map by feature map.")
    scales: tuple[Positive, Positive, Positive, Positive] = Field(
        default=(10.0, 10.0, 5.0, 5.0),
        description="Factors of the raw offsets of x, y, width and height: the inverse of SSD's variances.",
    )
    order: Literal["xywh", "yxhw"] = Field(
        default="xywh", description="Order of the four numbers: `xywh` (torchvision) or `yxhw` (TensorFlow)."
    )
    background: Literal["first", "none"] = Field(
        default="first", description="Whether the first score is that of the background: `first`, or `none` is."
    )
    activation: Literal["softmax", "sigmoid", "none"] = Field(
        default="softmax",
        description="What makes a class's score of the raw ones: `softmax` over all, `sigmoid`, or `none` where they "
        "are scores already.",
    )
    score_threshold: Share = Field(default=0.3, description="Boxes of a lower score are left out, 0..1.")
    nms: Literal["per_class", "all"] = Field(
        default="per_class", description="Whether boxes suppress boxes of their own class (`per_class`) or of `all`."
    )
    nms_iou: Share = Field(
        default=0.5, description="A box is left out where a better one covers it by more than this IoU, 0..1."
    )
    max_candidates: int = Field(
        default=400, ge=1, le=10_000, description="Best boxes of each class that suppression looks at."
    )
    max_boxes: int = Field(default=100, ge=1, le=10_000, description="Most boxes of an image, the best ones.")

    @model_validator(mode="after")
    def _check(self) -> BoxCoding:
        if self.anchors > MAX_ANCHORS:
            raise ValueError(f"{self.anchors} anchors are more than {MAX_ANCHORS}")
        return self

    @property
    def anchors(self) -> int:
        """Return A, the number of anchors."""
        return sum(one.rows * one.columns * len(one.sizes) for one in self.maps)

    def columns(self, num_classes: int) -> int:
        """Return K, the scores of each anchor, for a number of classes."""
        return num_classes + (self.background == "first")


def ssd_sizes(scale: float, next_scale: float, ratios: tuple[float, ...]) -> tuple[tuple[float, float], ...]:
    """Return the anchor sizes of one feature map as torchvision's `DefaultBoxGenerator` has them.

    A square of `scale`, one of the geometric mean of it and the next map's, then for each ratio r the anchors of
    (scale * sqrt(r), scale / sqrt(r)) and the other way round (Liu et al. 2016, SSD, section 2.2).
    """
    between = math.sqrt(scale * next_scale)
    pairs = [(scale, scale), (between, between)]
    for ratio in ratios:
        long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
        pairs += [(long, short), (short, long)]
    return tuple((min(width, 1.0), min(height, 1.0)) for width, height in pairs)


def ssd_coding(
    grids: tuple[tuple[int, int], ...],
    *,
    smallest: float = 0.2,
    largest: float = 0.95,
    ratios: tuple[float, ...] = (2.0, 3.0),
) -> BoxCoding:
    """Return the coding of an SSD over feature maps of these (rows, columns), scales evenly spread between two.

    The defaults are those of torchvision's `ssdlite320_mobilenet_v3_large`.
    """
    count = len(grids)
    steps = max(1, count - 1)
    scales = [smallest + (largest - smallest) * index / steps for index in range(count)] + [1.0]
    maps = [
        AnchorMap(rows=rows, columns=columns, sizes=ssd_sizes(scales[index], scales[index + 1], ratios))
        for index, (rows, columns) in enumerate(grids)
    ]
    return BoxCoding(maps=tuple(maps))
