"""An ONNX model as the walk needs it: static shapes, constants folded, Q/DQ parameters read.

Legend of shapes: N batch (1 where the model leaves it open), C channels, H height, W width.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator

from compress.errors import CheckError
from compress.lower.quant import Array, Quant, QuantConst, constant_array, read_quant, shift_to_int8

Shape = tuple[int, ...]
_DEFAULT_DOMAINS = ("", "ai.onnx")


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
    """

    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    quantized: Mapping[str, QuantConst]
    grids: Mapping[str, Quant]
    shapes: Mapping[str, Shape]
    consumers: Mapping[str, Sequence[Node]]
    input_name: str
    output_name: str
    opset: int

    def constant(self, name: str) -> Array | None:
        """Return a constant as float32 or integers, dequantized where the graph stores integers; None if computed."""
        const = self.quantized.get(name)
        return self.constants.get(name) if const is None else const.real()

    def is_quantized(self) -> bool:
        """Return whether any activation is quantized."""
        return any(node.op == "QuantizeLinear" for node in self.nodes)


def read_graph(model: onnx.ModelProto) -> Graph:
    """Return the graph of a classifier with one 4-D image input and one output.

    Raises:
        CheckError: more than one input or output, open spatial sizes, nodes of foreign domains, or a graph that
            ONNX's own shape inference refuses.
    """
    model = _static(model)
    initial = {tensor.name: constant_array(tensor) for tensor in model.graph.initializer}
    shapes, types = _infer(model)
    shapes.update({name: array.shape for name, array in initial.items()})
    nodes, constants = _fold(model.graph.node, initial, shapes)
    grids: dict[str, Quant] = {}
    quantized: dict[str, QuantConst] = {}
    kept: list[Node] = []
    for proto in nodes:
        node = _node(proto)
        if node.op in ("QuantizeLinear", "DequantizeLinear"):
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
    opset = max((entry.version for entry in model.opset_import if entry.domain in _DEFAULT_DOMAINS), default=0)
    names = model.graph.input[0].name, model.graph.output[0].name
    return Graph(tuple(kept), constants, quantized, grids, shapes, consumers, *names, opset)


def _static(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy with one input of static shape [N,C,H,W], N = 1 where open, and no stale shape annotations."""
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1 or len(graph.output) != 1:
        names = [value.name for value in inputs], [value.name for value in graph.output]
        raise CheckError(
            f"found the inputs {names[0]} and the outputs {names[1]}, allowed one of each",
            hint="export the classifier alone: one image in, one row of logits out",
        )
    del graph.input[:]
    graph.input.append(inputs[0])
    dims = graph.input[0].type.tensor_type.shape.dim
    if len(dims) != 4 or any(dim.dim_value <= 0 for dim in list(dims)[1:]):
        found = [dim.dim_value or dim.dim_param or "?" for dim in dims]
        raise CheckError(
            f"input '{inputs[0].name}' has the shape {found}, allowed [N,C,H,W] with fixed C, H and W",
            hint="export the ONNX model with a fixed image size",
        )
    dims[0].dim_value = dims[0].dim_value or 1
    for node in graph.node:
        if node.domain not in _DEFAULT_DOMAINS:
            hint = "export with the default ONNX operators only (QDQ format for int8)"
            raise CheckError(f"node '{node.name}' ({node.domain}.{node.op_type}): foreign domain", hint=hint)
    del graph.value_info[:]
    graph.output[0].type.tensor_type.ClearField("shape")
    return copy


def _infer(model: onnx.ModelProto) -> tuple[dict[str, Shape], dict[str, np.dtype[Any]]]:
    """Return the static shape of every tensor whose shape ONNX can tell, and the type of each, by name."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise CheckError(f"shape inference refuses the graph: {str(error).strip()}") from error
    shapes: dict[str, Shape] = {}
    types: dict[str, np.dtype[Any]] = {}
    for value in [*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output]:
        tensor = value.type.tensor_type
        if tensor.elem_type:
            types[value.name] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            shapes[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return shapes, types


def _fold(
    protos: Sequence[onnx.NodeProto], initial: Mapping[str, Array], shapes: Mapping[str, Shape]
) -> tuple[list[onnx.NodeProto], dict[str, Array]]:
    """Return the nodes that depend on the image, and all constants.

    A float weight that goes through QuantizeLinear is folded to integers; DequantizeLinear is left, since its
    integers are what TFLite stores.
    """
    constants = dict(initial)
    kept: list[onnx.NodeProto] = []
    for index, proto in enumerate(protos):
        if not proto.name:
            proto.name = f"{proto.op_type}_{index}"
        if proto.op_type == "Shape" and proto.input[0] in shapes and not proto.attribute:
            constants[proto.output[0]] = np.array(shapes[proto.input[0]], np.int64)
        elif proto.op_type != "DequantizeLinear" and all(not name or name in constants for name in proto.input):
            feed = {name: constants[name] for name in proto.input if name}
            results = list(ReferenceEvaluator(proto).run(None, feed))
            constants.update({name: np.asarray(result) for name, result in zip(proto.output, results, strict=True)})
        else:
            kept.append(proto)
    return kept, constants


def _node(proto: onnx.NodeProto) -> Node:
    attrs = {a.name: _plain(onnx.helper.get_attribute_value(a)) for a in proto.attribute}
    return Node(proto.name, proto.op_type, tuple(proto.input), tuple(proto.output), attrs)


def _plain(value: Any) -> Any:  # noqa: ANN401 - ONNX attributes are of many types
    return value.decode() if isinstance(value, bytes) else value


def clip_bounds(graph: Graph, node: Node) -> tuple[float | None, float | None]:
    """Return (least, greatest) of a Relu or Clip node; None where open.

    Raises:
        CheckError: a bound is computed.
    """
    if node.op == "Relu":
        return 0.0, None
    return _bound(graph, node, 1, "min"), _bound(graph, node, 2, "max")


def _bound(graph: Graph, node: Node, index: int, attr: Literal["min", "max"]) -> float | None:
    if len(node.inputs) > index and node.inputs[index]:
        array = graph.constant(node.inputs[index])
        if array is None:
            raise node.fail(f"its bound '{node.inputs[index]}' is computed; only constants are allowed")
        number = float(array.reshape(-1)[0])
    elif attr in node.attrs:
        number = float(node.attrs[attr])
    else:
        return None
    return number if abs(number) < float(np.finfo(np.float32).max) else None
