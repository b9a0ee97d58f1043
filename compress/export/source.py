"""What the export stage starts from: an ONNX graph, whichever format the input has, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.errors import CheckError, ModelFileError, UsageError
from compress.export.checks import require_finite
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
        require_finite(model, artifact.path)
        return Source(artifact, model, spec_of(model, artifact.path), Precision.FP32, wanted, spec.input_chw)
    try:
        model = onnx.load(artifact.path)
    except Exception as error:  # protobuf's and the file system's errors share no base class
        hint = "export or copy the file again; a broken download or a foreign format looks like this"
        raise ModelFileError(f"{artifact.path}: not a readable ONNX model: {error}", hint=hint) from error
    input_chw, classes = _interface(model, artifact)
    require_finite(model, artifact.path)
    precision = precision_of(model)
    wanted = _choose_precision(artifact, precision, config)
    try:
        if config.opset is not None:
            model = with_opset(model, config.opset)
        if not config.dynamic_batch:
            model = with_fixed_batch(model)
    except CheckError as error:
        raise CheckError(f"{artifact.path}: {error.message}", hint=error.hint) from error
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
    """Return [C, H, W] and the number of classes that the graph declares.

    Raises:
        ModelFileError: not one image in and one row of logits out, or a size that is left open.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    for values, role in ((inputs, "input"), (model.graph.output, "output")):
        if len(values) != 1:
            names = ", ".join(f"'{value.name}'" for value in values) or "none"
            raise ModelFileError(
                f"{artifact.path}: has the {role}s {names}, allowed one {role}",
                hint="export a classifier: one image [N,C,H,W] in, one row of logits [N,K] out",
            )
    _, c, h, w = _sizes(inputs[0], "[N,C,H,W]", artifact)
    return (c, h, w), _sizes(model.graph.output[0], "[N,K]", artifact)[1]


def _sizes(value: onnx.ValueInfoProto, allowed: str, artifact: Artifact) -> list[int]:
    """Return the sizes of an input or output, all but the batch of which must be fixed."""
    dims = value.type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in dims]
    if len(sizes) != allowed.count(",") + 1 or any(size <= 0 for size in sizes[1:]):
        found = ",".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims)
        raise ModelFileError(
            f"{artifact.path}: '{value.name}' has the shape [{found}], allowed {allowed} with every size but N fixed",
            hint="export the ONNX model with a fixed image size",
        )
    return sizes
