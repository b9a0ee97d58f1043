"""What the export stage starts from: an ONNX graph, whichever format the input has, and what it is."""

from __future__ import annotations

from dataclasses import dataclass

import onnx

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.labels import labels_in
from compress.core.spec import ModelSpec
from compress.errors import CheckError, UsageError
from compress.export.config import ExportConfig
from compress.graph.finite import require_finite
from compress.graph.from_torch import to_onnx
from compress.graph.importer import import_classifier
from compress.graph.metadata import spec_of
from compress.graph.versions import to_half, with_fixed_batch, with_opset
from compress.models.weights import load_model
from compress.runtime.predictor import foreign_spec, with_labels

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
        wanted = choose_precision(artifact, Precision.FP32, config)  # before the slow export
        module, own = load_model(artifact.path)
        opset = config.opset or _TORCH_OPSET
        model = to_onnx(module, own, opset=opset, dynamic_batch=config.dynamic_batch)
        require_finite(model, artifact.path)
        return Source(artifact, model, spec_of(model, artifact.path), Precision.FP32, wanted, own.input_chw)
    found = import_classifier(artifact.path, crop_px=config.preprocess.crop_px if config.preprocess else None)
    wanted = choose_precision(artifact, found.precision, config)
    model = _in_shape(found.model, artifact, config)
    spec = found.spec
    if spec is None and config.preprocess is not None:
        spec = foreign_spec(artifact.path, found.input_chw, found.classes, found.precision, config.preprocess)
        spec = spec.model_copy(update={"outputs": found.outputs})
        if config.labels is not None:
            spec = with_labels(spec, labels_in(config.labels), artifact.path)
    return Source(artifact, model, spec, found.precision, wanted, found.input_chw)


def _in_shape(model: onnx.ModelProto, artifact: Artifact, config: ExportConfig) -> onnx.ModelProto:
    """Return the graph in the opset and with the batch axis that the config asks for."""
    try:
        if config.opset is not None:
            model = with_opset(model, config.opset)
        return model if config.dynamic_batch else with_fixed_batch(model)
    except CheckError as error:
        raise CheckError(f"{artifact.path}: {error.message}", hint=error.hint) from error


def choose_precision(artifact: Artifact, found: Precision, config: ExportConfig) -> Precision:
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
