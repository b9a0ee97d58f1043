"""ONNX models as they are to be shipped: opset, batch axis, float16."""

from __future__ import annotations

import warnings

import onnx
from onnx import version_converter

from compress.errors import CheckError, missing_backend
from compress.graph.constants import batch_of, with_batch
from compress.graph.interface import is_channels_last
from compress.graph.proto import attributes_of, copy_of, inputs_of, opset_of, rename, shape_of

_BATCH_NAME = "batch"


def with_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """Return the model in another version of the operator set.

    Raises:
        CheckError: ONNX's converter knows no way there for one of the operators.
    """
    if opset_of(model) == opset:
        return model
    try:
        converted = version_converter.convert_version(model, opset)
    except Exception as error:  # the converter raises RuntimeError and its own C++ errors
        reason = str(error).strip().splitlines()[0]
        hint = f"leave `opset` out: the model stays at {opset_of(model)}"
        raise CheckError(f"cannot turn opset {opset_of(model)} into {opset}: {reason}", hint=hint) from error
    return converted


def with_fixed_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that takes exactly one image where the batch is open, shapes inferred anew.

    Raises:
        CheckError: ONNX's shape inference refuses the graph.
    """
    return _inferred(with_batch(model, batch_of(model) or 1))


def with_free_batch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy that takes any number of images, shapes inferred anew.

    Raises:
        CheckError: the graph holds another batch fast.
    """
    return _inferred(with_batch(model, _BATCH_NAME))


def with_image_size(model: onnx.ModelProto, px: int) -> onnx.ModelProto:
    """Return the model for RGB images of this height and width where it leaves those open; else the model itself.

    Channels may come first or last.
    """
    images = inputs_of(model)
    sizes = [list(value.type.tensor_type.shape.dim)[1:] for value in images]
    if len(sizes) != 1 or len(sizes[0]) != 3 or all(dim.dim_value > 0 for dim in sizes[0]):
        return model
    wanted = (px, px, 3) if is_channels_last(shape_of(images[0])) else (3, px, px)
    copy = copy_of(model)
    (image,) = inputs_of(copy)
    for dim, size in zip(list(image.type.tensor_type.shape.dim)[1:], wanted, strict=True):
        if dim.dim_value <= 0:
            dim.dim_value = size
    del copy.graph.value_info[:]  # sizes of the open graph
    return onnx.shape_inference.infer_shapes(copy, data_prop=True)


def with_channels_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model for images [N, C, H, W] where it takes [N, H, W, C], as Keras has them; else the model itself.

    A Transpose that the file begins with, as tf2onnx writes it, goes; where there is none, the opposite one comes.
    """
    images = inputs_of(model)
    if len(images) != 1 or not is_channels_last(shape_of(images[0])):
        return model
    copy = copy_of(model)
    graph = copy.graph
    (image,) = inputs_of(copy)
    dims = image.type.tensor_type.shape.dim
    batch, height, width, channels = [onnx.TensorShapeProto.Dimension.FromString(d.SerializeToString()) for d in dims]
    del dims[:]
    dims.extend((batch, channels, height, width))
    last = f"{image.name}.last"
    rename(graph, image.name, last)
    for node in graph.node:
        if node.op_type == "Transpose" and node.input[0] == last and attributes_of(node).get("perm") == [0, 3, 1, 2]:
            node.op_type, node.input[0] = "Identity", image.name
            del node.attribute[:]
    if any(last in node.input for node in graph.node):
        turn = onnx.helper.make_node("Transpose", [image.name], [last], f"{image.name}.turn", perm=[0, 2, 3, 1])
        graph.node.insert(0, turn)
    return copy


def _inferred(model: onnx.ModelProto) -> onnx.ModelProto:
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        hint = "the model contradicts itself: make it again"
        raise CheckError(f"ONNX refuses the graph with another batch: {str(error).strip()}", hint=hint) from error


def to_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a float32 model with float16 weights and arithmetic; input and output stay float32.

    Raises:
        BackendMissingError: onnxruntime is not installed.
    """
    try:
        from onnxruntime.transformers.float16 import convert_float_to_float16
        from onnxruntime.transformers.onnx_model import OnnxModel
    except ImportError as error:
        raise missing_backend("onnxruntime", "train") from error
    copy = copy_of(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says once a tensor that tiny weights become zero; parity judges that
        half: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # the casts were put at the end
    return half
