"""Layers with weights in one form: batch norm folded, heads as Gemm, each with a weight and a bias of its own name.

Every function changes the `GraphProto` in place and keeps its outputs. Letters: O output and I input features, H
height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from compress.graph.constants import Shape
from compress.graph.operators import WEIGHTED
from compress.graph.proto import Array, attributes_of, constants_of, makers_of


def fold_batch_norms(graph: GraphProto) -> None:
    """Fold each BatchNormalization that alone reads a Conv with constant weights into it."""
    known, makers = constants_of(graph), makers_of(graph)
    readers = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers.count(norm.input[0]) != 1:
            continue
        parameters = [conv.input[1], *[name for name in conv.input[2:] if name], *norm.input[1:]]
        if all(name in known for name in parameters):
            _fold(graph, conv, norm, known)


def _fold(graph: GraphProto, conv: NodeProto, norm: NodeProto, known: Mapping[str, Array]) -> None:
    gamma_O, beta_O, mean_O, variance_O = (known[name].astype(np.float64) for name in norm.input[1:5])
    factor_O = gamma_O / np.sqrt(variance_O + attributes_of(norm).get("epsilon", 1e-5))
    weight_OIHW = known[conv.input[1]].astype(np.float64) * factor_O.reshape(-1, 1, 1, 1)
    has_bias = len(conv.input) > 2 and bool(conv.input[2])
    bias_O = known[conv.input[2]].astype(np.float64) if has_bias else np.zeros_like(mean_O)
    stem = norm.output[0]
    _give(graph, conv, 1, weight_OIHW, f"{stem}.weight")
    _give(graph, conv, 2, (bias_O - mean_O) * factor_O + beta_O, f"{stem}.bias")
    conv.output[0] = stem
    graph.node.remove(norm)


def heads_as_gemm(graph: GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Write x @ W of rows x, with or without + b, as Gemm with the weight as [O, I]."""
    known = constants_of(graph)
    for node in list(graph.node):
        if node.op_type == "MatMul" and _is_row_times_weight(node, known, shapes):
            _take_bias(graph, node, known)
            node.op_type = "Gemm"
        elif node.op_type != "Gemm" or node.input[1] not in known or attributes_of(node).get("transB", 0):
            continue
        _give(graph, node, 1, np.transpose(known[node.input[1]]), f"{node.output[0]}.weight")
        kept = [entry for entry in node.attribute if entry.name != "transB"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("transB", 1)])


def _is_row_times_weight(node: NodeProto, known: Mapping[str, Array], shapes: Mapping[str, Shape]) -> bool:
    return node.input[1] in known and known[node.input[1]].ndim == 2 and len(shapes.get(node.input[0], ())) == 2


def _take_bias(graph: GraphProto, matmul: NodeProto, known: Mapping[str, Array]) -> None:
    """Take over the constant that the one reader of a MatMul adds to each row."""
    readers = [node for node in graph.node if matmul.output[0] in node.input]
    if len(readers) != 1 or readers[0].op_type != "Add":
        return
    add = readers[0]
    other = next(name for name in add.input if name != matmul.output[0])
    if other in known and known[other].ndim == 1 and len(known[other]) == known[matmul.input[1]].shape[1]:
        matmul.input.append(other)
        matmul.output[0] = add.output[0]
        graph.node.remove(add)


def name_weights(graph: GraphProto) -> None:
    """Give each layer a weight and a bias of its own, named alike, since `clean` names the layers after them."""
    known = constants_of(graph)
    taken = {value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        if node.op_type not in WEIGHTED or node.input[1] not in known:
            continue
        stem = node.input[1].removesuffix(".weight")
        stem = next(name for n in count() if (name := f"{stem}_{n}" if n else stem) not in taken)
        taken.add(stem)
        for place, part in enumerate(("weight", "bias"), start=1):
            named = f"{stem}.{part}"
            if len(node.input) > place and node.input[place] in known and node.input[place] != named:
                _give(graph, node, place, known[node.input[place]], named)


def _give(graph: GraphProto, node: NodeProto, place: int, value: Array, name: str) -> None:
    """Make a constant a node's input, in place of one of the same name, beside another, which may have readers."""
    for tensor in [tensor for tensor in graph.initializer if tensor.name == name]:
        graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
    inputs = [*node.input, ""][: max(len(node.input), place + 1)]
    inputs[place] = name
    del node.input[:]
    node.input.extend(inputs)
