"""The exporter's graph made small, plain and byte-stable: what a reader, a quantizer and a lowering want to see.

Every function changes the `ModelProto` in place and keeps its outputs. Axis letters: N batch, C channels, H height,
W width, K classes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

_WEIGHTED = ("Conv", "Gemm")
_NO_OPS = ("Identity", "Dropout")
_SPATIAL = {(2, 3), (-2, -1), (2, -1), (3, 2), (-1, -2)}


def clean(model: ModelProto) -> ModelProto:
    """Return the model after every clean-up of this module, with shapes inferred anew.

    Left are inference operators alone: pooling as GlobalAveragePool, padding inside Conv, Flatten before the head,
    a bias on each Conv and Gemm, nodes and tensors named after the network's modules, no traces of the machine.
    """
    graph = model.graph
    del graph.value_info[:]
    initializers_from_constants(graph)
    _drop_no_ops(graph)
    _pool_instead_of_mean(graph)
    _flatten_instead_of_reshape(graph)
    _pads_into_convs(graph)
    _biases_everywhere(graph)
    _drop_unused_initializers(graph)
    _name_after_modules(graph)
    strip(model)
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


def constants(graph: GraphProto) -> dict[str, NDArray[np.generic]]:
    """Return the initializers as arrays by name."""
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}


def initializers_from_constants(graph: GraphProto) -> None:
    """Make every Constant node an initializer of its output's name."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        attribute = node.attribute[0]
        if attribute.name == "value":
            tensor = onnx.TensorProto()
            tensor.CopyFrom(attribute.t)
        else:
            tensor = numpy_helper.from_array(np.asarray(helper.get_attribute_value(attribute)))
        tensor.name = node.output[0]
        graph.initializer.append(tensor)
        graph.node.remove(node)


def _drop_no_ops(graph: GraphProto) -> None:
    for node in [node for node in graph.node if node.op_type in _NO_OPS]:
        _bypass(graph, node)


def _bypass(graph: GraphProto, node: NodeProto) -> None:
    """Remove a node whose first output equals its first input."""
    source, result = node.input[0], node.output[0]
    graph.node.remove(node)
    if any(output.name == result for output in graph.output):  # the graph's output keeps its name
        _rename(graph, source, result)
    else:
        _rename(graph, result, source)


def _rename(graph: GraphProto, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def _pool_instead_of_mean(graph: GraphProto) -> None:
    """ReduceMean over H and W is GlobalAveragePool, which has an int8 kernel in ONNX Runtime."""
    known = constants(graph)
    for node in graph.node:
        if node.op_type != "ReduceMean":
            continue
        attributes = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        axes = known[node.input[1]].tolist() if len(node.input) > 1 else attributes.get("axes", ())
        if tuple(axes) in _SPATIAL and attributes.get("keepdims", 1) == 1:
            _become(node, "GlobalAveragePool", inputs=1)


def _flatten_instead_of_reshape(graph: GraphProto) -> None:
    """Reshape of [N,C,1,1] to [N,C] is Flatten, which holds for every batch size and needs no shape tensor."""
    known = constants(graph)
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[1] in known and known[node.input[1]].shape == (2,):
            _become(node, "Flatten", inputs=1)
            node.attribute.append(helper.make_attribute("axis", 1))


def _become(node: NodeProto, op_type: str, *, inputs: int) -> None:
    node.op_type = op_type
    del node.input[inputs:]
    del node.attribute[:]


def _pads_into_convs(graph: GraphProto) -> None:
    """Move constant zero padding (TF "SAME") into the `pads` of the one convolution that reads it."""
    known = constants(graph)
    for pad in [node for node in graph.node if node.op_type == "Pad"]:
        readers = [node for node in graph.node if pad.output[0] in node.input]
        spatial = _zero_spatial_pads(pad, known)
        if spatial is None or len(readers) != 1 or readers[0].op_type != "Conv":
            continue
        conv = readers[0]
        own = next((list(entry.ints) for entry in conv.attribute if entry.name == "pads"), [0, 0, 0, 0])
        kept = [entry for entry in conv.attribute if entry.name not in ("pads", "auto_pad")]
        del conv.attribute[:]
        conv.attribute.extend(kept)
        conv.attribute.append(helper.make_attribute("pads", [a + b for a, b in zip(own, spatial, strict=True)]))
        conv.input[0] = pad.input[0]
        graph.node.remove(pad)


def _zero_spatial_pads(pad: NodeProto, known: dict[str, NDArray[np.generic]]) -> list[int] | None:
    """Return [top, left, bottom, right] when a Pad node adds constant zeros to H and W alone, else None."""
    mode = next((entry.s for entry in pad.attribute if entry.name == "mode"), b"constant")
    if mode != b"constant" or pad.input[1] not in known or len(pad.input) > 3:
        return None
    value = pad.input[2] if len(pad.input) == 3 else ""
    if value and (value not in known or known[value].item() != 0):
        return None
    pads = [int(size) for size in known[pad.input[1]].tolist()]
    if len(pads) != 8 or any(pads[axis] for axis in (0, 1, 4, 5)) or min(pads) < 0:
        return None
    return [pads[2], pads[3], pads[6], pads[7]]


def _biases_everywhere(graph: GraphProto) -> None:
    """Give each Conv and Gemm a bias: the exporter drops those that happen to be zero, so structure hung on values."""
    known = constants(graph)
    for node in graph.node:
        if node.op_type not in _WEIGHTED or (len(node.input) > 2 and node.input[2]):
            continue
        transposed = any(entry.name == "transB" and entry.i for entry in node.attribute)
        weight = known[node.input[1]]
        count = weight.shape[1] if node.op_type == "Gemm" and not transposed else weight.shape[0]
        name = node.input[1].removesuffix(".weight") + ".bias"
        graph.initializer.append(numpy_helper.from_array(np.zeros(count, weight.dtype), name))
        del node.input[2:]
        node.input.append(name)


def _drop_unused_initializers(graph: GraphProto) -> None:
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
    numbered = _numbering()
    renamed: dict[str, str] = {}
    parameters = {name for node in graph.node if node.op_type in _WEIGHTED for name in node.input[1:]}
    for node in graph.node:
        weight = node.input[1].removesuffix(".weight") if node.op_type in _WEIGHTED else ""
        node.name = weight or numbered(node.op_type.lower())
        for name in node.input:
            if any(tensor.name == name for tensor in graph.initializer) and name not in parameters | renamed.keys():
                renamed[name] = numbered("const")
        if node.output[0] not in fixed:
            renamed[node.output[0]] = node.name
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                names[index] = renamed.get(name, name)
    for tensor in graph.initializer:
        tensor.name = renamed.get(tensor.name, tensor.name)


def _numbering() -> Callable[[str], str]:
    counts: Counter[str] = Counter()

    def numbered(kind: str) -> str:
        counts[kind] += 1
        return f"{kind}_{counts[kind] - 1}"

    return numbered
