"""Dynamic int8: weights are stored as integers, activation ranges are found while running.

Smaller, no calibration, and usually slower than static int8 for convolutions.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import onnx


def quantize_dynamically(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with integer weights in every Conv and MatMul/Gemm, by ONNX Runtime's quantizer."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "dynamic.onnx"
        onnx.save(model, source)
        # ConvInteger in ONNX Runtime takes uint8 weights only.
        quantize_dynamic(source, target, weight_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "MatMul", "Gemm"])
        return onnx.load(target)
