"""torchvision's SSDLite on MobileNetV3-Large under its own names, so that its files of weights fit.

The network of `torchvision.models.detection.ssdlite320_mobilenet_v3_large` (Howard et al. 2019, section 6.3) without
its transform, its anchors and its post-processing: those are `Preprocess`, `BoxCoding` and `compress.detect`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from compress.models.archs import library
from compress.models.ssdlite import by_anchor

ANCHORS = 6  # of each cell, as its heads are built


class TorchvisionSsdLite(nn.Module):
    """images_NCHW -> (raw boxes [N, A, 4], logits [N, A, K])."""

    def __init__(self, scores: int) -> None:
        """Take backbone and heads of a fresh network.

        Args:
            scores: K.
        """
        super().__init__()
        detection: Any = library("torchvision").models.detection
        # without the backbone's own weights its tail is narrow, as that of the published COCO weights
        whole = detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=scores)
        self.backbone, self.head = whole.backbone, whole.head
        self.scores = scores

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw boxes and logits, anchors numbered row by row, cell by cell, size by size."""
        maps = list(self.backbone(images_NCHW).values())
        heads: Any = self.head
        boxes, scores = heads.regression_head.module_list, heads.classification_head.module_list
        raw_NA4 = [by_anchor(head(one), 4) for head, one in zip(boxes, maps, strict=True)]
        logits_NAK = [by_anchor(head(one), self.scores) for head, one in zip(scores, maps, strict=True)]
        return torch.cat(raw_NA4, dim=1), torch.cat(logits_NAK, dim=1)
