"""The float files that int8 is measured beside."""

from __future__ import annotations

from pathlib import Path

import onnx

from compress.core.formats import Format
from compress.core.spec import ModelSpec
from compress.graph.metadata import embed_spec as embed_in_onnx
from compress.lower.walk import lower
from compress.runtime.tflite_meta import embed_spec as embed_in_tflite
from evals.int8.compare import LatencyRatio


def write_float_files(graph: onnx.ModelProto, spec: ModelSpec, folder: Path) -> dict[Format, Path]:
    """Return the float graph written as ONNX and as TFLite, each with its spec."""
    files = {Format.ONNX: folder / "float.onnx", Format.TFLITE: folder / "float.tflite"}
    embed_in_onnx(graph, spec)
    onnx.save(graph, files[Format.ONNX])
    described = spec.model_copy(update={"layout": "NHWC", "layers": ()})
    files[Format.TFLITE].write_bytes(embed_in_tflite(lower(graph).data, described))
    return files


def ratio_cell(time: LatencyRatio) -> tuple[float, float, float]:
    """Return the ratio and its quartiles."""
    return time.ratio, time.low, time.high
