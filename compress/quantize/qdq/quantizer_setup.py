"""Which tensors of a float graph are quantized, and which must share one range.

A tensor between a layer and its own ReLU is not quantized: integer kernels clamp while they store. A tensor between two
nodes that stay float is not quantized either.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx

from compress.errors import UsageError
from compress.graph.bounds import node_bounds
from compress.graph.operators import CLIP, CURVES, FUSED, FUSES, HARD_SWISH, KEEPS_GRID, UNIT, WEIGHTED
from compress.graph.proto import Consumers, attributes_of, constants_of, consumers_of

GATED = "GatedHardSwish"  # the curve of `rewrites.gate_hard_swish`


@dataclass(frozen=True)
class RangeGroup:
    """Tensors that share one range.

    Attributes:
        tensors: their names, in graph order.
        unit: whether the range is fixed at 0..1.
        curve: what all consumers apply: HardSwishMode, HardSigmoid, GatedHardSwish, or None.
        most: largest value that can occur, where a Clip says so.
    """

    tensors: tuple[str, ...]
    unit: bool
    curve: str | None
    most: float = math.inf


def range_groups(model: onnx.ModelProto, floats: Collection[str] = ()) -> tuple[RangeGroup, ...]:
    """Return the groups of quantized tensors in graph order, the inputs' first.

    Args:
        model: the float model.
        floats: names of the nodes that stay float, see `with_activations`.
    """
    graph = model.graph
    constants = constants_of(model.graph)
    nodes = [node for node in graph.node if node.op_type != "Constant"]
    consumers = consumers_of(model.graph)
    tensors = [value.name for value in graph.input if not _all_float(consumers[value.name], floats)]
    for node in nodes:
        name = node.output[0]
        between_floats = node.name in floats and _all_float(consumers[name], floats)
        if not _is_fused(node, consumers[name]) and not between_floats:
            tensors.append(name)
    leader = {name: name for name in tensors}
    for node in nodes:
        if node.op_type in KEEPS_GRID:
            _join(leader, node.input[0], node.output[0])
        elif node.op_type == "Concat":
            for name in node.input:
                _join(leader, name, node.output[0])
    unit = {node.output[0] for node in nodes if node.op_type in UNIT}
    most = {node.output[0]: node_bounds(node, constants)[1] for node in nodes if node.op_type == CLIP}
    members: dict[str, list[str]] = defaultdict(list)
    for name in tensors:
        if name not in constants:
            members[_leader(leader, name)].append(name)
    return tuple(
        RangeGroup(
            tuple(names),
            bool(unit & set(names)),
            _curve(names, consumers),
            max(most.get(name, math.inf) for name in names),
        )
        for names in members.values()
    )


def block_ends(model: onnx.ModelProto) -> frozenset[str]:
    """Return the tensors at which a block of the network ends: after sums, joins, and layers without activation.

    A tensor that an activation or a gate reads is inside a block. The graph's outputs are always among them.
    """
    constants, consumers = constants_of(model.graph), consumers_of(model.graph)
    ends = {value.name for value in model.graph.output}
    for node in model.graph.node:
        name = node.output[0]
        readers = consumers[name]
        if _is_fused(node, readers):
            readers, name = consumers[readers[0].output[0]], readers[0].output[0]
        linear = node.op_type in WEIGHTED and name == node.output[0]
        joins = node.op_type == "Concat" or (node.op_type == "Add" and not any(n in constants for n in node.input))
        if joins or (linear and not any(reader.op_type in {*CURVES, *UNIT, "Mul", CLIP} for reader in readers)):
            ends.add(name)
    return frozenset(ends)


def matching_nodes(model: onnx.ModelProto, patterns: Collection[str]) -> tuple[str, ...]:
    """Return the names of the nodes that match any of the patterns (`*` and `?` as in file names).

    Raises:
        UsageError: a pattern matches no node.
    """
    names = [node.name for node in model.graph.node if node.op_type != "Constant"]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            near = difflib.get_close_matches(pattern, names, n=3)
            hint = f"did you mean {', '.join(near)}?" if near else "`imgc quantize --sensitivity` lists the layers"
            raise UsageError(f"exclude: no layer of the model matches '{pattern}'", hint=hint)
    return tuple(name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns))


def with_activations(model: onnx.ModelProto, names: Collection[str]) -> frozenset[str]:
    """Return node names together with the activation that is fused into each, since the two are one layer."""
    consumers = consumers_of(model.graph)
    chosen = set(names)
    for node in model.graph.node:
        if node.name in chosen and _is_fused(node, consumers[node.output[0]]):
            chosen.add(consumers[node.output[0]][0].name)
    return frozenset(chosen)


def swish_stem(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the first Conv, of the HardSwish behind it, and of a depthwise Conv behind that.

    Few channels on large images: int8 gains little time there, and of what MobileNetV3 loses in int8 most is lost
    there. Empty where no HardSwish follows the first Conv.
    """
    consumers = consumers_of(model.graph)
    first = next((node for node in model.graph.node if node.op_type == "Conv"), None)
    behind = consumers[first.output[0]] if first is not None else []
    if first is None or [node.op_type for node in behind] != [HARD_SWISH]:
        return ()
    second = consumers[behind[0].output[0]]
    depthwise = [node.name for node in second if node.op_type == "Conv" and attributes_of(node).get("group", 1) > 1]
    return (first.name, behind[0].name, *(depthwise if len(second) == 1 else ()))


def _all_float(nodes: Sequence[onnx.NodeProto], floats: Collection[str]) -> bool:
    return all(node.name in floats for node in nodes)


def _is_fused(node: onnx.NodeProto, consumers: Sequence[onnx.NodeProto]) -> bool:
    return node.op_type in FUSES and len(consumers) == 1 and consumers[0].op_type in FUSED


def _curve(names: list[str], consumers: Consumers) -> str | None:
    readers = [node for name in names for node in consumers[name]]
    ops = {node.op_type for node in readers}
    if len(ops) == 1 and ops <= CURVES:
        return ops.pop()
    return GATED if _is_gated(readers, consumers) else None


def _is_gated(readers: list[onnx.NodeProto], consumers: Consumers) -> bool:
    """Return whether a tensor is read by an addition, and by the product with what that becomes after a Clip."""
    if sorted(node.op_type for node in readers) != ["Add", "Mul"]:
        return False
    add, mul = sorted(readers, key=lambda node: node.op_type)
    clips = consumers[add.output[0]]
    return len(clips) == 1 and clips[0].op_type == CLIP and clips[0].output[0] in mul.input


def _leader(leader: dict[str, str], name: str) -> str:
    while leader[name] != name:
        name = leader[name]
    return name


def _join(leader: dict[str, str], first: str, second: str) -> None:
    """Let two tensors share a range where both are quantized."""
    if first in leader and second in leader:
        leader[_leader(leader, second)] = _leader(leader, first)
