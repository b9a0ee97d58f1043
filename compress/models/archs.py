"""`ARCHS`: every architecture this project builds, by name, with what its published weights expect.

torchvision and timm are imported when a network is built, not when this module is (timm alone takes seconds).
All networks give logits [N, K] for images [N, 3, H, W].
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Interpolation
from compress.errors import UsageError, missing_backend

if TYPE_CHECKING:
    from torch import nn

BN_MOMENTUM = 0.1  # share of a new batch in the running statistics, torch's own default

Channels = tuple[float, float, float]
Entry = TypeVar("Entry")
HALF: Channels = (0.5, 0.5, 0.5)  # pixels to -1..1, as TensorFlow's own networks were trained

# The `tiny` network in timm's block language: ds = depthwise separable, ir = inverted residual; r repeats, k kernel,
# s stride, e expansion, c channels.
_TINY_BLOCKS = [
    ["ds_r1_k3_s1_e1_c16"],
    ["ir_r2_k3_s2_e4_c24"],
    ["ir_r3_k3_s2_e4_c40"],
    ["ir_r3_k3_s2_e4_c72"],
    ["ir_r1_k3_s1_e4_c96"],
]


@dataclass(frozen=True)
class ArchInfo:
    """An architecture and the preprocessing of its published weights.

    Attributes:
        build: number of classes -> freshly initialised network.
        mean: per channel, of values in 0..1.
        std: per channel, of values in 0..1.
        input_px: side of the square input it was designed for.
        interpolation: filter of the resize.
        crop_pct: crop side over resized short side.
        head: module name of the classifier, a Linear (SqueezeNet: a 1x1 Conv2d).
        stem: module name of the first convolution.
        imagenet: "torchvision" or "timm" if that library publishes ImageNet weights, else None.
    """

    build: Callable[[int], nn.Module]
    mean: Channels
    std: Channels
    input_px: int
    interpolation: Interpolation
    crop_pct: float
    head: str
    stem: str
    imagenet: Literal["torchvision", "timm"] | None


def entry_of(table: Mapping[str, Entry], name: str, what: str) -> Entry:
    """Return the entry of a table of networks.

    Args:
        table: name -> entry.
        name: which.
        what: what its entries are, such as "architecture".

    Raises:
        UsageError: no such entry; the hint names the nearest.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(name, table, n=1)
    raise UsageError(
        f"no {what} is called '{name}' (allowed: {', '.join(table)})", hint=f"did you mean '{near[0]}'?" if near else ""
    )


def library(name: str) -> Any:  # noqa: ANN401 - an untyped library
    """Return a module of a library that networks come from; BackendMissingError where it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_backend(name, "train") from error


def _torchvision_net(name: str, num_classes: int) -> nn.Module:
    network: nn.Module = library("torchvision.models").get_model(name, weights=None, num_classes=num_classes)
    layers: Any = import_module("torch.nn")
    for module in network.modules():
        if isinstance(module, layers.BatchNorm2d):
            # torchvision's MobileNetV3 has 0.01, made for hundreds of epochs: on a short schedule its running
            # statistics lag behind the weights (after 10 epochs from scratch on `defects` 32 % instead of 92 %).
            module.momentum = BN_MOMENTUM
    return network


def _timm_net(name: str, num_classes: int, **options: str) -> nn.Module:
    network: nn.Module = library("timm").create_model(name, pretrained=False, num_classes=num_classes, **options)
    return network


def _tiny_net(num_classes: int) -> nn.Module:
    """Return a narrow MobileNetV2 of 0.24 M parameters (Sandler 2018, inverted residuals).

    Made for int8: ReLU6 alone (bounded ranges, no hard-swish, no squeeze-and-excitation), TF "SAME" padding (no
    padding operator in TFLite), widths in multiples of 8, a 256-wide last convolution in place of 1280.
    """
    builder, efficientnet = library("timm.models._efficientnet_builder"), library("timm.models.efficientnet")
    layers: Any = import_module("torch.nn")
    network: nn.Module = efficientnet.EfficientNet(
        block_args=builder.decode_arch_def(_TINY_BLOCKS),
        num_classes=num_classes,
        num_features=256,
        stem_size=16,
        fix_stem=True,
        pad_type="same",
        act_layer=layers.ReLU6,
        drop_rate=0.1,
    )
    return network


def _torchvision_arch(name: str, *, head: str, stem: str) -> ArchInfo:
    return ArchInfo(
        build=partial(_torchvision_net, name),
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        input_px=224,
        interpolation="bilinear",
        crop_pct=0.875,
        head=head,
        stem=stem,
        imagenet="torchvision",
    )


def _lite(size: int, input_px: int, crop_pct: float) -> ArchInfo:
    name = f"tf_efficientnet_lite{size}"
    return ArchInfo(
        build=partial(_timm_net, name),
        mean=HALF,
        std=HALF,
        input_px=input_px,
        interpolation="bicubic" if size < 3 else "bilinear",
        crop_pct=crop_pct,
        head="classifier",
        stem="conv_stem",
        imagenet="timm",
    )


def _tf_mobilenet_v3(name: str) -> ArchInfo:
    return ArchInfo(
        build=partial(_timm_net, name),
        mean=HALF,
        std=HALF,
        input_px=224,
        interpolation="bilinear",
        crop_pct=0.875,
        head="classifier",
        stem="conv_stem",
        imagenet="timm",
    )


def _mobilenet_v2(build: Callable[[int], nn.Module], mean: Channels, std: Channels, *, published: bool) -> ArchInfo:
    return ArchInfo(
        build=build,
        mean=mean,
        std=std,
        input_px=224,
        interpolation="bicubic" if published else "bilinear",
        crop_pct=0.875,
        head="classifier",
        stem="conv_stem",
        imagenet="timm" if published else None,
    )


ARCHS: dict[str, ArchInfo] = {
    "mobilenet_v3_small": _torchvision_arch("mobilenet_v3_small", head="classifier.3", stem="features.0.0"),
    "mobilenet_v3_large": _torchvision_arch("mobilenet_v3_large", head="classifier.3", stem="features.0.0"),
    "squeezenet1_0": _torchvision_arch("squeezenet1_0", head="classifier.1", stem="features.0"),
    "squeezenet1_1": _torchvision_arch("squeezenet1_1", head="classifier.1", stem="features.0"),
    "tf_mobilenetv3_small_075": _tf_mobilenet_v3("tf_mobilenetv3_small_075"),
    "tf_mobilenetv3_small_100": _tf_mobilenet_v3("tf_mobilenetv3_small_100"),
    # timm's own weights: symmetric padding, ImageNet mean and standard deviation
    "mobilenetv2_100": _mobilenet_v2(
        partial(_timm_net, "mobilenetv2_100"), IMAGENET_MEAN, IMAGENET_STD, published=True
    ),
    # weights converted from TensorFlow: the same layers with SAME padding and inputs in -1..1
    "mobilenetv2_100_same": _mobilenet_v2(
        partial(_timm_net, "mobilenetv2_100", pad_type="same"), HALF, HALF, published=False
    ),
    "tf_efficientnet_lite0": _lite(0, 224, 0.875),
    "tf_efficientnet_lite1": _lite(1, 240, 0.882),
    "tf_efficientnet_lite2": _lite(2, 260, 0.890),
    "tf_efficientnet_lite3": _lite(3, 300, 0.904),
    "tf_efficientnet_lite4": _lite(4, 380, 0.920),
    "tiny": ArchInfo(
        build=_tiny_net,
        mean=HALF,
        std=HALF,
        input_px=96,
        interpolation="bilinear",
        crop_pct=1.0,  # small inputs have no border to give away
        head="classifier",
        stem="conv_stem",
        imagenet=None,
    ),
}
