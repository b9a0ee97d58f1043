"""Target profiles: what a runtime wants of a quantized model. Data only: recipes are planned without a backend."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from compress.core.formats import Format
from compress.graph.operators import ISLANDS

TargetName = Literal["cpu-xnnpack", "ort-x86", "ort-arm", "mcu"]
Activation = Literal["uint8", "int8"]
HardSwishMode = Literal["float", "gate", "relu6_early", "relu6"]
Stem = Literal["float", "int8"]


@dataclass(frozen=True)
class Target:
    """A runtime on a kind of machine.

    Attributes:
        name: as recipes give it.
        runs: the format that it runs; its speed is measured with that file.
        float_ops: ONNX ops that may compute in float inside the int8 model; None allows all.
        activation: type of the activations in ONNX that is fast there.
        activation_fixed: whether the other type is refused; TFLite files are int8 whichever the ONNX file has.
        hard_swish: `float` where an island of floats costs little, `gate` where integers are wanted.
        integer_ends: whether image and logits must be integers too.
        opsets: least and greatest version of the ONNX operator set.
        machines: `platform.machine()` of hosts where a measurement says something about the target; empty for none.
    """

    name: TargetName
    runs: Format
    float_ops: frozenset[str] | None
    activation: Activation
    activation_fixed: bool
    hard_swish: HardSwishMode
    integer_ends: bool
    opsets: tuple[int, int]
    machines: frozenset[str]


_X86 = frozenset({"x86_64", "amd64"})
_ARM = frozenset({"aarch64", "arm64"})
# opset 13 brought scales per channel; 21 is the newest whose blocks, int4 and such the lowering refuses by name
TARGETS: dict[TargetName, Target] = {
    target.name: target
    for target in (
        Target("cpu-xnnpack", Format.TFLITE, ISLANDS, "int8", False, "float", False, (13, 21), _X86 | _ARM),
        Target("ort-x86", Format.ONNX, None, "uint8", True, "gate", False, (13, 23), _X86),
        Target("ort-arm", Format.ONNX, None, "int8", True, "float", False, (13, 23), _ARM),
        Target("mcu", Format.TFLITE, frozenset(), "int8", False, "gate", True, (13, 21), frozenset()),
    )
}
TARGET_NAMES: tuple[TargetName, ...] = get_args(TargetName)
