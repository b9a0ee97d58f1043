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


def fold_batch_norms(graph: GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Fold each BatchNormalization into the Conv or Gemm that it alone reads; elsewhere it becomes a layer of its own.

    Behind a sum or a concatenation (DenseNet, ResNet v2) it is one factor and one shift for each channel: a depthwise
    Conv of 1x1, which has int8 kernels with a scale for each channel; behind rows a Mul and an Add.
    """
    known, makers = constants_of(graph), makers_of(graph)
    readers = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        if not all(name in known for name in norm.input[1:]):
            continue
        layer = makers.get(norm.input[0])
        if layer is not None and readers.count(norm.input[0]) == 1 and _is_constant_layer(layer, known):
            _fold(graph, layer, norm, known)
        elif len(shapes.get(norm.input[0], ())) in _RANKS:
            _stand_alone(graph, norm, known, len(shapes[norm.input[0]]))


_RANKS = (2, 4)


def _is_constant_layer(layer: NodeProto, known: Mapping[str, Array]) -> bool:
    return layer.op_type in WEIGHTED and all(name in known for name in layer.input[1:] if name)


def _factor_and_shift(norm: NodeProto, known: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return what a norm multiplies each channel with and what it adds, f64 [C]."""
    gamma_C, beta_C, mean_C, variance_C = (known[name].astype(np.float64) for name in norm.input[1:5])
    factor_C = gamma_C / np.sqrt(variance_C + attributes_of(norm).get("epsilon", 1e-5))
    return factor_C, beta_C - mean_C * factor_C


def _fold(graph: GraphProto, layer: NodeProto, norm: NodeProto, known: Mapping[str, Array]) -> None:
    factor_O, shift_O = _factor_and_shift(norm, known)
    weight = known[layer.input[1]].astype(np.float64)
    weight *= factor_O.reshape(-1, *[1] * (weight.ndim - 1))
    has_bias = len(layer.input) > 2 and bool(layer.input[2])
    bias_O = known[layer.input[2]].astype(np.float64) if has_bias else np.zeros_like(shift_O)
    stem = norm.output[0]
    _give(graph, layer, 1, weight, f"{stem}.weight")
    _give(graph, layer, 2, bias_O * factor_O + shift_O, f"{stem}.bias")
    layer.output[0] = stem
    graph.node.remove(norm)


def _stand_alone(graph: GraphProto, norm: NodeProto, known: Mapping[str, Array], rank: int) -> None:
    factor_C, shift_C = _factor_and_shift(norm, known)
    source, stem, place = norm.input[0], norm.output[0], list(graph.node).index(norm)
    names = [f"{stem}.weight", f"{stem}.bias"]
    if rank == 4:
        nodes = [
            helper.make_node("Conv", [source, *names], [stem], norm.name, group=len(factor_C), kernel_shape=[1, 1])
        ]
        factor_C = factor_C.reshape(-1, 1, 1, 1)
    else:
        scaled = f"{stem}.scaled"
        nodes = [
            helper.make_node("Mul", [source, names[0]], [scaled], f"{norm.name}.scale"),
            helper.make_node("Add", [scaled, names[1]], [stem], norm.name),
        ]
    for name, value in zip(names, (factor_C, shift_C), strict=True):
        graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    graph.node.remove(norm)
    for offset, node in enumerate(nodes):
        graph.node.insert(place + offset, node)


def heads_as_gemm(graph: GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Write x @ W of rows x, with or without + b, as Gemm x @ W.T + b: the weight [O, I], the bias [O], no factors."""
    known = constants_of(graph)
    for node in list(graph.node):
        if node.op_type == "MatMul" and _is_row_times_weight(node, known, shapes):
            _take_bias(graph, node, known)
            node.op_type = "Gemm"
        elif node.op_type != "Gemm" or node.input[1] not in known:
            continue
        _plain_gemm(graph, node, known)


def _plain_gemm(graph: GraphProto, node: NodeProto, known: Mapping[str, Array]) -> None:
    """Take `alpha`, `beta` and the shape of C into constant weights and bias, and `transA` into a Transpose."""
    given = attributes_of(node)
    stem, weight = node.output[0], known[node.input[1]]
    alpha, beta = given.get("alpha", 1.0), given.get("beta", 1.0)
    turned = not given.get("transB", 0)
    weight_OI = weight.T if turned else weight
    bias = known.get(node.input[2]) if len(node.input) > 2 else None
    if bias is None and len(node.input) > 2 and node.input[2] and beta != 1.0:
        return  # C depends on the image: the factor is refused by who reads it
    plain_bias = bias is None or bias.shape == (len(weight_OI),)
    if (turned, alpha, beta, given.get("transA", 0)) == (False, 1.0, 1.0, 0) and plain_bias:
        return
    if turned or alpha != 1.0:
        _give(graph, node, 1, weight_OI * alpha, f"{stem}.weight")
    if bias is not None and (beta != 1.0 or not plain_bias):
        row = _is_row(bias, len(weight_OI))
        scaled = np.broadcast_to(bias.reshape(-1), (len(weight_OI),)) if row else bias  # else each image has its own
        _give(graph, node, 2, scaled * beta, f"{stem}.bias")
    if given.get("transA", 0):
        rows = f"{stem}.rows"
        place = list(graph.node).index(node)
        graph.node.insert(
            place, helper.make_node("Transpose", [node.input[0]], [rows], f"{node.name}.rows", perm=[1, 0])
        )
        node.input[0] = rows
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("transB", 1))


def _is_row(value: Array, count: int) -> bool:
    """Return whether a constant adds the same to each row: one number, or one for each of `count` columns."""
    return value.size in (1, count) and value.size == (value.shape[-1] if value.ndim else 1)


def _is_row_times_weight(node: NodeProto, known: Mapping[str, Array], shapes: Mapping[str, Shape]) -> bool:
    return node.input[1] in known and known[node.input[1]].ndim == 2 and len(shapes.get(node.input[0], ())) == 2


def _take_bias(graph: GraphProto, matmul: NodeProto, known: Mapping[str, Array]) -> None:
    """Take over the constant that the one reader of a MatMul adds to each row."""
    readers = [node for node in graph.node if matmul.output[0] in node.input]
    if len(readers) != 1 or readers[0].op_type != "Add":
        return
    add = readers[0]
    other = next(name for name in add.input if name != matmul.output[0])
    if other in known and known[other].ndim <= 2 and _is_row(known[other], known[matmul.input[1]].shape[1]):
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
