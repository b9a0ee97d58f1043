"""The layers of a float graph as a person counts them: what is left float together, and judged together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from compress.graph.operators import CURVES, FUSED, FUSES, KEEPS_GRID, WEIGHTED
from compress.graph.proto import consumers_of

_ACTIVATIONS = (*FUSED, *CURVES, "Sigmoid")
_FLOAT_SHARE = 5  # one of so many weights may be float
_MADE_BY_REWRITES = ("_shifted", "_gate")  # of `rewrites.gate_hard_swish`


@dataclass(frozen=True)
class Layer:
    """A node and the activation behind it.

    Attributes:
        name: the node's.
        ops: its op, and the activation's: "Conv+HardSwish".
        nodes: names of both.
    """

    name: str
    ops: str
    nodes: tuple[str, ...]


def layers_of(model: onnx.ModelProto) -> tuple[Layer, ...]:
    """Return the layers of a float model in graph order; nodes that only move values belong to none."""
    consumers = consumers_of(model.graph)
    claimed: set[str] = set()
    found: list[Layer] = []
    for node in model.graph.node:
        if node.op_type in ("Constant", *KEEPS_GRID) or node.name in claimed:
            continue
        nodes = [node]
        readers = consumers[node.output[0]]
        if node.op_type in FUSES and len(readers) == 1 and readers[0].op_type in _ACTIVATIONS:
            nodes.append(readers[0])
        names = tuple(one.name for one in nodes)
        claimed.update(names)
        found.append(Layer(node.name, "+".join(one.op_type for one in nodes), names))
    return tuple(found)


def light_enough(layers: Sequence[Layer], model: onnx.ModelProto) -> list[Layer]:
    """Return the layers that may stay float, in order, while most bytes of the weights are int8.

    A float weight takes four bytes, so that a fifth of the weights is half of the bytes. A layer that would pass that
    is left out, lighter ones behind it are not.
    """
    sizes = {tensor.name: math.prod(tensor.dims) for tensor in model.graph.initializer}
    of_node = {node.name: sizes.get(node.input[1], 0) for node in model.graph.node if node.op_type in WEIGHTED}
    left = sum(of_node.values()) // _FLOAT_SHARE
    found = []
    for layer in layers:
        size = sum(of_node.get(name, 0) for name in layer.nodes)
        if size <= left:
            found.append(layer)
            left -= size
    return found


def parts_of(layers: Sequence[Layer], rewritten: onnx.ModelProto) -> dict[Layer, tuple[frozenset[str], frozenset[str]]]:
    """Return, for each layer, the tensors its nodes make and the weights they hold in a rewritten graph.

    The image belongs to the layers that read it. Tensors that only move a layer's values on belong to no layer: they
    share its grid, so that rounding them again changes nothing.
    """
    owner = {name: layer for layer in layers for name in layer.nodes}
    tensors: dict[Layer, set[str]] = {layer: set() for layer in layers}
    weights: dict[Layer, set[str]] = {layer: set() for layer in layers}
    image = rewritten.graph.input[0].name
    for node in rewritten.graph.node:
        layer = owner.get(node.name) or owner.get(_stem(node.name))
        if layer is None:
            continue
        tensors[layer].add(node.output[0])
        if image in node.input:
            tensors[layer].add(image)
        if node.op_type in WEIGHTED:
            weights[layer].add(node.input[1])
    return {layer: (frozenset(tensors[layer]), frozenset(weights[layer])) for layer in layers}


def _stem(name: str) -> str:
    for ending in _MADE_BY_REWRITES:
        name = name.removesuffix(ending)
    return name
