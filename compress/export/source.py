"""What the export stage starts from: an ONNX graph, whichever format the input has, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.errors import ModelFileError, UsageError
from compress.export.config import ExportConfig
from compress.export.onnx_files import precision_of, to_half, with_fixed_batch, with_opset
from compress.models.onnx_meta import spec_of
from compress.models.to_onnx import to_onnx
from compress.models.weights import load_model
from compress.runtime.predictor import foreign_spec

_TORCH_OPSET = 18


@dataclass(frozen=True)
class Source:
    """The model to export.

    Attributes:
        artifact: the input.
        model: it as ONNX: what is written, or lowered.
        spec: what it is; None for a file of another tool without preprocessing.
        precision: how its numbers are stored now.
        wanted: how they are to be stored.
        input_chw: channels, height, width of one image.
    """

    artifact: Artifact
    model: onnx.ModelProto
    spec: ModelSpec | None
    precision: Precision
    wanted: Precision
    input_chw: tuple[int, int, int]


def read_source(artifact: Artifact, config: ExportConfig) -> Source:
    """Return the input as an ONNX graph in the opset and with the batch axis that the config asks for.

    Raises:
        ModelFileError: the file cannot be read.
        UsageError: an opset or a precision that cannot be had.
        CheckError: an opset that this graph cannot be turned into.
    """
    if artifact.format is Format.TORCH:
        wanted = _choose_precision(artifact, Precision.FP32, config)  # before the slow export
        module, spec = load_model(artifact.path)
        opset = config.opset or _TORCH_OPSET
        model = to_onnx(module, spec, opset=opset, dynamic_batch=config.dynamic_batch)
        return Source(artifact, model, spec_of(model, artifact.path), Precision.FP32, wanted, spec.input_chw)
    try:
        model = onnx.load(artifact.path)
    except Exception as error:  # protobuf's and the file system's errors share no base class
        raise ModelFileError(f"{artifact.path}: not a readable ONNX model: {error}") from error
    precision = precision_of(model)
    wanted = _choose_precision(artifact, precision, config)
    if config.opset is not None:
        model = with_opset(model, config.opset)
    if not config.dynamic_batch:
        model = with_fixed_batch(model)
    input_chw, classes = _interface(model, artifact)
    found = spec_of(model, artifact.path)
    if found is None and config.preprocess is not None:
        found = foreign_spec(artifact.path, input_chw, classes, precision, config.preprocess)
    return Source(artifact, model, found, precision, wanted, input_chw)


def _choose_precision(artifact: Artifact, found: Precision, config: ExportConfig) -> Precision:
    """Return the precision to write.

    Raises:
        UsageError: int8 is asked of a float model, or floats of an int8 one.
    """
    if config.precision == "auto":
        return found
    wanted = Precision(config.precision)
    if wanted is found or (wanted is Precision.FP16 and found is Precision.FP32):
        return wanted
    message = f"export: {wanted} asked of '{artifact.stage_id}' ({artifact.path.name}), which is {found}"
    if wanted is Precision.INT8:
        hint = "add a quantize stage before the export: `- {kind: quantize, scheme: int8_static}` or `imgc quantize`"
        raise UsageError(message, hint=hint)
    raise UsageError(message, hint="export from the float stage: `from: <its id>`")


def in_precision(model: onnx.ModelProto, found: Precision, wanted: Precision) -> onnx.ModelProto:
    """Return the graph with its float weights halved where that is wanted."""
    return to_half(model) if wanted is Precision.FP16 and found is Precision.FP32 else model


def _interface(model: onnx.ModelProto, artifact: Artifact) -> tuple[tuple[int, int, int], int]:
    """Return [C, H, W] and the number of classes that the graph declares."""
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in [*inputs[:1], *model.graph.output[:1]]]
    if len(shapes) != 2 or len(shapes[0]) != 4 or min(shapes[0][1:]) <= 0 or len(shapes[1]) != 2 or shapes[1][1] <= 0:
        raise ModelFileError(
            f"{artifact.path}: not an image classifier with fixed sizes (found input and output shapes {shapes}, "
            "allowed [N,C,H,W] and [N,K])"
        )
    _, c, h, w = shapes[0]
    return (c, h, w), shapes[1][1]
