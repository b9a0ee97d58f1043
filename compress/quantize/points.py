"""Which tensors of a float graph are quantized, and which must share one range.

A tensor between a layer and its own ReLU is not quantized: integer kernels clamp while they store.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import onnx

from compress.quantize.torch_graph import initializers_of

FUSED_ACTIVATIONS = ("Relu", "Clip")
FUSING_OPS = ("Conv", "Gemm", "Add")
# These ops move values and compute none, so that their output keeps the input's grid (TFLite asks for it).
MOVING_OPS = ("MaxPool", "Reshape", "Flatten", "Identity")
# The range of these is known before any picture is seen. In TFLite their output scale is 1/256.
UNIT_OPS = ("HardSigmoid", "Sigmoid", "Softmax")
CURVES = ("HardSwish", "HardSigmoid")  # what follows decides which errors matter


@dataclass(frozen=True)
class RangeGroup:
    """Tensors that share one range.

    Attributes:
        tensors: their names, in graph order.
        unit: whether the range is fixed at 0..1.
        curve: the op that all consumers apply, HardSwish or HardSigmoid, or None.
    """

    tensors: tuple[str, ...]
    unit: bool
    curve: str | None


def range_groups(model: onnx.ModelProto) -> tuple[RangeGroup, ...]:
    """Return the groups of quantized tensors in graph order, the input's first."""
    graph = model.graph
    constants = set(initializers_of(model))
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in node.input:
            consumers[name].append(node)
    tensors = [graph.input[0].name]
    tensors += [node.output[0] for node in nodes if not _is_fused(node, consumers[node.output[0]])]
    leader = {name: name for name in tensors}
    for node in nodes:
        if node.op_type in MOVING_OPS:
            _join(leader, node.input[0], node.output[0])
        elif node.op_type == "Concat":
            for name in node.input:
                _join(leader, name, node.output[0])
    unit = {node.output[0] for node in nodes if node.op_type in UNIT_OPS}
    members: dict[str, list[str]] = defaultdict(list)
    for name in tensors:
        if name not in constants:
            members[_leader(leader, name)].append(name)
    return tuple(
        RangeGroup(tuple(names), bool(unit & set(names)), _curve(names, consumers)) for names in members.values()
    )


def _is_fused(node: onnx.NodeProto, consumers: list[onnx.NodeProto]) -> bool:
    return node.op_type in FUSING_OPS and len(consumers) == 1 and consumers[0].op_type in FUSED_ACTIVATIONS


def _curve(names: list[str], consumers: dict[str, list[onnx.NodeProto]]) -> str | None:
    ops = {node.op_type for name in names for node in consumers[name]}
    return ops.pop() if len(ops) == 1 and ops <= set(CURVES) else None


def _leader(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        name = leader[name]
    return name


def _join(leader: dict[str, str], first: str, second: str) -> None:
    leader[_leader(leader, second)] = _leader(leader, first)
