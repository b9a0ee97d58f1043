"""The float ONNX graph that a quantized model is made from."""

from __future__ import annotations

import onnx

from compress.core.artifact import Artifact
from compress.core.formats import Format, Precision
from compress.core.spec import ModelSpec
from compress.errors import StageError
from compress.models.onnx_meta import spec_of
from compress.models.to_onnx import to_onnx
from compress.models.weights import load_model

_INTEGER_OPS = ("QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger", "MatMulInteger")


def float_graph(artifact: Artifact) -> tuple[onnx.ModelProto, ModelSpec]:
    """Return the float ONNX model of a torch or ONNX artifact, and its spec.

    Raises:
        StageError: the model is quantized already, is not float32, or says nothing of its labels and preprocessing.
    """
    if artifact.format is Format.TORCH:
        module, spec = load_model(artifact.path)
        model = to_onnx(module, spec)
    else:
        model = onnx.load(artifact.path)
    found = spec_of(model, artifact.path)
    if found is None:
        raise StageError(
            f"{artifact.path}: carries no labels and no preprocessing, so that nothing can be calibrated for it",
            hint="start from a model that imgc exported",
        )
    integer = sorted({node.op_type for node in model.graph.node} & set(_INTEGER_OPS))
    if integer or found.precision is not Precision.FP32:
        raise StageError(
            f"{artifact.path}: is quantized already (precision {found.precision}, ops {', '.join(integer) or 'none'})",
            hint="quantize the float model: `imgc quantize --from STAGE`",
        )
    return model, found
