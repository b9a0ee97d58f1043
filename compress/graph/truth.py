"""Whether an ONNX message means what it says: texts are texts, tensors fit their shapes, nodes come in order.

Protobuf checks none of this, and libraries behind it fail in as many ways as there are lies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from onnx import GraphProto, ModelProto, TensorProto, TypeProto, helper

from compress.errors import ModelFileError

_HINT = "export or copy the file again; it was damaged or made to deceive"
_NONE = "which there is not"
_NUMBER_TYPES = {TensorProto.UNDEFINED, *helper.get_all_tensor_dtypes()}
_PACKED_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}
# number type -> the field that holds its values where raw_data does not, and values for each number
_TYPED: dict[int, tuple[str, int]] = {
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}


def require_truth(model: ModelProto, where: object) -> None:
    """Raise where the message contradicts itself, whatever operators it has.

    Raises:
        ModelFileError: names the text, tensor or node.
    """
    for message in _messages(model):
        _require_texts(message, where)
        if isinstance(message, TensorProto):
            _require_tensor(message, where)
        elif isinstance(message, TypeProto.Tensor) and message.elem_type not in _NUMBER_TYPES:
            raise ModelFileError(f"{where}: a value has the number type {message.elem_type}, {_NONE}", hint=_HINT)
    _require_order(model.graph, frozenset(), where)


def _messages(message: Any) -> Iterator[Any]:  # noqa: ANN401 - any message of onnx.proto3
    """Yield a message and every one inside it."""
    waiting = [message]
    while waiting:
        one = waiting.pop()
        yield one
        for field, value in one.ListFields():
            if field.type == field.TYPE_MESSAGE:
                waiting.extend(value if field.is_repeated else [value])


def _require_texts(message: Any, where: object) -> None:  # noqa: ANN401 - any message of onnx.proto3
    for field, value in message.ListFields():
        if field.type == field.TYPE_STRING:
            texts = value if field.is_repeated else [value]
            for text in texts:
                if not isinstance(text, str):  # protobuf gives what is no UTF-8 as bytes
                    raise ModelFileError(f"{where}: a {field.name} in it is no UTF-8: {text[:40]!r}", hint=_HINT)


def _require_tensor(tensor: TensorProto, where: object) -> None:
    kind, name = tensor.data_type, f"{where}: tensor '{tensor.name}'"
    if kind not in _NUMBER_TYPES or kind == TensorProto.UNDEFINED:
        raise ModelFileError(f"{name} has the number type {kind}, {_NONE}", hint=_HINT)
    if any(size < 0 for size in tensor.dims):
        raise ModelFileError(f"{name} has the shape {list(tensor.dims)}: a size below 0", hint=_HINT)
    claimed = math.prod(tensor.dims)
    if tensor.HasField("raw_data"):
        held = len(tensor.raw_data)
        bits = _PACKED_BITS.get(kind) or 8 * helper.tensor_dtype_to_np_dtype(kind).itemsize
        fits = held == -(-claimed * bits // 8) and kind != TensorProto.STRING
    else:
        field, values = _TYPED.get(kind, ("int32_data", 1))
        held = len(getattr(tensor, field))
        fits = held == (-(-claimed * _PACKED_BITS[kind] // 8) if kind in _PACKED_BITS else claimed * values)
    if not fits:
        what = "bytes" if tensor.HasField("raw_data") else "values"
        raise ModelFileError(f"{name} has the shape {list(tensor.dims)}, but holds {held} {what}", hint=_HINT)


def _require_order(graph: GraphProto, outside: frozenset[str], where: object) -> None:
    """Raise where a node reads what nothing before it made: a cycle, or a name that there is not."""
    known = {*outside, *(value.name for value in graph.input), *(tensor.name for tensor in graph.initializer)}
    known.update(tensor.values.name for tensor in graph.sparse_initializer)
    for node in graph.node:
        for name in node.input:
            if name and name not in known:
                raise ModelFileError(
                    f"{where}: node '{node.name}' ({node.op_type}) reads '{name}', which nothing before it makes: "
                    "a cycle, nodes out of order, or a part is missing",
                    hint=_HINT,
                )
        for entry in node.attribute:
            for inner in ([entry.g] if entry.HasField("g") else []) + list(entry.graphs):
                _require_order(inner, frozenset(known), where)
        known.update(node.output)
    for value in graph.output:
        if value.name not in known:
            raise ModelFileError(f"{where}: its output '{value.name}' is made by nothing in it", hint=_HINT)
