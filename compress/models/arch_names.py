"""The names a recipe may give as `arch:`, without importing torch."""

from __future__ import annotations

ARCH_NAMES: tuple[str, ...] = (
    "mobilenet_v3_small",
    "mobilenet_v3_large",
    "squeezenet1_0",
    "squeezenet1_1",
    "tf_mobilenetv3_small_100",
    "mobilenetv2_100",
    "mobilenetv2_100_same",
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite1",
    "tf_efficientnet_lite2",
    "tf_efficientnet_lite3",
    "tf_efficientnet_lite4",
    "tiny",
)
