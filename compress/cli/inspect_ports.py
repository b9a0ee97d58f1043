"""What `imgc inspect` says beside a file's content: its inputs and outputs, and what stops it from going further."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from compress.core.formats import Precision

_ANY = "any"


class FilePort(BaseModel):
    """An input or output.

    Attributes:
        name: in the file.
        dtype: as in "float32".
        shape: sides; "any", or the file's own name, where one is open.
        scale: of an integer tensor; None where it has none.
        zero_point: likewise.
    """

    name: str
    dtype: str
    shape: list[int | str]
    scale: float | None = None
    zero_point: int | None = None


def onnx_ports(model: ModelProto) -> tuple[list[FilePort], list[FilePort]]:
    """Return the inputs, without those that are weights, and the outputs."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [_onnx_port(value) for value in model.graph.input if value.name not in weights]
    return inputs, [_onnx_port(value) for value in model.graph.output]


def _onnx_port(value: ValueInfoProto) -> FilePort:
    import onnx

    tensor = value.type.tensor_type
    try:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    except KeyError:
        dtype = f"type {tensor.elem_type}"
    sides: list[int | str] = [
        one.dim_value if one.HasField("dim_value") else one.dim_param or _ANY for one in tensor.shape.dim
    ]
    return FilePort(name=value.name, dtype=dtype, shape=sides)


def tflite_ports(model: Any, type_names: dict[int, str]) -> tuple[list[FilePort], list[FilePort]]:  # noqa: ANN401 - generated
    """Return inputs and outputs of the first graph of an unpacked TFLite model."""
    graph = model.subgraphs[0]
    inputs, outputs = (
        [_tflite_port(graph.tensors[number], type_names) for number in numbers]
        for numbers in (graph.inputs, graph.outputs)
    )
    return inputs, outputs


def _tflite_port(tensor: Any, type_names: dict[int, str]) -> FilePort:  # noqa: ANN401 - generated
    grid = tensor.quantization
    single = grid is not None and grid.scale is not None and len(grid.scale) == 1
    sides = tensor.shapeSignature if tensor.shapeSignature is not None else tensor.shape
    return FilePort(
        name=(tensor.name or b"").decode(errors="replace"),
        dtype=type_names.get(tensor.type, "other"),
        shape=[int(side) if side >= 0 else _ANY for side in (sides if sides is not None else [])],
        scale=float(grid.scale[0]) if single else None,
        zero_point=int(grid.zeroPoint[0]) if single and grid.zeroPoint is not None and len(grid.zeroPoint) else None,
    )


def onnx_prospects(path: Path) -> dict[str, str]:
    """Return what a file can become -> "yes", or what stops it.

    Only what the graph says is looked at; how much accuracy int8 costs is known after `imgc quantize`.
    """
    from compress.core.formats import Precision
    from compress.errors import ImgcError
    from compress.graph.versions import with_fixed_batch
    from compress.lower.walk import lower

    try:
        model, precision, input_chw = _network_in(path)
    except ImgcError as error:
        stopped = _reason(error, path)
        return {"TFLite": stopped, "int8": stopped}
    prospects = {}
    try:
        lower(with_fixed_batch(model), half=False)
        prospects["TFLite"] = "yes"
    except ImgcError as error:
        prospects["TFLite"] = _reason(error, path)
    quantized = precision in (Precision.INT8, Precision.DYNAMIC)
    prospects["int8"] = "it is quantized already" if quantized else _int8_prospect(model, input_chw, path)
    return prospects


def _network_in(path: Path) -> tuple[ModelProto, Precision, tuple[int, int, int]]:
    """Return the graph of a file of either task, how its numbers are stored, and the shape of its images."""
    from compress.graph.importer import import_classifier, import_detector
    from compress.runtime.detector import is_detector

    if is_detector(path):
        model, spec, precision = import_detector(path)
        return model, precision, spec.input_chw
    found = import_classifier(path, widen=True)
    return found.model, found.precision, found.input_chw


def _int8_prospect(model: ModelProto, input_chw: tuple[int, int, int], path: Path) -> str:
    from compress.errors import ImgcError
    from compress.graph.versions import with_free_batch

    try:
        from compress.quantize.qdq.torch_graph import TorchGraph
    except ModuleNotFoundError as error:
        return f"not known: {error.name} is not installed"
    try:
        import torch

        with torch.inference_mode():
            TorchGraph(with_free_batch(model))(torch.zeros(2, *input_chw))  # two, as it is calibrated
    except ImgcError as error:
        return _reason(error, path)
    except Exception as error:  # an operator in a form that the graph runner does not know
        return f"uses an operator in a form that is not supported: {type(error).__name__}: {error}".splitlines()[0]
    return "yes"


def _reason(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ").splitlines()[0]
