"""What there is to know of each architecture before it is built; no torch needed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArchFacts:
    """An architecture with 1000 classes at the input it was designed for.

    Attributes:
        input_px: side of its square input.
        params: number of parameters.
        macs: multiply-accumulates of one image.
        relative_time: of one image by its float ONNX file, over that of mobilenet_v3_small: ONNX Runtime 1.32.0, one
            thread, Intel Xeon with AVX512-VNNI at 1.2 to 1.9 times its best pace, medians, all in one run of
            `imgc benchmark files ... --quick` on 2026-11-30 (n = 1). On another machine the order is much the same.
        weights: the library that publishes ImageNet weights, None where nobody does.
    """

    input_px: int
    params: int
    macs: int
    relative_time: float
    weights: str | None


ARCH_FACTS = {
    "mobilenet_v3_small": ArchFacts(224, 2542856, 56510400, 1, "torchvision"),
    "mobilenet_v3_large": ArchFacts(224, 5483032, 216589760, 3.1, "torchvision"),
    "squeezenet1_0": ArchFacts(224, 1248424, 818924576, 6.1, "torchvision"),
    "squeezenet1_1": ArchFacts(224, 1235496, 349151936, 2.8, "torchvision"),
    "tf_mobilenetv3_small_075": ArchFacts(224, 2041872, 43399344, 0.85, "timm"),
    "tf_mobilenetv3_small_100": ArchFacts(224, 2542856, 56510400, 1, "timm"),
    "mobilenetv2_100": ArchFacts(224, 3504872, 300774272, 3.6, "timm"),
    "mobilenetv2_100_same": ArchFacts(224, 3504872, 300774272, 3.6, None),
    "tf_efficientnet_lite0": ArchFacts(224, 4652008, 385187552, 4.4, "timm"),
    "tf_efficientnet_lite1": ArchFacts(240, 5416680, 600185232, 6.7, "timm"),
    "tf_efficientnet_lite2": ArchFacts(260, 6092072, 859736272, 9, "timm"),
    "tf_efficientnet_lite3": ArchFacts(300, 8197096, 1607554544, 16, "timm"),
    "tf_efficientnet_lite4": ArchFacts(380, 13006568, 3943564112, 36, "timm"),
    "tiny": ArchFacts(96, 492936, 22286848, 0.33, None),
}
