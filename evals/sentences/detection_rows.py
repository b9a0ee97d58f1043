"""What the compared files are called, in the table and in what is said of it."""

from __future__ import annotations

FLOAT, PRUNED, SIBLING, SMALL = (
    "float",
    "half the MACs: pruned, distilled",
    "half the MACs: stock, as narrow, distilled",
    "pruned, distilled, calibrated",
)
INT8_STAGES = {"calibrated": "calibrated", "trained": "trained"}  # name -> stage
OTHERS = {  # name of a `Baseline` -> row
    "ort": "ONNX Runtime `quantize_static`",
    "ort-per-tensor": "ONNX Runtime `quantize_static`, per tensor",
    "nncf": "NNCF `quantize`, ONNX",
    "tflite": "TFLite converter, full int8",
}


def onnx_of(name: str) -> str:
    """Return the row of a network's ONNX file."""
    return f"{name}, ONNX"


def tflite_of(name: str) -> str:
    """Return the row of its TFLite file."""
    return f"{name}, TFLite"
