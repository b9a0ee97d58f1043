"""Reading `ModelProto`: a file opened, a node's attributes, a graph's constants, who makes and who reads a tensor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import GraphProto, ModelProto, NodeProto, helper, numpy_helper

from compress.core.formats import Precision
from compress.core.onnx_file import onnx_bytes
from compress.core.outputs import OutputKind, kind_of
from compress.errors import ImgcError, ModelFileError
from compress.graph.interface import Interface, Port, Size
from compress.graph.operators import DYNAMIC, QDQ, QOPERATOR, QUANTIZED
from compress.graph.truth import require_truth

Array = npt.NDArray[Any]
Consumers = Mapping[str, Sequence[NodeProto]]
DEFAULT_DOMAINS = ("", "ai.onnx")


def load(path: Path) -> ModelProto:
    """Return the model in an ONNX file, with the weights that lie in files beside it.

    Raises:
        ModelFileError: it cannot be read, or contradicts itself.
    """
    try:
        model = ModelProto()
        model.ParseFromString(onnx_bytes(path))
    except ImgcError:
        raise
    except Exception as error:  # protobuf's and the file system's errors share no base class
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(
            f"{path}: not a readable ONNX model: {reason}",
            hint="export or copy the file again; a broken download or a foreign format looks like this",
        ) from error
    require_truth(model, path)
    return model


def copy_of(model: ModelProto) -> ModelProto:
    """Return a copy that may be changed."""
    copy = ModelProto()
    copy.CopyFrom(model)
    return copy


def opset_of(model: ModelProto) -> int:
    """Return the version of the default operator set."""
    return max((entry.version for entry in model.opset_import if entry.domain in DEFAULT_DOMAINS), default=0)


def is_quantized(model: ModelProto) -> bool:
    """Return whether any operator computes on integers, or rounds to them."""
    return any(node.op_type in QUANTIZED for node in model.graph.node)


def precision_of(model: ModelProto) -> Precision:
    """Return how the numbers of a model are stored, by its operators and initializers."""
    ops = {node.op_type for node in model.graph.node}
    if ops & DYNAMIC:
        return Precision.DYNAMIC
    if ops & (QDQ | QOPERATOR):
        return Precision.INT8
    half = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return Precision.FP16 if half else Precision.FP32


def attributes_of(node: NodeProto) -> dict[str, Any]:
    """Return a node's attributes by name, as Python values; text is decoded."""
    return {entry.name: _plain(helper.get_attribute_value(entry)) for entry in node.attribute}


def _plain(value: Any) -> Any:  # noqa: ANN401 - ONNX attributes are of many types
    return value.decode() if isinstance(value, bytes) else value


def constant_of(node: NodeProto) -> Array:
    """Return what a Constant node makes, whichever attribute holds it.

    Raises:
        ModelFileError: a sparse tensor or a text.
    """
    (entry,) = node.attribute
    if entry.name == "value":
        return numpy_helper.to_array(entry.t)
    kinds = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    if entry.name not in kinds:
        raise ModelFileError(f"node '{node.name}' (Constant): holds a {entry.name}, allowed numbers")
    return np.asarray(helper.get_attribute_value(entry), kinds[entry.name])


def constants_of(graph: GraphProto) -> dict[str, Array]:
    """Return the constants of a graph by name: initializers, and what Constant nodes make."""
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    return found | {node.output[0]: constant_of(node) for node in graph.node if node.op_type == "Constant"}


def makers_of(graph: GraphProto) -> dict[str, NodeProto]:
    """Return the node that makes each tensor."""
    return {name: node for node in graph.node for name in node.output if name}


def consumers_of(graph: GraphProto) -> Consumers:
    """Return the nodes that read each tensor; the graph's own outputs are read by no node."""
    found: dict[str, list[NodeProto]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def rename(graph: GraphProto, old: str, new: str) -> None:
    """Give a tensor another name wherever a node makes or reads it."""
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new


def output_kind(model: ModelProto) -> OutputKind:
    """Return what the first output is: logits, probabilities or scores."""
    makers = {name: (node.op_type, next(iter(node.input), "")) for node in model.graph.node for name in node.output}
    return kind_of(model.graph.output[0].name, makers)


def interface_of(model: ModelProto) -> Interface:
    """Return what a model takes and gives."""
    return Interface(tuple(map(_port, inputs_of(model))), tuple(map(_port, model.graph.output)))


def inputs_of(model: ModelProto) -> list[onnx.ValueInfoProto]:
    """Return the inputs of a model without the initializers that old files list among them."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def shape_of(value: onnx.ValueInfoProto) -> tuple[Size, ...]:
    """Return the sizes of a tensor, None where one is open."""
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in value.type.tensor_type.shape.dim)


def _port(value: onnx.ValueInfoProto) -> Port:
    tensor = value.type.tensor_type
    known = tensor.elem_type and value.type.HasField("tensor_type")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name if known else "no tensor"
    return Port(value.name, dtype, shape_of(value))
