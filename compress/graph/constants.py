"""Constants computed once: what depends on no image, and what depends on an image's shape alone.

Letters: N batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from compress.errors import CheckError
from compress.graph.proto import Array, constant_of, constants_of, copy_of

Shape = tuple[int, ...]
_KEPT = ("DequantizeLinear",)  # its integers are what a quantized file stores
_OF_SHAPE = ("Shape", "Size")
_BATCHES = (2, 3)  # any two: what differs between them depends on the batch


def initializers_from_constants(graph: GraphProto) -> None:
    """Make every Constant node an initializer of its output's name."""
    for node in [node for node in graph.node if node.op_type == "Constant"]:
        graph.initializer.append(numpy_helper.from_array(np.asarray(constant_of(node)), node.output[0]))
        graph.node.remove(node)


def unlist_initializers(graph: GraphProto) -> None:
    """Take weights out of the inputs, where old files list them too."""
    known = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in known]
    del graph.input[:]
    graph.input.extend(kept)


def fold_constants(model: ModelProto) -> None:
    """Replace each node that reads constants alone (a transposed weight, say) by what it computes."""
    known = constants_of(model.graph)
    for node in list(model.graph.node):
        if node.op_type in _KEPT or not any(node.input) or not all(not name or name in known for name in node.input):
            continue
        for name, value in evaluate(node, known, model).items():
            known[name] = value
            model.graph.initializer.append(numpy_helper.from_array(value, name))
        model.graph.node.remove(node)


def fold_shapes(model: ModelProto) -> None:
    """Replace what is computed from shapes alone by constants, again and again: a constant pad tells the next shape."""
    _fold_known_shapes(model)
    before = None
    while _computes_shapes(model) and before != len(model.graph.node):
        before = len(model.graph.node)
        _fold_known_shapes(model)


def _computes_shapes(model: ModelProto) -> bool:
    return any(node.op_type in _OF_SHAPE for node in model.graph.node)


def _fold_known_shapes(model: ModelProto) -> None:
    """Replace what is computed from shapes alone by constants; a Reshape that keeps the batch says so by a 0.

    Shape arithmetic (Shape, Gather, Concat ... Reshape) is how exporters spell a reshape of any batch. It is evaluated
    for two batches: what is equal is a constant, and a target that differs in its first number alone keeps that axis.
    """
    first, second = (_of_shapes(model, batch) for batch in _BATCHES)
    graph = model.graph
    fixed = {name: value for name, value in first.items() if name in second and np.array_equal(value, second[name])}
    _add_missing(graph, fixed)
    kept = [node for node in graph.node if not set(node.output) <= fixed.keys()]
    del graph.node[:]
    graph.node.extend(kept)
    batch = batch_of(model) or 1
    shapes = shapes_of(with_batch(model, batch))
    known = constants_of(graph)
    for node in graph.node:
        if node.op_type != "Reshape":
            continue
        target = node.input[1]
        if target in known:
            value = _keeping_batch(known[target], shapes.get(node.input[0], ()), batch)
        elif target in first and _differs_in_batch(first[target], second[target]):
            value = np.concatenate([[0], first[target][1:]]).astype(np.int64)
        else:
            continue
        if target not in known or not np.array_equal(value, known[target]):
            node.input[1] = f"{node.output[0]}_shape"
            graph.initializer.append(numpy_helper.from_array(value, node.input[1]))
            kept = [entry for entry in node.attribute if entry.name != "allowzero"]  # 0 means: as it is
            del node.attribute[:]
            node.attribute.extend(kept)


def fold_static_shapes(model: ModelProto) -> None:
    """Replace what is computed from shapes alone by constants, in a model whose batch is fixed."""
    found = _of_shapes(model, 1)
    _add_missing(model.graph, found)
    kept = [node for node in model.graph.node if not set(node.output) <= found.keys()]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def evaluate(node: NodeProto, known: Mapping[str, Array], model: ModelProto) -> dict[str, Array]:
    """Return what one node makes of constants, by name."""
    names = [name for name in dict.fromkeys(node.input) if name]
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(known[name].dtype), None) for name in names
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    single = helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=model.opset_import)
    values = ReferenceEvaluator(single).run(None, {name: known[name] for name in names})
    return {port.name: np.asarray(value) for port, value in zip(outputs, values, strict=True)}


def batch_of(model: ModelProto) -> int | None:
    """Return the batch that the first input fixes, None where it is open."""
    dims = [list(value.type.tensor_type.shape.dim)[:1] for value in model.graph.input[:1]]
    return next((dim.dim_value for first in dims for dim in first if dim.dim_value > 0), None)


def with_batch(model: ModelProto, batch: int | str) -> ModelProto:
    """Return a copy whose inputs have this batch, a number or a name, where they left it open or had another."""
    copy = copy_of(model)
    for value in copy.graph.input:
        for dim in list(value.type.tensor_type.shape.dim)[:1]:
            if isinstance(batch, int):
                dim.dim_value = batch
            else:
                dim.dim_param = batch
    for output in copy.graph.output:
        output.type.tensor_type.ClearField("shape")
    del copy.graph.value_info[:]
    return copy


def shapes_of(model: ModelProto) -> dict[str, Shape]:
    """Return the static shape of every tensor whose shape ONNX can tell.

    Raises:
        CheckError: ONNX's shape inference refuses the graph.
    """
    return static_shapes(infer_shapes(model))


def infer_shapes(model: ModelProto) -> GraphProto:
    """Return the graph with the shapes and types that ONNX can tell.

    Raises:
        CheckError: ONNX's shape inference refuses the graph.
    """
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True).graph
    except onnx.shape_inference.InferenceError as error:
        hint = "the model contradicts itself: make it again"
        raise CheckError(f"shape inference refuses the graph: {str(error).strip()}", hint=hint) from error


def static_shapes(inferred: GraphProto) -> dict[str, Shape]:
    """Return the shapes of a graph's tensors that are known on every axis, its initializers' too."""
    found = {tensor.name: tuple(tensor.dims) for tensor in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            found[value.name] = tuple(dim.dim_value for dim in tensor.shape.dim)
    return found


def _of_shapes(model: ModelProto, batch: int) -> dict[str, Array]:
    """Return what is computed from constants and the shapes of images of this batch, by name."""
    if not _computes_shapes(model):
        return {}
    shapes = shapes_of(with_batch(model, batch_of(model) or batch))
    known = constants_of(model.graph)
    found: dict[str, Array] = {}
    for node in model.graph.node:
        if node.op_type in _OF_SHAPE and node.input[0] in shapes:
            source = {node.input[0]: np.broadcast_to(np.float32(0), shapes[node.input[0]])}  # no memory is touched
            found |= evaluate(node, source, model)
        elif any(name in found for name in node.input) and all(
            not name or name in known or name in found for name in node.input
        ):
            found |= evaluate(node, known | found, model)
    return found


def _differs_in_batch(first: Array, second: Array) -> bool:
    """Return whether two targets of a Reshape are equal but for the batch in front."""
    return (
        first.ndim == 1
        and first.shape == second.shape
        and (int(first[0]), int(second[0])) == _BATCHES
        and np.array_equal(first[1:], second[1:])
    )


def _keeping_batch(target: Array, source: Shape, batch: int) -> Array:
    """Return a constant target with 0, "as it is", for the batch in front, or -1 where it is multiplied into it."""
    if not source or target.ndim != 1 or target.size < 2:
        return target
    if source[0] == int(target[0]) == batch:
        return np.concatenate([[0], target[1:]]).astype(np.int64)
    of_batch = batch in (source[0], int(target[0])) and (target > 0).all()  # the batch times something, or back again
    return np.concatenate([[-1], target[1:]]).astype(np.int64) if of_batch else target


def _add_missing(graph: GraphProto, values: Mapping[str, Array]) -> None:
    """Add the constants that a node reads and the graph does not hold."""
    read = {name for node in graph.node for name in node.input} | {value.name for value in graph.output}
    held = {tensor.name for tensor in graph.initializer}
    for name, value in values.items():
        if name in read and name not in held:
            graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
