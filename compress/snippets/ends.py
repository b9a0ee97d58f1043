"""How values get into a TFLite file's input and out of its outputs, in Kotlin and Swift."""

from __future__ import annotations

import numpy as np

from compress.core.boxes import BOXES, LOGITS
from compress.runtime.detector import Detector
from compress.runtime.predictor import Predictor
from compress.runtime.tflite_predictor import TensorDetail, TflitePredictor, open_interpreter

_INTEGERS = {"int8": ("Int8", -128, 127), "uint8": ("UInt8", 0, 255)}


def end_values(model: Predictor | Detector) -> dict[str, str]:
    """Return the code, by its names in the templates, for an opened TFLite file."""
    if isinstance(model, TflitePredictor):
        source, sink = model.ends
        return {**_into(source), **_out_of(sink)}
    interpreter, _ = open_interpreter(model.path, 1, None)
    (source,) = interpreter.get_input_details()
    values = _into(source)
    for place, sink in enumerate(interpreter.get_output_details()):
        if sink["name"] in (BOXES, LOGITS):
            found = {"AT": str(place), **_out_of(sink)}
            values |= {f"{sink['name'].upper()}_{name}": code for name, code in found.items()}
    return values


def _into(detail: TensorDetail) -> dict[str, str]:
    dtype, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype == np.float32:
        return {"BYTES": "4", "PUT_KT": "buffer.putFloat(value)", "TYPE_SWIFT": "Float", "PUT_SWIFT": "value"}
    swift, least, most = _INTEGERS[dtype.name]
    return {
        "BYTES": "1",
        "PUT_KT": f"buffer.put((round(value / {scale!r}f).toInt() + {zero}).coerceIn({least}, {most}).toByte())",
        "TYPE_SWIFT": swift,
        "PUT_SWIFT": f"{swift}(min({most}, max({least}, (value / {scale!r}).rounded(.toNearestOrEven) + {zero})))",
    }


def _out_of(detail: TensorDetail) -> dict[str, str]:
    dtype, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if dtype == np.float32:
        return {"ARRAY_KT": "FloatArray", "READ_KT": "it", "OUT_SWIFT": "Float", "READ_SWIFT": "$0"}
    number = "(it.toInt() and 255)" if dtype == np.uint8 else "it"  # Kotlin's bytes are signed
    return {
        "ARRAY_KT": "ByteArray",
        "READ_KT": f"({number} - {zero}) * {scale!r}f",
        "OUT_SWIFT": _INTEGERS[dtype.name][0],
        "READ_SWIFT": f"Float(Int($0) - ({zero})) * {scale!r}",
    }
