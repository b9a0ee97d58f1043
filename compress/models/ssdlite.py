"""SSDLite: a backbone, narrower and narrower maps behind it, and a pair of separable heads on each map.

Sandler et al. 2018 (MobileNetV2), section 6.2, with Howard et al. 2019 (MobileNetV3), section 6.3: the first heads look
at the expansion of the first block of stride 32, the second at the last map of the backbone.

Letters: N images, A anchors, K scores of an anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

EXTRA_WIDTHS = (512, 256, 256, 128)
_EPS = 0.001  # of batch norms, as torchvision's SSDLite has it
_HEAD_STD = 0.03


class SsdLite(nn.Module):
    """images_NCHW -> (raw boxes [N, A, 4], logits [N, A, K])."""

    def __init__(self, backbone: nn.Module, widths: Sequence[int], anchors: Sequence[int], scores: int) -> None:
        """Put the heads on a backbone.

        Args:
            backbone: images_NCHW -> its two maps, of strides 16 and 32.
            widths: channels of those two.
            anchors: of each cell, map by map; two more than there are extra maps.
            scores: K.
        """
        super().__init__()
        self.backbone = backbone
        wider = [widths[-1], *EXTRA_WIDTHS]
        self.extra = nn.ModuleList(_extra(before, after) for before, after in pairwise(wider))
        every = [*widths, *EXTRA_WIDTHS]
        self.box_heads = nn.ModuleList(_head(width, 4 * a) for width, a in zip(every, anchors, strict=True))
        self.score_heads = nn.ModuleList(_head(width, scores * a) for width, a in zip(every, anchors, strict=True))
        self.scores = scores

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return raw boxes and logits, anchors numbered row by row, cell by cell, size by size."""
        maps = list(self.backbone(images_NCHW))
        for block in self.extra:
            maps.append(block(maps[-1]))
        raw_NA4 = [by_anchor(head(one), 4) for head, one in zip(self.box_heads, maps, strict=True)]
        logits_NAK = [by_anchor(head(one), self.scores) for head, one in zip(self.score_heads, maps, strict=True)]
        return torch.cat(raw_NA4, dim=1), torch.cat(logits_NAK, dim=1)


def by_anchor(answers_NCHW: Tensor, numbers: int) -> Tensor:
    """Return a head's map as [N, anchors of the map, numbers]; where channels come last it is no more than a view."""
    return answers_NCHW.permute(0, 2, 3, 1).reshape(answers_NCHW.shape[0], -1, numbers)


class TimmBackbone(nn.Module):
    """A MobileNet of timm without its classifier, under timm's names, that shows two maps of its inside."""

    def __init__(self, network: Any, tap: int) -> None:  # noqa: ANN401 - timm ships no types
        """Take the network's layers.

        Args:
            network: a timm `MobileNetV3` or `EfficientNet`.
            tap: the stage whose first block has stride 32; its expansion is the first map.
        """
        super().__init__()
        self.conv_stem, self.bn1, self.blocks = network.conv_stem, network.bn1, network.blocks
        self.has_last = hasattr(network, "bn2")  # an EfficientNet widens before it pools, a MobileNetV3 behind
        if self.has_last:
            self.conv_head, self.bn2 = network.conv_head, network.bn2
        self.tap = tap

    def forward(self, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Return the maps of stride 16 and of stride 32."""
        x = self.bn1(self.conv_stem(images_NCHW))
        blocks: Any = self.blocks
        for stage in blocks[: self.tap]:
            x = stage(x)
        first, *others = blocks[self.tap]
        wide = first.bn1(first.conv_pw(x))
        x = first.bn3(first.conv_pwl(first.se(first.bn2(first.conv_dw(wide)))))  # of stride 2: there is no shortcut
        for block in others:
            x = block(x)
        for stage in blocks[self.tap + 1 :]:
            x = stage(x)
        return wide, self.bn2(self.conv_head(x)) if self.has_last else x


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=_EPS)


def _block(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    nn.init.normal_(conv.weight, std=_HEAD_STD)
    return nn.Sequential(conv, _norm(outputs), nn.ReLU6(inplace=True))


def _extra(inputs: int, outputs: int) -> nn.Sequential:
    """Return what makes a map of half the side: narrow, filter each channel, widen."""
    middle = outputs // 2
    return nn.Sequential(
        _block(inputs, middle), _block(middle, middle, kernel=3, stride=2, groups=middle), _block(middle, outputs)
    )


def _head(inputs: int, outputs: int) -> nn.Sequential:
    last = nn.Conv2d(inputs, outputs, 1)
    nn.init.normal_(last.weight, std=_HEAD_STD)
    nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # it has one
    return nn.Sequential(_block(inputs, inputs, kernel=3, groups=inputs), last)
