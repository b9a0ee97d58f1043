"""`DETECTORS`: every detector this project builds, by name. All give (raw boxes [N, A, 4], logits [N, A, K])."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from torch import nn

from compress.core.boxes import BoxCoding, ssd_coding
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.errors import UsageError
from compress.models.archs import HALF, Channels, entry_of, library
from compress.models.ssdlite import EXTRA_WIDTHS, SsdLite, TimmBackbone
from compress.models.ssdlite_torchvision import TorchvisionSsdLite

_STRIDES = (16, 32)
DEFAULT_PX = 320
LEAST_PX, MOST_PX = 128, 1024


@dataclass(frozen=True)
class DetectorInfo(ABC):
    """A detector and how its images are prepared.

    Attributes:
        mean: per channel, of values in 0..1.
        std: per channel, of values in 0..1.
        backbone: name of the classifier whose weights fit its backbone; None where none do.
        has_published: whether timm publishes weights of this very backbone, its padding and mean included.
        heads: modules that weights of a backbone alone do not bring.
        stem: the first convolution.
    """

    mean: Channels = HALF
    std: Channels = HALF
    backbone: str | None = None
    has_published: bool = False
    heads: tuple[str, ...] = ("extra", "box_heads", "score_heads")
    stem: str = "backbone.conv_stem"

    @abstractmethod
    def build(self, coding: BoxCoding, num_classes: int) -> nn.Module:
        """Return the network, freshly initialised."""

    def output_layers(self, coding: BoxCoding) -> tuple[str, ...]:
        """Return the convolutions whose channels are anchors times numbers: no channel of them may go."""
        return tuple(f"{kind}.{index}.1" for kind in self.head_lists for index in range(len(coding.maps)))

    @property
    def head_lists(self) -> tuple[str, str]:
        """Return the lists of heads, one a map: of boxes, of scores."""
        return "box_heads", "score_heads"


@dataclass(frozen=True)
class TimmDetector(DetectorInfo):
    """SSDLite on a timm network.

    Attributes:
        tap: its stage whose first block has stride 32.
        widths: channels of the two maps that it shows.
        pad_type: timm's name of the padding, where it is not the network's own.
    """

    tap: int = 0
    widths: tuple[int, int] = (0, 0)
    pad_type: str | None = None

    def build(self, coding: BoxCoding, num_classes: int) -> nn.Module:
        """Return the network, freshly initialised."""
        padding = {} if self.pad_type is None else {"pad_type": self.pad_type}
        network = library("timm").create_model(self.backbone, pretrained=False, **padding)
        anchors = [len(one.sizes) for one in coding.maps]
        return SsdLite(TimmBackbone(network, self.tap), self.widths, anchors, coding.columns(num_classes))


@dataclass(frozen=True)
class TorchvisionDetector(DetectorInfo):
    """SSDLite on MobileNetV3-Large in torchvision's layout."""

    heads: tuple[str, ...] = ("head",)
    stem: str = "backbone.features.0.0.0"

    def build(self, coding: BoxCoding, num_classes: int) -> nn.Module:
        """Return the network, freshly initialised."""
        return TorchvisionSsdLite(coding.columns(num_classes))

    @property
    def head_lists(self) -> tuple[str, str]:
        """Return the lists of heads, one a map: of boxes, of scores."""
        return "head.regression_head.module_list", "head.classification_head.module_list"


DETECTORS: dict[str, DetectorInfo] = {
    "ssdlite_mobilenet_v3_small": TimmDetector(
        backbone="tf_mobilenetv3_small_100", tap=4, widths=(288, 576), has_published=True
    ),
    "ssdlite_mobilenet_v3_large": TorchvisionDetector(),
    "ssdlite_mobilenetv2": TimmDetector(backbone="mobilenetv2_100", tap=5, widths=(576, 1280), pad_type="same"),
}


def detector_info(arch: str) -> DetectorInfo:
    """Return the entry of `DETECTORS`.

    Raises:
        UsageError: no such detector; the hint names the nearest.
    """
    return entry_of(DETECTORS, arch, "detector")


def new_detector_spec(arch: str, labels: Sequence[str], input_px: int | None = None) -> ModelSpec:
    """Return the spec of a fresh detector with SSDLite's anchors.

    Args:
        arch: a key of `DETECTORS`.
        labels: class names in index order.
        input_px: side of the square input, `LEAST_PX` to `MOST_PX`; the whole image is stretched to it.

    Raises:
        UsageError: no such detector, or a side that is too small or too large.
    """
    info, side = detector_info(arch), DEFAULT_PX if input_px is None else input_px
    if not LEAST_PX <= side <= MOST_PX:
        raise UsageError(
            f"input_px {side}: a detector's is {LEAST_PX} to {MOST_PX} pixels", hint=f"{DEFAULT_PX} is usual"
        )
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
