"""The exporter's graph made small, plain and byte-stable: what a reader, a quantizer and a lowering want to see.

Every function changes the `ModelProto` in place and keeps its outputs. Axis letters: N batch, C channels, H height,
W width, K classes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from compress.graph.bounds import node_bounds
from compress.graph.constants import initializers_from_constants
from compress.graph.operators import CLIP, RELU, WEIGHTED
from compress.graph.pads import pads_into_convs
from compress.graph.proto import attributes_of, constants_of, rename

_NO_OPS = ("Identity", "Dropout")
_SPATIAL = {(2, 3), (-2, -1), (2, -1), (3, 2), (-1, -2)}


def clean(model: ModelProto) -> ModelProto:
    """Return a model of our own exporter in plain form: `simplify`, and all named after the network's modules.

    No trace of the machine is left, so that equal weights give equal bytes.
    """
    graph = model.graph
    del graph.value_info[:]
    initializers_from_constants(graph)
    _flatten_instead_of_reshape(graph)
    simplify(graph)
    _name_after_modules(graph)
    strip(model)
    return checked(model)


def simplify(graph: GraphProto) -> None:
    """Leave inference operators alone: GlobalAveragePool, padding inside Conv, Flatten before the head, biases."""
    _drop_no_ops(graph)
    _pool_instead_of_mean(graph)
    _relu_instead_of_clip(graph)
    pads_into_convs(graph)
    _biases_everywhere(graph)
    drop_unused_initializers(graph)


def checked(model: ModelProto) -> ModelProto:
    """Return the model with its shapes inferred, after ONNX's own checks, which raise what they find."""
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    onnx.checker.check_model(inferred, full_check=True)
    return inferred


def strip(model: ModelProto) -> None:
    """Remove all prose: stack traces, paths of this machine, tool versions."""
    model.producer_name, model.producer_version, model.doc_string = "imgc", "", ""
    graph = model.graph
    graph.name, graph.doc_string = "imgc", ""
    for entry in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        del entry.metadata_props[:]
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.doc_string = ""
    standard = [entry for entry in model.opset_import if entry.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(standard)


def _drop_no_ops(graph: GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type in _NO_OPS]:
        _bypass(graph, node)


def _bypass(graph: GraphProto, node: NodeProto) -> None:
    """Remove a node whose first output equals its first input."""
    source, result = node.input[0], node.output[0]
    graph.node.remove(node)
    if any(output.name == result for output in graph.output):  # the graph's output keeps its name
        rename(graph, source, result)
    else:
        rename(graph, result, source)


def _pool_instead_of_mean(graph: GraphProto) -> None:
    """ReduceMean over H and W is GlobalAveragePool, which has an int8 kernel in ONNX Runtime."""
    known = constants_of(graph)
    for node in graph.node:
        if node.op_type != "ReduceMean":
            continue
        attributes = attributes_of(node)
        axes = known[node.input[1]].tolist() if len(node.input) > 1 else attributes.get("axes", ())
        if tuple(axes) in _SPATIAL and attributes.get("keepdims", 1) == 1:
            _become(node, "GlobalAveragePool", inputs=1)


def _flatten_instead_of_reshape(graph: GraphProto) -> None:
    """Reshape of [N,C,1,1] to [N,C] is Flatten, which holds for every batch size and needs no shape tensor."""
    known = constants_of(graph)
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in known and known[node.input[1]].shape == (2,):
            _become(node, "Flatten", inputs=1)
            node.attribute.append(helper.make_attribute("axis", 1))


def _relu_instead_of_clip(graph: GraphProto) -> None:
    """Clip from 0 without an upper bound, or with an infinite one, is Relu."""
    known = constants_of(graph)
    for node in graph.node:
        given = node.op_type == CLIP and all(not name or name in known for name in node.input[1:])
        if given and node_bounds(node, known) == (0.0, math.inf):
            _become(node, RELU, inputs=1)


def _become(node: NodeProto, op_type: str, *, inputs: int) -> None:
    node.op_type = op_type
    del node.input[inputs:]
    del node.attribute[:]


def _biases_everywhere(graph: GraphProto) -> None:
    """Give each Conv and Gemm a bias: the exporter drops those that happen to be zero, so structure hung on values."""
    known = constants_of(graph)
    for node in graph.node:
        if node.op_type not in WEIGHTED or (len(node.input) > 2 and node.input[2]):
            continue
        if node.input[1] not in known:
            continue
        transposed = attributes_of(node).get("transB", 0)
        weight = known[node.input[1]]
        count = weight.shape[1] if node.op_type == "Gemm" and not transposed else weight.shape[0]
        name = node.input[1].removesuffix(".weight") + ".bias"
        graph.initializer.append(numpy_helper.from_array(np.zeros(count, weight.dtype), name))
        del node.input[2:]
        node.input.append(name)


def drop_dead_nodes(graph: GraphProto) -> None:
    """Remove the nodes that no output depends on."""
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    alive = list(reversed(kept))
    del graph.node[:]
    graph.node.extend(alive)


def drop_unused_initializers(graph: GraphProto) -> None:
    """Remove the weights and constants that no node reads."""
    used = {name for node in graph.node for name in node.input}
    kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _name_after_modules(graph: GraphProto) -> None:
    """Name nodes and the tensors they make: Conv and Gemm after the module of their weight, others by kind and number.

    `blocks.0.conv` makes the tensor `blocks.0.conv`; the first HardSwish is `hardswish_0`; constants that are no
    parameter are `const_0` and so on. The graph's own input and output names stay.
    """
    fixed = {value.name for value in (*graph.input, *graph.output)}
    held = {tensor.name for tensor in graph.initializer}
    numbered = _numbering()
    renamed: dict[str, str] = {}
    parameters = {name for node in graph.node if node.op_type in WEIGHTED for name in node.input[1:]}
    for node in graph.node:
        own = node.op_type in WEIGHTED and node.input[1] in held
        weight = node.input[1].removesuffix(".weight") if own else ""
        node.name = weight or numbered(node.op_type.lower())
        for name in node.input:
            if name in held and name not in parameters | renamed.keys():
                renamed[name] = numbered("const")
        if node.output[0] not in fixed:
            renamed[node.output[0]] = node.name
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)


def name_nodes(graph: GraphProto) -> None:
    """Give each node a name of its own, where it has none or shares it."""
    taken: set[str] = set()
    for index, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type.lower()}_{index}"
        taken.add(node.name)


def _numbering() -> Callable[[str], str]:
    counts: Counter[str] = Counter()

    def numbered(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind] - 1}"

    return numbered
