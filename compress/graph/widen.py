"""Float16 graphs as float32 graphs: every stored number keeps its value, and sums are made in more bits than before."""

from __future__ import annotations

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, numpy_helper

from compress.graph.proto import copy_of

_HALF, _FLOAT = TensorProto.FLOAT16, TensorProto.FLOAT


def widened(model: ModelProto) -> ModelProto:
    """Return the model with float32 wherever it has float16; it is not changed itself."""
    copy = copy_of(model)
    graph = copy.graph
    for tensor in graph.initializer:
        _widen(tensor)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.type.tensor_type.elem_type == _HALF:
            value.type.tensor_type.elem_type = _FLOAT
    _widen_nodes(graph)
    return copy


def _widen_nodes(graph: GraphProto) -> None:
    for node in graph.node:
        for entry in node.attribute:
            if entry.HasField("t"):
                _widen(entry.t)
            elif entry.name in ("to", "dtype") and entry.i == _HALF:
                entry.i = _FLOAT


def _widen(tensor: TensorProto) -> None:
    if tensor.data_type == _HALF:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
