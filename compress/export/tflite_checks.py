"""Checks of a TFLite file that can fail. They read `unpack(bytes)`, never the lowering's own state."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import numpy_helper

from compress.core.artifact import Metrics
from compress.core.formats import Precision
from compress.core.names import few
from compress.core.spec import ModelSpec
from compress.errors import CheckError
from compress.export.checks import MOST_NAMED, int8_metrics
from compress.runtime.tflite_meta import schema, text_of

Model = Any  # `ModelT` has no types
TFLITE_OPS = frozenset(
    {
        "ADD", "AVERAGE_POOL_2D", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE", "DIV",
        "FULLY_CONNECTED", "GATHER", "HARD_SWISH", "LOGISTIC", "MAXIMUM", "MAX_POOL_2D", "MEAN", "MINIMUM", "MUL",
        "PAD", "PADV2", "QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "SOFTMAX", "SUB", "TRANSPOSE",
        "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
        "BATCH_MATMUL", "DEPTH_TO_SPACE", "ELU", "GELU", "LEAKY_RELU", "PRELU", "RSQRT", "SQRT", "STRIDED_SLICE",
    }
)  # fmt: skip
_SELECT_PREFIX = "Flex"  # custom operators that need the TensorFlow runtime
_GRID_ONLY = frozenset({"QUANTIZE", "DEQUANTIZE"})


def check_tflite(
    model: Model, path: Path, *, builtins_only: bool, select_tf_ops: bool, custom_ops: frozenset[str] = frozenset()
) -> Metrics:
    """Check the operators of a file; returns their number.

    Args:
        model: the file, unpacked.
        path: for messages.
        builtins_only: allow `TFLITE_OPS` alone (our own converter); else every TFLite builtin.
        select_tf_ops: allow operators that need the TensorFlow runtime.
        custom_ops: operators beside the builtins that the file was to have.

    Raises:
        CheckError: names the operator and its output tensor.
    """
    graph = model.subgraphs[0]
    for op in graph.operators:
        code = operator_name(model, op)
        if code.removeprefix("custom:") in custom_ops:
            continue
        custom = code.startswith("custom:")
        name = _name(graph.tensors[op.outputs[0]])
        if custom and not (select_tf_ops and code.removeprefix("custom:").startswith(_SELECT_PREFIX)):
            hint = "SELECT_TF_OPS files need the TensorFlow runtime; allow them with `select_tf_ops: true`"
            raise CheckError(f"{path}: operator {code} making '{name}' is not a TFLite builtin", hint=hint)
        if builtins_only and code not in TFLITE_OPS:
            raise CheckError(f"{path}: operator {code} making '{name}', allowed: {', '.join(sorted(TFLITE_OPS))}")
    return {"operators": len(graph.operators)}


def check_interface(model: Model, path: Path, spec: ModelSpec) -> None:
    """Check signature, shapes and types against the spec.

    Raises:
        CheckError: names the tensor, what was found and what the spec says.
    """
    graph = model.subgraphs[0]
    if not model.signatureDefs:
        raise CheckError(f"{path}: has no signature, wanted serving_default: images -> logits")
    c, h, w = spec.input_chw
    wanted = {"images": (h, w, c), "logits": (spec.num_classes,)}
    kinds = {schema().TensorType.FLOAT32, schema().TensorType.INT8}
    signature = model.signatureDefs[0]
    for entries, key in ((signature.inputs, "images"), (signature.outputs, "logits")):
        names = [text_of(entry.name) for entry in entries]
        if names != [key]:
            raise CheckError(f"{path}: the signature has {names}, wanted ['{key}']")
        tensor = graph.tensors[entries[0].tensorIndex]
        shape = tuple(int(size) for size in tensor.shape)
        if shape[1:] != wanted[key]:
            raise CheckError(f"{path}: '{key}' has the shape {list(shape)}, the spec says [N, {wanted[key]}] (NHWC)")
        if tensor.type not in kinds or (
            spec.precision is not Precision.INT8 and tensor.type != schema().TensorType.FLOAT32
        ):
            raise CheckError(
                f"{path}: '{key}' has the tensor type {tensor.type}, allowed float32, or int8 in int8 files"
            )


def check_int8(model: Model, path: Path) -> Metrics:
    """Return the share of int8 weight bytes and the operators that compute in float.

    Raises:
        CheckError: most weight bytes are not int8.
    """
    graph, types = model.subgraphs[0], schema().TensorType
    sizes: Counter[bool] = Counter()
    for tensor in graph.tensors:
        content = model.buffers[tensor.buffer].data
        if content is not None and len(tensor.shape) > 1 and tensor.type in (types.INT8, types.FLOAT32, types.FLOAT16):
            sizes[tensor.type == types.INT8] += len(content)
    floats = _float_operators(model)
    return int8_metrics(path, sizes[True], sizes[False], floats)


def check_integers_only(model: Model, path: Path, target: str) -> None:
    """Check that image, logits and every operator between them are int8.

    Raises:
        CheckError: names what is float.
    """
    graph, types = model.subgraphs[0], schema().TensorType
    ends = [graph.tensors[index] for index in (*graph.inputs, *graph.outputs)]
    if floats := _float_operators(model) + [_name(tensor) for tensor in ends if tensor.type != types.INT8]:
        raise CheckError(
            f"{path}: {few(floats, MOST_NAMED)} in float; target {target} allows no float",
            hint="look at that node of the QDQ model: it has to be quantized on both sides",
        )


def check_lossless(
    model: Model,
    path: Path,
    source: onnx.ModelProto,
    grids: Mapping[str, int],
    integers: Mapping[int, tuple[str, tuple[int, ...]]],
) -> Metrics:
    """Compare every scale, zero point and integer of the file with the QDQ graph it was lowered from.

    Args:
        model: the TFLite file, unpacked.
        path: for messages.
        source: the QDQ model.
        grids: output of a QuantizeLinear or DequantizeLinear over an activation -> tensor index.
        integers: tensor index -> (initializer, permutation) as `Lowered.integers` has it.

    Raises:
        CheckError: names the first tensor that differs.
    """
    tensors = model.subgraphs[0].tensors
    constants = _constants(source)
    unsigned = _unsigned(source, constants)
    compared = 0
    for node in source.graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.output[0] not in grids:
            continue
        tensor = tensors[grids[node.output[0]]]
        _compare_grid(path, node.output[0], tensor, *_grid(node, constants, unsigned))
        compared += 1
    weights = {node.input[0]: node for node in source.graph.node if node.op_type == "DequantizeLinear"}
    same = 0
    for index, (name, perm) in integers.items():
        if name not in constants:  # folded from float weights and a QuantizeLinear
            continue
        _compare_grid(path, name, tensors[index], *_grid(weights[name], constants, unsigned))
        stored = np.frombuffer(bytes(model.buffers[tensors[index].buffer].data), _INTEGER[tensors[index].type])
        wanted = _as_stored(constants[name], perm)
        if not np.array_equal(stored, wanted):
            raise CheckError(
                f"{path}: integers of '{name}' differ from the QDQ model's ({_difference(stored, wanted)})"
            )
        same += stored.size
    return {"lossless_grids": compared, "lossless_integers": same}


_INTEGER: dict[int, npt.DTypeLike] = {9: np.int8, 2: np.int32}  # TensorType.INT8, INT32


def _constants(source: onnx.ModelProto) -> dict[str, npt.NDArray[np.generic]]:
    """Return initializers and Constant nodes by name."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in source.graph.initializer}
    for node in source.graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            found[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    return found


def _unsigned(source: onnx.ModelProto, constants: Mapping[str, npt.NDArray[np.generic]]) -> set[str]:
    """Return the names of uint8 tensors: constants, what QuantizeLinear makes, and what moves either."""
    found = {name for name, array in constants.items() if array.dtype == np.uint8}
    for node in source.graph.node:
        if node.op_type == "QuantizeLinear":
            output = next((entry.i for entry in node.attribute if entry.name == "output_dtype"), 0)
            if len(node.input) > 2 and node.input[2]:
                output = onnx.helper.np_dtype_to_tensor_dtype(constants[node.input[2]].dtype)
            if output in (0, onnx.TensorProto.UINT8):  # 0: not said, which means uint8
                found.add(node.output[0])
        elif node.op_type != "DequantizeLinear" and found.intersection(node.input):
            found.update(node.output)
    return found


def _grid(
    node: onnx.NodeProto, constants: Mapping[str, npt.NDArray[np.generic]], unsigned: set[str]
) -> tuple[list[float], list[int]]:
    """Return scales and zero points (on the int8 grid) of a node; a missing zero point is 0 of the integers' type."""
    scale = np.atleast_1d(constants[node.input[1]]).astype(np.float32)
    integers = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
    offset = 128 if integers in unsigned else 0
    if len(node.input) < 3 or not node.input[2]:
        return scale.tolist(), [-offset] * scale.size
    zero = np.atleast_1d(constants[node.input[2]])
    return scale.tolist(), (zero.astype(np.int64) - (128 if zero.dtype == np.uint8 else 0)).tolist()


def _compare_grid(path: Path, name: str, tensor: Any, scale: list[float], zero: list[int]) -> None:  # noqa: ANN401 - generated class
    table = tensor.quantization
    found = None if table is None or table.scale is None else (list(table.scale), list(table.zeroPoint))
    if found is None or [float(s) for s in found[0]] != scale or [int(z) for z in found[1]] != zero:
        raise CheckError(
            f"{path}: tensor '{_name(tensor)}' does not have the grid of '{name}' "
            f"(found {_short(found)}, the QDQ model has {_short((scale, zero))})"
        )
    if len(scale) > 1 and int(tensor.shape[table.quantizedDimension]) != len(scale):
        raise CheckError(f"{path}: tensor '{_name(tensor)}' has its scales along axis {table.quantizedDimension}")


def _as_stored(data: npt.NDArray[np.generic], perm: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """Return an initializer's integers in the order in which TFLite stores them."""
    if data.dtype == np.uint8:
        data = (data.astype(np.int16) - 128).astype(np.int8)
    if len(perm) == 5:  # [O,I] with I reordered from C,H,W to H,W,C
        rows = data.transpose(perm[:2])
        return rows.reshape(len(rows), *perm[2:]).transpose(0, 2, 3, 1).reshape(-1)
    wide = data.reshape((1,) * (len(perm) - data.ndim) + data.shape)
    return wide.transpose(perm).reshape(-1)


def _difference(stored: npt.NDArray[np.generic], wanted: npt.NDArray[np.generic]) -> str:
    if stored.size != wanted.size:
        return f"{stored.size} of {wanted.size}"
    return f"{int((stored != wanted).sum())} of {wanted.size}, first at {int(np.argmax(stored != wanted))}"


def _float_operators(model: Any) -> list[str]:  # noqa: ANN401 - generated classes
    """Return the operators that compute in float, each with the tensor it makes."""
    graph, real = model.subgraphs[0], schema().TensorType.FLOAT32
    made = ((op, graph.tensors[op.outputs[0]]) for op in graph.operators)
    return [
        f"{operator_name(model, op)}:{_name(tensor)}"
        for op, tensor in made
        if tensor.type == real and operator_name(model, op) not in _GRID_ONLY
    ]


def operator_name(model: Model, op: Any) -> str:  # noqa: ANN401 - generated classes
    """Return what an operator is called: a builtin by its name, `custom:NAME`, or `builtin NUMBER`."""
    table = model.operatorCodes[op.opcodeIndex]
    number = max(table.builtinCode, table.deprecatedBuiltinCode)
    if number == schema().BuiltinOperator.CUSTOM:
        return f"custom:{text_of(table.customCode)}"
    return _OPERATOR_NAMES.get(number) or f"builtin {number}"


def _operator_names() -> dict[int, str]:
    return {number: name for name, number in vars(schema().BuiltinOperator).items() if name.isupper()}


_OPERATOR_NAMES = _operator_names()


def _name(tensor: Any) -> str:  # noqa: ANN401 - generated class
    return text_of(tensor.name)


def _short(found: tuple[list[float], list[int]] | None) -> str:
    if found is None:
        return "no grid"
    scale, zero = found
    more = f" and {len(scale) - 1} more" if len(scale) > 1 else ""
    return f"scale {scale[0]:g}, zero point {zero[0]}{more}" if math.isfinite(scale[0]) else "a broken scale"
