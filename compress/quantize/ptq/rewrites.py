"""Rewrites of the float graph that let integers do the work; each keeps the outputs, but for `relu6_for_hard_swish`.

They change values by no more than float rounding, so that a rewritten graph is held against the original by a test.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import helper, numpy_helper

from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, WEIGHTED
from compress.graph.proto import attributes_of, constants_of

# hard-swish(x) = x * relu6(x + 3) / 6. With u = x / sqrt(6) it is u * clip(u + 3 / sqrt(6), 0, sqrt(6)): the layer that
# makes x takes the factor into its weights, and an addition and a product are left, both of which integers can do.
GATE_TOP = math.sqrt(6.0)
GATE_SHIFT = 3.0 / math.sqrt(6.0)


@dataclass
class Rewriting:
    """A copy of a model, its constants, and the nodes it is going to have.

    Attributes:
        model: the copy.
        constants: by name.
        makers: the node that makes each tensor.
        reads: how often each tensor is read, as the graph's output too.
        nodes: those that `finish` writes.
        rewritten: how many places a rewrite has changed.
    """

    model: onnx.ModelProto
    constants: dict[str, np.ndarray]
    makers: dict[str, onnx.NodeProto]
    reads: Counter[str]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    rewritten: int = 0

    @staticmethod
    def of(model: onnx.ModelProto) -> Rewriting:
        """Return the start of a rewrite."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        makers = {node.output[0]: node for node in copy.graph.node}
        reads = Counter(name for node in copy.graph.node for name in node.input)
        reads.update(output.name for output in copy.graph.output)
        return Rewriting(copy, constants_of(copy.graph), makers, reads)

    def layer_before(self, name: str) -> onnx.NodeProto | None:
        """Return the Conv or Gemm that makes a tensor which nothing else reads, whose weights nothing else uses."""
        maker = self.makers.get(name)
        if maker is None or maker.op_type not in WEIGHTED or self.reads[name] != 1 or len(maker.input) < 3:
            return None
        return maker if all(self.reads[weight] == 1 for weight in maker.input[1:]) else None

    def scale_layer(self, layer: onnx.NodeProto, factor: float, shift: float = 0.0) -> None:
        """Let a layer's output be `factor` times what it was, plus `shift`."""
        weight, bias = layer.input[1], layer.input[2]
        self.constants[weight] = (self.constants[weight] * np.float64(factor)).astype(np.float32)
        self.constants[bias] = (self.constants[bias] * np.float64(factor) + shift).astype(np.float32)

    def constant(self, name: str, value: float) -> str:
        """Add a number; return its name."""
        self.constants[name] = np.array(value, np.float32)
        return name

    def finish(self) -> onnx.ModelProto:
        """Return the copy with the new nodes and the constants that they read."""
        graph = self.model.graph
        nodes = [
            onnx.NodeProto.FromString(node.SerializeToString()) for node in self.nodes if node.op_type != "Constant"
        ]
        used = {name for node in nodes for name in node.input}
        del graph.node[:], graph.initializer[:], graph.value_info[:]
        graph.node.extend(nodes)
        graph.initializer.extend(numpy_helper.from_array(a, n) for n, a in self.constants.items() if n in used)
        return self.model


def fold_hard_sigmoid(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[onnx.ModelProto, int]:
    """Return the model with HardSigmoid as Clip(0, 1) of a layer that took over its slope and shift, and how many.

    On a grid of 0..1 the clip costs nothing: integers saturate there. HardSigmoid after anything but a layer of its
    own stays.
    """
    graph = Rewriting.of(model)
    for node in graph.model.graph.node:
        layer = graph.layer_before(node.input[0]) if node.op_type == HARD_SIGMOID and node.name not in keep else None
        if layer is None:
            graph.nodes.append(node)
            continue
        attributes = attributes_of(node)
        graph.scale_layer(layer, attributes.get("alpha", 0.2), attributes.get("beta", 0.5))
        bounds = [graph.constant("unit_low", 0.0), graph.constant("unit_high", 1.0)]
        graph.nodes.append(helper.make_node(CLIP, [node.input[0], *bounds], [node.output[0]], node.name))
        graph.rewritten += 1
    return graph.finish(), graph.rewritten


def gate_hard_swish(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[onnx.ModelProto, int]:
    """Return the model with HardSwish as u * clip(u + 3 / sqrt(6), 0, sqrt(6)), and how many; see `GATE_TOP`.

    HardSwish after anything but a layer of its own stays, and so do the nodes named in `keep`.
    """
    graph = Rewriting.of(model)
    for node in graph.model.graph.node:
        layer = graph.layer_before(node.input[0]) if node.op_type == HARD_SWISH and node.name not in keep else None
        if layer is None:
            graph.nodes.append(node)
            continue
        graph.scale_layer(layer, 1.0 / GATE_TOP)
        u, y = node.input[0], node.output[0]
        bounds = [graph.constant("gate_low", 0.0), graph.constant("gate_high", GATE_TOP)]
        shift = graph.constant(f"{y}_shift", GATE_SHIFT)
        graph.nodes += [
            helper.make_node("Add", [u, shift], [f"{y}_shifted"], f"{node.name}_shifted"),
            helper.make_node(CLIP, [f"{y}_shifted", *bounds], [f"{y}_gate"], f"{node.name}_gate"),
            helper.make_node("Mul", [u, f"{y}_gate"], [y], node.name),
        ]
        graph.rewritten += 1
    return graph.finish(), graph.rewritten


def hard_swishes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return the names of the HardSwish nodes."""
    return tuple(node.name for node in model.graph.node if node.op_type == HARD_SWISH)


def early_hard_swishes(model: onnx.ModelProto) -> tuple[str, ...]:
    """Return those before the first pooling or strided layer behind the stem: the largest images, the most time.

    The stem is the first Conv; what it makes is the resolution that counts as early.
    """
    nodes = list(model.graph.node)
    convs = [index for index, node in enumerate(nodes) if node.op_type == "Conv"]
    later = [index for index in convs[1:] if max(attributes_of(nodes[index]).get("strides", [1])) > 1]
    pools = [index for index, node in enumerate(nodes) if node.op_type in ("MaxPool", "AveragePool")]
    end = min([*later, *pools], default=len(nodes))
    return tuple(node.name for node in nodes[:end] if node.op_type == HARD_SWISH)


def relu6_for_hard_swish(model: onnx.ModelProto, names: Collection[str]) -> tuple[onnx.ModelProto, int]:
    """Return the model with the HardSwish nodes of these names as ReLU6, and how many.

    Its outputs are others: it has to be trained again, best by distillation from the model as it was.
    """
    graph = Rewriting.of(model)
    for node in graph.model.graph.node:
        if node.op_type == HARD_SWISH and node.name in names:
            bounds = [graph.constant("relu6_low", 0.0), graph.constant("relu6_high", 6.0)]
            graph.nodes.append(helper.make_node(CLIP, [node.input[0], *bounds], [node.output[0]], node.name))
            graph.rewritten += 1
        else:
            graph.nodes.append(node)
    return graph.finish(), graph.rewritten
