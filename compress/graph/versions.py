"""ONNX models as they are to be shipped: opset, batch axis, float16."""

from __future__ import annotations

import warnings

import onnx
from onnx import version_converter

from compress.errors import CheckError, missing_backend
from compress.graph.constants import batch_of, with_batch
from compress.graph.proto import copy_of, opset_of

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
    """Return the model for RGB images of this height and width where it leaves those open; else the model itself."""
    constants = {tensor.name for tensor in model.graph.initializer}
    images = [value for value in model.graph.input if value.name not in constants]
    sizes = [list(value.type.tensor_type.shape.dim)[1:] for value in images]
    if len(sizes) != 1 or len(sizes[0]) != 3 or all(dim.dim_value > 0 for dim in sizes[0]):
        return model
    copy = copy_of(model)
    (image,) = [value for value in copy.graph.input if value.name not in constants]
    for dim, size in zip(list(image.type.tensor_type.shape.dim)[1:], (3, px, px), strict=True):
        if dim.dim_value <= 0:
            dim.dim_value = size
    del copy.graph.value_info[:]  # sizes of the open graph
    return onnx.shape_inference.infer_shapes(copy, data_prop=True)


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
