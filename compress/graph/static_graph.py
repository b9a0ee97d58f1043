"""An ONNX model as the walk needs it: static shapes, constants folded, Q/DQ parameters read.

Legend of shapes: N batch (1 where the model leaves it open), C channels, H height, W width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from compress.errors import CheckError
from compress.graph.bounds import bounds_of
from compress.graph.constants import (
    Shape,
    batch_of,
    fold_constants,
    fold_static_shapes,
    infer_shapes,
    initializers_from_constants,
    static_shapes,
    unlist_initializers,
    with_batch,
)
from compress.graph.grids import Quant, QuantConst, read_quant, shift_to_int8
from compress.graph.operators import QDQ
from compress.graph.proto import DEFAULT_DOMAINS, Array, attributes_of, constants_of, interface_of, opset_of


@dataclass(frozen=True, eq=False)
class Node:
    """One ONNX node; `inputs` keeps empty names of omitted inputs."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]

    def fail(self, found: str, *, hint: str = "") -> CheckError:
        """Return the error that names this node and says what was found."""
        return CheckError(f"node '{self.name}' ({self.op}): {found}", hint=hint)


@dataclass(frozen=True)
class Graph:
    """The nodes that compute something, in topological order, and what is known about their tensors.

    Attributes:
        constants: name -> array, float16 widened to float32.
        quantized: output of a DequantizeLinear over a constant -> its integers and grid.
        grids: name of a QuantizeLinear or DequantizeLinear node's output -> grid.
        shapes: name -> static shape in the ONNX layout.
        consumers: name -> nodes that read it.
        inputs: names of the graph's inputs.
        outputs: names of its outputs.
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    quantized: Mapping[str, QuantConst]
    grids: Mapping[str, Quant]
    shapes: Mapping[str, Shape]
    consumers: Mapping[str, Sequence[Node]]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opset: int

    def constant(self, name: str) -> Array | None:
        """Return a constant as float32 or integers, dequantized where the graph stores integers; None if computed."""
        const = self.quantized.get(name)
        return self.constants.get(name) if const is None else const.real()

    def is_quantized(self) -> bool:
        """Return whether any activation is quantized."""
        return any(node.op == "QuantizeLinear" for node in self.nodes)


def static_graph(model: onnx.ModelProto) -> Graph:
    """Return the graph of a model for one image at a time: every shape is known.

    Args:
        model: canonical, or near to it; every input's sizes but the first are fixed, an open batch becomes 1.

    Raises:
        CheckError: open sizes, nodes of foreign domains, or a graph that ONNX's own shape inference refuses.
    """
    model = _static(model)
    constants = {name: _widened(array) for name, array in constants_of(model.graph).items()}
    shapes, types = _infer(model)
    grids: dict[str, Quant] = {}
    quantized: dict[str, QuantConst] = {}
    kept: list[Node] = []
    for proto in model.graph.node:
        node = _node(proto)
        if node.op in QDQ:
            source = constants.get(node.inputs[0])
            rank = len(shapes.get(node.inputs[0], ()))
            stored = types.get(node.inputs[0]) if source is None else source.dtype
            grids[node.outputs[0]] = read_quant(
                proto, constants, rank, stored if node.op == "DequantizeLinear" else None
            )
            if source is not None:
                const = QuantConst(node.inputs[0], shift_to_int8(source), grids[node.outputs[0]])
                quantized[node.outputs[0]] = const
                continue
        kept.append(node)
    consumers: dict[str, list[Node]] = defaultdict(list)
    for node in kept:
        for name in filter(None, dict.fromkeys(node.inputs)):
            consumers[name].append(node)
    inputs = tuple(value.name for value in model.graph.input)
    outputs = tuple(value.name for value in model.graph.output)
    return Graph(tuple(kept), constants, quantized, grids, shapes, consumers, inputs, outputs, opset_of(model))


def _static(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy whose inputs have static shapes, N = 1 where open, with all that is constant then computed."""
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    copy = with_batch(model, batch_of(model) or 1)
    for node in copy.graph.node:
        if node.domain not in DEFAULT_DOMAINS:
            hint = "export with the default ONNX operators only (QDQ format for int8)"
            raise CheckError(f"node '{node.name}' ({node.domain}.{node.op_type}): foreign domain", hint=hint)
    unlist_initializers(copy.graph)
    for port in interface_of(copy).inputs:
        if None in port.shape:
            raise CheckError(
                f"input {port}: allowed is a fixed size on every axis but the first",
                hint="export the ONNX model with a fixed image size",
            )
    for index, node in enumerate(copy.graph.node):
        node.name = node.name or f"{node.op_type}_{index}"
    initializers_from_constants(copy.graph)
    fold_constants(copy)
    fold_static_shapes(copy)
    return copy


def _infer(model: onnx.ModelProto) -> tuple[dict[str, Shape], dict[str, np.dtype[Any]]]:
    """Return the static shape of every tensor whose shape ONNX can tell, and the type of each, by name."""
    inferred = infer_shapes(model)
    types: dict[str, np.dtype[Any]] = {}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        kind = value.type.tensor_type.elem_type
        if kind:
            types[value.name] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind))
    return static_shapes(inferred), types


def _widened(array: Array) -> Array:
    """Return float16 as float32, whatever else as it is."""
    return array.astype(np.float32) if array.dtype == np.float16 else array


def _node(proto: onnx.NodeProto) -> Node:
    return Node(proto.name, proto.op_type, tuple(proto.input), tuple(proto.output), attributes_of(proto))


def clip_bounds(graph: Graph, node: Node) -> tuple[float | None, float | None]:
    """Return (least, greatest) of a Relu or Clip node; None where open.

    Raises:
        CheckError: a bound is computed.
    """
    return bounds_of(node.op, node.inputs, node.attrs, graph.constant, node.fail)
