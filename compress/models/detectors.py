"""`DETECTORS`: every detector this project builds, by name. All give (raw boxes [N, A, 4], logits [N, A, K])."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from torch import nn

from compress.core.boxes import BoxCoding, ssd_coding
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import UsageError
from compress.models.archs import HALF, Channels, library
from compress.models.ssdlite import EXTRA_WIDTHS, SsdLite, TimmBackbone

_STRIDES = (16, 32)
DEFAULT_PX = 320
LEAST_PX = 128


@dataclass(frozen=True)
class DetectorInfo:
    """A detector and how its images are prepared.

    Attributes:
        backbone: name of the timm network.
        tap: its stage whose first block has stride 32.
        widths: channels of the two maps that it shows.
        mean: per channel, of values in 0..1.
        std: per channel, of values in 0..1.
    """

    backbone: str
    tap: int
    widths: tuple[int, int]
    mean: Channels = HALF
    std: Channels = HALF

    def build(self, coding: BoxCoding, num_classes: int) -> nn.Module:
        """Return the network, freshly initialised."""
        options = {"pad_type": "same"} if self.backbone == "mobilenetv2_100" else {}
        network = library("timm").create_model(self.backbone, pretrained=False, **options)
        anchors = [len(one.sizes) for one in coding.maps]
        return SsdLite(TimmBackbone(network, self.tap), self.widths, anchors, coding.columns(num_classes))


DETECTORS: dict[str, DetectorInfo] = {
    "ssdlite_mobilenet_v3_small": DetectorInfo("tf_mobilenetv3_small_100", 4, (288, 576)),
    "ssdlite_mobilenetv2": DetectorInfo("mobilenetv2_100", 5, (576, 1280)),
}


def detector_info(arch: str) -> DetectorInfo:
    """Return the entry of `DETECTORS`.

    Raises:
        UsageError: no such detector; the hint names the nearest.
    """
    if arch in DETECTORS:
        return DETECTORS[arch]
    near = difflib.get_close_matches(arch, DETECTORS, n=1)
    raise UsageError(
        f"no detector is called '{arch}' (allowed: {', '.join(DETECTORS)})",
        hint=f"did you mean '{near[0]}'?" if near else "",
    )


def new_detector_spec(arch: str, labels: Sequence[str], input_px: int | None = None) -> ModelSpec:
    """Return the spec of a fresh detector with SSDLite's anchors.

    Args:
        arch: a key of `DETECTORS`.
        labels: class names in index order.
        input_px: side of the square input, `LEAST_PX` or more; the whole image is stretched to it.

    Raises:
        UsageError: no such detector, or a side that is too small.
    """
    info, side = detector_info(arch), input_px or DEFAULT_PX
    if side < LEAST_PX:
        raise UsageError(f"input_px {side}: a detector needs {LEAST_PX} or more", hint=f"{DEFAULT_PX} is usual")
    sides = [ceil(side / stride) for stride in _STRIDES]
    for _ in EXTRA_WIDTHS:
        sides.append(ceil(sides[-1] / 2))
    return ModelSpec(
        arch=arch,
        labels=tuple(labels),
        input_chw=(3, side, side),
        preprocess=Preprocess(resize_px=side, crop_px=side, fit="stretch", mean=info.mean, std=info.std),
        boxes=ssd_coding(tuple((one, one) for one in sides)),
    )
