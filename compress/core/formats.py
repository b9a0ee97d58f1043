"""Names of file formats, precisions and quantization schemes, one word each."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from compress.errors import ModelFileError


class Format(StrEnum):
    """What kind of file an artifact is."""

    TORCH = "torch"  # safetensors with the spec in its metadata
    ONNX = "onnx"
    TFLITE = "tflite"
    BENCH = "bench"  # bench.json


class Precision(StrEnum):
    """How the numbers of a model are stored and computed."""

    FP32 = "fp32"
    FP16 = "fp16"
    INT8 = "int8"  # static: int8 weights and activations
    DYNAMIC = "dynamic"  # int8 weights, activation ranges found while running


SUFFIX: dict[Format, str] = {
    Format.TORCH: ".safetensors",
    Format.ONNX: ".onnx",
    Format.TFLITE: ".tflite",
    Format.BENCH: ".json",
}
MODEL_FORMATS = (Format.TORCH, Format.ONNX, Format.TFLITE)


def format_of(path: Path) -> Format:
    """Return the format of a model file by its suffix.

    Raises:
        ModelFileError: the suffix is none of .safetensors, .onnx, .tflite.
    """
    for fmt in MODEL_FORMATS:
        if path.suffix.lower() == SUFFIX[fmt]:
            return fmt
    allowed = ", ".join(SUFFIX[fmt] for fmt in MODEL_FORMATS)
    raise ModelFileError(f"{path}: not a model file by its name (found suffix '{path.suffix}', allowed {allowed})")
