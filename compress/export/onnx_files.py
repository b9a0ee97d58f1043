"""ONNX models as they are to be shipped: opset, batch axis, float16, quantized or not."""

from __future__ import annotations

import warnings

import onnx
from onnx import version_converter

from compress.core.formats import Precision
from compress.errors import CheckError, missing_backend

_STATIC_OPS = frozenset({"QuantizeLinear", "QLinearConv"})
_DYNAMIC_OPS = frozenset({"DynamicQuantizeLinear", "ConvInteger", "MatMulInteger"})


def precision_of(model: onnx.ModelProto) -> Precision:
    """Return how the numbers of an ONNX model are stored, by its operators and initializers."""
    ops = {node.op_type for node in model.graph.node}
    if ops & _DYNAMIC_OPS:
        return Precision.DYNAMIC
    if ops & _STATIC_OPS:
        return Precision.INT8
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return Precision.FP16 if half else Precision.FP32


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the default operator set."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


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
    """Return a copy that takes exactly one image, shapes inferred anew.

    Raises:
        CheckError: ONNX's shape inference refuses the graph.
    """
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in [*fixed.graph.input, *fixed.graph.output]:
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_value = 1
    del fixed.graph.value_info[:]
    try:
        return onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        hint = "the model contradicts itself: make it again"
        raise CheckError(f"ONNX refuses the graph with a batch of 1: {str(error).strip()}", hint=hint) from error


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
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says once a tensor that tiny weights become zero; parity judges that
        half: onnx.ModelProto = convert_float_to_float16(copy, keep_io_types=True)
    OnnxModel.graph_topological_sort(half.graph, is_deterministic=True)  # the casts were put at the end
    return half
