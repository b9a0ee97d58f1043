"""Whether a TFLite file means what it says: indices lead somewhere, shapes fit their data, operators come in order.

The runtime checks the flatbuffer's offsets and little of what they lead to. It is called where a stranger's file is
tried in a process of its own: a file of a few bytes can claim lists that take minutes to walk.
"""

from __future__ import annotations

import math
from typing import Any

from compress.errors import ModelFileError
from compress.runtime.tflite_meta import schema, unpack

_HINT = "export or copy the file again; it was damaged or made to deceive"
_BITS = {
    "FLOAT32": 32, "FLOAT16": 16, "INT32": 32, "UINT8": 8, "INT64": 64, "BOOL": 8, "INT16": 16, "COMPLEX64": 64,
    "INT8": 8, "FLOAT64": 64, "COMPLEX128": 128, "UINT64": 64, "UINT32": 32, "UINT16": 16, "INT4": 4, "BFLOAT16": 16,
    "INT2": 2, "UINT4": 4, "FLOAT8_E4M3FN": 8, "FLOAT8_E5M2": 8,
}  # fmt: skip
_NO_TENSOR = -1  # an operator's optional input that is not given
_NEEDED = 2  # inputs that every operator needs but those with gates that may be left out; a bias comes third
_GATED = ("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "CUSTOM")
Table = Any  # the generated classes have no types


def require_truth(data: bytes, where: object) -> None:
    """Raise where a file contradicts itself.

    Raises:
        ModelFileError: names the part, what was found and what is allowed.
    """
    model = unpack(data, str(where))
    buffers, graphs, codes = model.buffers or [], model.subgraphs or [], model.operatorCodes or []
    if model.externalBuffers or model.externalBufferGroups:
        raise _lie(where, "its weights lie in other files, allowed are weights inside")
    for buffer in buffers:
        if buffer.offset > 1 and buffer.offset + buffer.size > len(data):
            raise _lie(where, f"a buffer ends at byte {buffer.offset + buffer.size} of {len(data)}")
    if not graphs:
        raise _lie(where, "it has no graph")
    known = {value for name, value in vars(schema().BuiltinOperator).items() if name.isupper()}
    for code in codes:
        if max(code.builtinCode, code.deprecatedBuiltinCode) not in known:
            raise _lie(where, f"an operator has the code {code.builtinCode}, which there is not")
    for graph in graphs:
        _require_graph(graph, model, len(data), where)


def _require_graph(graph: Table, model: Table, file_bytes: int, where: object) -> None:
    tensors, operators = _list(graph.tensors), _list(graph.operators)
    for index, tensor in enumerate(tensors):
        _require_tensor(index, tensor, model.buffers or [], where)
    made = set(_indices(graph.inputs, len(tensors), "the graph's inputs", where))
    made |= {index for index, tensor in enumerate(tensors) if _needs_no_maker(tensor, model.buffers)}
    for number, operator in enumerate(operators):
        what = f"operator {number}"
        if not 0 <= operator.opcodeIndex < len(model.operatorCodes or []):
            raise _lie(where, f"{what} has the kind {operator.opcodeIndex} of {len(model.operatorCodes or [])}")
        if operator.largeCustomOptionsOffset + operator.largeCustomOptionsSize > file_bytes:
            raise _lie(where, f"the options of {what} end beyond the file")
        inputs = _indices(operator.inputs, len(tensors), f"the inputs of {what}", where, optional=True)
        code = model.operatorCodes[operator.opcodeIndex]
        if _NO_TENSOR in inputs[:_NEEDED] and max(code.builtinCode, code.deprecatedBuiltinCode) not in _sparse_inputs():
            raise _lie(where, f"{what} is not given what it computes with: its inputs are {inputs}")
        if missing := [index for index in inputs if index != _NO_TENSOR and index not in made]:
            raise _lie(where, f"{what} reads tensor {missing[0]}, which nothing before it makes (a cycle?)")
        outputs = _indices(operator.outputs, len(tensors), f"the outputs of {what}", where)
        if again := [index for index in outputs if _holds(tensors[index], model.buffers)]:
            raise _lie(where, f"{what} writes tensor {again[0]}, which is a constant")
        _indices(operator.intermediates, len(tensors), f"the intermediates of {what}", where, optional=True)
        made.update(outputs)
    for index in _indices(graph.outputs, len(tensors), "the graph's outputs", where):
        if index not in made:
            raise _lie(where, f"its output, tensor {index}, is made by nothing in it")


def _require_tensor(index: int, tensor: Table, buffers: list[Table], where: object) -> None:
    shape = [int(size) for size in _list(tensor.shape)]
    names = {value: name for name, value in vars(schema().TensorType).items() if isinstance(value, int)}
    if tensor.type not in names:
        raise _lie(where, f"tensor {index} has the number type {tensor.type}, which there is not")
    if any(size < 0 for size in shape):
        raise _lie(where, f"tensor {index} has the shape {shape}: a size below 0")
    if not 0 <= tensor.buffer < max(1, len(buffers)):
        raise _lie(where, f"tensor {index} has the buffer {tensor.buffer} of {len(buffers)}")
    if isinstance(tensor.name, bytes):
        _text(tensor.name, f"the name of tensor {index}", where)
    bits = _BITS.get(names[tensor.type])
    if bits is not None and _holds(tensor, buffers) and tensor.sparsity is None:
        held, claimed = len(_list(buffers[tensor.buffer].data)), -(-math.prod(shape) * bits // 8)
        if held != claimed:
            raise _lie(where, f"tensor {index} has the shape {shape}, {claimed} bytes, but holds {held}")
    _require_grid(index, tensor, shape, where)


def _require_grid(index: int, tensor: Table, shape: list[int], where: object) -> None:
    grid = tensor.quantization
    scales = [] if grid is None else [float(scale) for scale in _list(grid.scale)]
    if not all(math.isfinite(scale) and scale >= 0 for scale in scales):
        raise _lie(where, f"tensor {index} has a scale that is no positive number")
    if len(scales) > 1 and not (
        0 <= grid.quantizedDimension < len(shape) and shape[grid.quantizedDimension] == len(scales)
    ):
        raise _lie(where, f"tensor {index} of shape {shape} has {len(scales)} scales on axis {grid.quantizedDimension}")
    if scales and len(_list(grid.zeroPoint)) not in (0, len(scales)):
        raise _lie(where, f"tensor {index} has {len(scales)} scales and {len(_list(grid.zeroPoint))} zero points")


def _needs_no_maker(tensor: Table, buffers: list[Table] | None) -> bool:
    return tensor.isVariable or 0 in _list(tensor.shape) or _holds(tensor, buffers)


def _sparse_inputs() -> set[int]:
    return {getattr(schema().BuiltinOperator, name) for name in _GATED}


def _holds(tensor: Table, buffers: list[Table] | None) -> bool:
    """Return whether a tensor is a constant."""
    at = tensor.buffer
    return 0 < at < len(buffers or []) and buffers is not None and len(_list(buffers[at].data)) > 0


def _indices(values: Any, count: int, what: str, where: object, *, optional: bool = False) -> list[int]:  # noqa: ANN401
    found = [int(value) for value in _list(values)]
    least = _NO_TENSOR if optional else 0
    if wrong := [index for index in found if not least <= index < count]:
        raise _lie(where, f"{what} name tensor {wrong[0]} of {count}")
    return found


def _list(values: Any) -> Any:  # noqa: ANN401 - an array, a list or None
    return [] if values is None else values


def _text(value: bytes, what: str, where: object) -> None:
    try:
        value.decode()
    except UnicodeDecodeError:
        raise _lie(where, f"{what} is no UTF-8: {value[:40]!r}") from None


def _lie(where: object, text: str) -> ModelFileError:
    return ModelFileError(f"{where}: {text}", hint=_HINT)
