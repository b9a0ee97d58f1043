"""Another tool's float classifier brought into the plain form of our own graphs, so that it can be quantized.

Letters: N batch, C channels, H height, W width, K classes, O output and I input features.
"""

from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from compress.errors import ModelFileError
from compress.models.onnx_clean import clean, constants, initializers_from_constants

_OPSETS = range(13, 22)
_TARGET_OPSET = 18
_IR_VERSION = 10
_REWRITTEN = ("Reshape", "Squeeze")
_WINDOWED = ("Conv", "MaxPool", "AveragePool")
Shapes = dict[str, list[int]]


def plain(model: ModelProto, path: Path) -> ModelProto:
    """Return a copy with batch norms folded, heads as Gemm, a free batch, and what `clean` makes of the rest.

    Args:
        model: the float model; not changed.
        path: its file, for messages.

    Raises:
        ModelFileError: the graph is not valid, or cannot be brought into this form.
    """
    try:
        copy = _in_known_opset(model)
        _unlist_initializers(copy.graph)
        initializers_from_constants(copy.graph)
        _compute_constants(copy)
        _set_batch(copy, 1)  # shapes that a graph computes from its input are then known
        shapes = _shapes(copy)
        _flatten_to_rank_two(copy.graph, shapes)
        _drop_dead_nodes(copy.graph)
        _explicit_pads(copy.graph, shapes)
        _set_batch(copy, "batch")
        _fold_batch_norms(copy.graph)
        _heads_as_gemm(copy.graph)
        _drop_dead_nodes(copy.graph)
        _name_weights(copy.graph)
        del copy.metadata_props[:]
        return clean(copy)
    except Exception as error:  # ONNX's converter, checker and shape inference share no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{path}: cannot be brought into the form that is quantized: {reason}",
            hint="export it again as a plain inference graph (opset 18, float32, batch norm folded)",
        ) from error


def interface_of(model: ModelProto, path: Path) -> tuple[tuple[int, int, int], int]:
    """Return [C, H, W] of one image and the number of classes.

    Raises:
        ModelFileError: not one image in and one row of logits out, or a size that the graph leaves open.
    """
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in known]
    outputs = list(model.graph.output)
    shapes = {value.name: [d.dim_value or d.dim_param or "?" for d in _dims(value)] for value in (*inputs, *outputs)}
    sizes = [[d.dim_value for d in _dims(value)][1:] for value in (*inputs, *outputs)]
    one_each = len(inputs) == len(outputs) == 1
    if not one_each or len(sizes[0]) != 3 or len(sizes[1]) != 1 or min(*sizes[0], *sizes[1]) <= 0:
        found = "; ".join(f"{name} {shape}" for name, shape in shapes.items())
        raise ModelFileError(
            f"{path}: not an image classifier with fixed sizes: found {found}; allowed are one input [N, C, H, W] and "
            "one output [N, K] of which only N may be free",
            hint="export it again with fixed height and width",
        )
    (channels, height, width), (classes,) = sizes
    return (channels, height, width), classes


def _dims(value: onnx.ValueInfoProto) -> list[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _in_known_opset(model: ModelProto) -> ModelProto:
    copy = ModelProto()
    copy.CopyFrom(model)
    opset = max((entry.version for entry in copy.opset_import if entry.domain in ("", "ai.onnx")), default=0)
    if opset not in _OPSETS:
        copy = version_converter.convert_version(copy, _TARGET_OPSET)
    copy.ir_version = max(copy.ir_version, _IR_VERSION)
    return copy


def _unlist_initializers(graph: GraphProto) -> None:
    """Old files list their weights among the inputs too."""
    known = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.input if value.name not in known]
    del graph.input[:]
    graph.input.extend(kept)


def _set_batch(model: ModelProto, batch: int | str) -> None:
    for value in (*model.graph.input, *model.graph.output):
        for first in _dims(value)[:1]:
            if isinstance(batch, int):
                first.dim_value = batch
            else:
                first.dim_param = batch
    del model.graph.value_info[:]


def _shapes(model: ModelProto) -> Shapes:
    """Return the sizes of all tensors by name, 0 where one is not known."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [d.dim_value for d in _dims(value)]
        for value in (*inferred.value_info, *inferred.output, *inferred.input)
        if value.type.tensor_type.HasField("shape")
    }
    return shapes | {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}


def _explicit_pads(graph: GraphProto, shapes: Shapes) -> None:
    """Write `auto_pad`, which TensorFlow's exporters use, as `pads`; the sizes of images are fixed."""
    for node in graph.node:
        given = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        auto = given.get("auto_pad", b"NOTSET").decode()
        if node.op_type not in _WINDOWED or auto == "NOTSET":
            continue
        image_HW = shapes.get(node.input[0], [])[2:]
        if len(image_HW) != 2 or 0 in image_HW:
            raise ValueError(f"node '{node.name}': auto_pad needs an image of known size, found {image_HW or 'none'}")
        kernel = given.get("kernel_shape") or shapes[node.input[1]][2:]
        ones = [1] * len(kernel)
        strides, dilations = given.get("strides", ones), given.get("dilations", ones)
        before, after = list[int](), list[int]()
        sizes = zip(image_HW, kernel, strides, dilations, strict=True)
        for size, side, stride, dilation in sizes:
            reach = (-(-size // stride) - 1) * stride + (side - 1) * dilation + 1
            total = max(reach - size, 0) if auto != "VALID" else 0
            first = total // 2 if auto == "SAME_UPPER" else total - total // 2
            before.append(first)
            after.append(total - first)
        kept = [entry for entry in node.attribute if entry.name not in ("auto_pad", "pads")]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("pads", before + after)])


def _flatten_to_rank_two(graph: GraphProto, shapes: Shapes) -> None:
    """Turn what only drops the 1x1 of a pooled map, or lays a map flat, into Flatten, whatever made its shape."""
    for node in graph.node:
        if node.op_type == "Reshape":  # the rank is the length of the shape, also where its values are not known
            rank = next(iter(shapes.get(node.input[1], ())), 0)
        else:
            rank = len(shapes.get(node.output[0], ()))
        if node.op_type in _REWRITTEN and rank == 2 <= len(shapes.get(node.input[0], ())):
            node.op_type = "Flatten"
            del node.input[1:]
            del node.attribute[:]
            node.attribute.append(helper.make_attribute("axis", 1))


def _drop_dead_nodes(graph: GraphProto) -> None:
    needed = {value.name for value in graph.output}
    kept: list[NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    alive = list(reversed(kept))
    del graph.node[:]
    graph.node.extend(alive)


def _compute_constants(model: ModelProto) -> None:
    """Replace each node that reads constants alone (a transposed weight, say) by what it computes."""
    graph = model.graph
    known = constants(graph)
    for node in list(graph.node):
        if node.op_type == "CastLike":  # all is float32 here; the activation it reads only says so
            node.op_type = "Cast"
            del node.input[1:]
            node.attribute.append(helper.make_attribute("to", onnx.TensorProto.FLOAT))
        if not node.input or not all(name in known for name in node.input):
            continue
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(known[name].dtype), None)
            for name in dict.fromkeys(node.input)
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output]
        single = helper.make_model(helper.make_graph([node], "one", inputs, outputs), opset_imports=model.opset_import)
        values = ReferenceEvaluator(single).run(None, {name: known[name] for name in node.input})
        for name, value in zip(node.output, values, strict=True):
            known[name] = np.asarray(value)
            graph.initializer.append(numpy_helper.from_array(known[name], name))
        graph.node.remove(node)


def _fold_batch_norms(graph: GraphProto) -> None:
    """Fold each BatchNormalization that alone reads a Conv with constant weights into it."""
    known = constants(graph)
    makers = {name: node for node in graph.node for name in node.output}
    readers = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers.count(norm.input[0]) != 1:
            continue
        parameters = [conv.input[1], *[name for name in conv.input[2:] if name], *norm.input[1:]]
        if not all(name in known for name in parameters):
            continue
        _fold(graph, conv, norm, known)


def _fold(graph: GraphProto, conv: NodeProto, norm: NodeProto, known: dict[str, NDArray[np.generic]]) -> None:
    gamma_O, beta_O, mean_O, variance_O = (known[name].astype(np.float64) for name in norm.input[1:5])
    epsilon = next((entry.f for entry in norm.attribute if entry.name == "epsilon"), 1e-5)
    factor_O = gamma_O / np.sqrt(variance_O + epsilon)
    weight_OIHW = known[conv.input[1]].astype(np.float64) * factor_O.reshape(-1, 1, 1, 1)
    has_bias = len(conv.input) > 2 and bool(conv.input[2])
    bias_O = known[conv.input[2]].astype(np.float64) if has_bias else np.zeros_like(mean_O)
    stem = norm.output[0]
    _give(graph, conv, 1, weight_OIHW, f"{stem}.weight")
    _give(graph, conv, 2, (bias_O - mean_O) * factor_O + beta_O, f"{stem}.bias")
    conv.output[0] = stem
    graph.node.remove(norm)


def _give(graph: GraphProto, node: NodeProto, place: int, value: NDArray[np.generic], name: str) -> None:
    """Make a constant a node's input, in place of one of the same name, beside another, which may have readers."""
    for tensor in [tensor for tensor in graph.initializer if tensor.name == name]:
        graph.initializer.remove(tensor)
    graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=np.float32), name))
    inputs = [*node.input, ""][: max(len(node.input), place + 1)]
    inputs[place] = name
    del node.input[:]
    node.input.extend(inputs)


def _heads_as_gemm(graph: GraphProto) -> None:
    """Write x @ W, with or without + b, as Gemm with the weight as [O, I]."""
    known = constants(graph)
    for node in list(graph.node):
        if node.op_type == "MatMul" and node.input[1] in known and known[node.input[1]].ndim == 2:
            _take_bias(graph, node, known)
            node.op_type = "Gemm"
        elif node.op_type != "Gemm" or node.input[1] not in known or _integer(node, "transB"):
            continue
        weight_IO = known[node.input[1]]
        _give(graph, node, 1, np.transpose(weight_IO), f"{node.output[0]}.weight")
        kept = [entry for entry in node.attribute if entry.name != "transB"]
        del node.attribute[:]
        node.attribute.extend(kept)
        node.attribute.append(helper.make_attribute("transB", 1))


def _name_weights(graph: GraphProto) -> None:
    """Give each layer a weight and a bias of its own, named alike, since `clean` names the layers after them."""
    known = constants(graph)
    taken = {value.name for value in (*graph.input, *graph.output)}
    for node in graph.node:
        if node.op_type not in ("Conv", "Gemm") or node.input[1] not in known:
            continue
        stem = node.input[1].removesuffix(".weight")
        stem = next(name for n in count() if (name := f"{stem}_{n}" if n else stem) not in taken)
        taken.add(stem)
        for place, part in enumerate(("weight", "bias"), start=1):
            if len(node.input) > place and node.input[place] in known:
                _give(graph, node, place, known[node.input[place]], f"{stem}.{part}")


def _take_bias(graph: GraphProto, matmul: NodeProto, known: dict[str, NDArray[np.generic]]) -> None:
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


def _integer(node: NodeProto, name: str) -> int:
    return next((entry.i for entry in node.attribute if entry.name == name), 0)
