"""Cross-layer equalisation: channels between two layers are brought to one size, where ReLU lets a factor through.

Shape suffixes: C channels between the layers.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx

from compress.graph.operators import RELU
from compress.graph.proto import Consumers, attributes_of, consumers_of
from compress.quantize.ptq.rewrites import Rewriting

_ROUNDS = 20  # a layer between two pairs is in both; the factors settle within a few rounds
_DEAD = 1e-3  # of the median channel's largest weight
_SETTLED = 1e-3  # largest change of a factor, as a share of it


def equalize(model: onnx.ModelProto, keep: Collection[str] = ()) -> tuple[onnx.ModelProto, int]:
    """Return the model with equal outputs whose channels differ less in size, and how many pairs of layers took part.

    Of Conv, ReLU, Conv the first layer's channel is divided by s and the second layer's inputs are multiplied by it,
    s = sqrt(r1 r2) / r2 with r the largest weight of the channel in each (Nagel et al. 2019, section 4.1, eq. 11).
    Several second layers count as one. ReLU6 lets no factor through: its limit would be another in each channel.

    Args:
        model: the float model.
        keep: names of nodes that stay as they are.
    """
    graph = Rewriting.of(model)
    pairs = _pairs(graph, consumers_of(model.graph), keep)
    for _ in range(_ROUNDS):
        if max((_balance(graph, first, seconds) for first, seconds in pairs), default=0.0) < _SETTLED:
            break
    graph.nodes.extend(graph.model.graph.node)
    return graph.finish(), len(pairs)


def _pairs(
    graph: Rewriting, consumers: Consumers, keep: Collection[str]
) -> list[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
    """Return first layers with all layers that read them through ReLU."""
    found = []
    for node in graph.model.graph.node:
        first = graph.layer_before(node.input[0]) if node.op_type == RELU else None
        seconds = consumers[node.output[0]]
        if first is None or first.op_type != "Conv" or {first.name, node.name} & set(keep):
            continue
        if seconds and all(_takes_factors(graph, second) and second.name not in keep for second in seconds):
            found.append((first, list(seconds)))
    return found


def _takes_factors(graph: Rewriting, node: onnx.NodeProto) -> bool:
    """Return whether a node is a Conv of its own weights, dense or depthwise with one filter a channel."""
    if node.op_type != "Conv" or graph.reads[node.input[1]] != 1 or node.input[1] not in graph.constants:
        return False
    weight = graph.constants[node.input[1]]
    return _groups(node) == 1 or _groups(node) == len(weight)


def _balance(graph: Rewriting, first: onnx.NodeProto, seconds: list[onnx.NodeProto]) -> float:
    """Bring the channels between layers to one size; returns the largest change of a factor, as a share of it."""
    weight, bias = first.input[1], first.input[2]
    range1_C = _largest(graph.constants[weight])
    range2_C = np.max([_largest(_by_input(graph, second)) for second in seconds], axis=0)
    alive_C = _alive(range1_C) & _alive(range2_C)
    factor_C = np.ones_like(range1_C)
    factor_C[alive_C] = np.sqrt(range1_C[alive_C] / range2_C[alive_C])  # sqrt(r1 r2) / r2
    graph.constants[weight] = _times(graph.constants[weight], 1.0 / factor_C)
    graph.constants[bias] = (graph.constants[bias] / factor_C).astype(np.float32)
    for second in seconds:
        scaled = _times(_by_input(graph, second), factor_C)
        depthwise = _groups(second) > 1
        graph.constants[second.input[1]] = scaled if depthwise else np.ascontiguousarray(scaled.swapaxes(0, 1))
    return float(np.abs(factor_C - 1.0).max())


def _alive(range_C: np.ndarray) -> np.ndarray:
    """Return which channels take part: one of almost no weights may have an ordinary bias, which would be blown up."""
    alive_C: np.ndarray = range_C > _DEAD * np.median(range_C)
    return alive_C


def _by_input(graph: Rewriting, node: onnx.NodeProto) -> np.ndarray:
    """Return a layer's weight with its input channels in front [C, ...]."""
    weight = graph.constants[node.input[1]]
    return weight if _groups(node) > 1 else weight.swapaxes(0, 1)


def _groups(node: onnx.NodeProto) -> int:
    return int(attributes_of(node).get("group", 1))


def _largest(weight: np.ndarray) -> np.ndarray:
    return np.asarray(np.abs(weight).reshape(len(weight), -1).max(axis=1), np.float64)


def _times(weight: np.ndarray, factor_C: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = weight * factor_C.reshape(-1, *[1] * (weight.ndim - 1))
    return scaled.astype(np.float32)
