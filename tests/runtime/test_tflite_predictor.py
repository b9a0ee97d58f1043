"""LiteRT: the integer edges of a file, batches, delegates, what is missing."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.core.formats import Precision
from compress.errors import BackendMissingError
from compress.runtime.open import open_predictor
from compress.runtime.tflite_predictor import TflitePredictor, dequantize_output, quantize_input


def test_int8_file_takes_and_gives_floats(tiny: Any) -> None:
    predictor = open_predictor(tiny.tflite(int8=True, spec=tiny.spec(layout="NHWC")))
    images = tiny.images(3)
    logits = predictor.predict(images)
    assert logits.dtype == np.float32
    steps = (
        tiny.int8_input[0] / 2 * 2.25 + tiny.int8_output[0] / 2
    )  # rounding of the mean (weights sum to 2.25), of the logit
    np.testing.assert_allclose(logits, tiny.expected(np.clip(images, *grid_range(tiny))), atol=steps)
    np.testing.assert_array_equal(logits / np.float32(tiny.int8_output[0]), np.rint(logits / tiny.int8_output[0]))


def grid_range(tiny: Any) -> tuple[float, float]:
    scale, zero = tiny.int8_input
    return (-128 - zero) * scale, (127 - zero) * scale


@pytest.mark.parametrize(("dtype", "kind"), [(np.int8, TensorProto.INT8), (np.uint8, TensorProto.UINT8)])
def test_quantizing_is_onnx_quantize_linear(dtype: type, kind: int) -> None:
    scale, zero = np.float32(0.03125), 3
    halves = (np.arange(-300, 600) / 2).astype(
        np.float32
    ) * scale  # every other value lies exactly between two integers
    values = np.concatenate([halves, np.random.default_rng(0).normal(size=500).astype(np.float32) * 5])
    detail = {"dtype": dtype, "quantization": (float(scale), zero)}
    node = helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])
    graph = helper.make_graph(
        [node],
        "q",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("y", kind, ["N"])],
        [numpy_helper.from_array(np.array(scale), "scale"), numpy_helper.from_array(np.array(zero, dtype), "zero")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"x": values})[0]
    found = quantize_input(values, detail)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(dequantize_output(found, detail), (wanted.astype(np.float32) - zero) * scale)


def test_float_tensors_pass_unchanged() -> None:
    values = np.array([1.5, -2.25], np.float32)
    detail = {"dtype": np.float32, "quantization": (0.0, 0)}
    assert quantize_input(values, detail) is values
    assert dequantize_output(values, detail) is values


def test_whole_graph_is_one_delegate_partition(tiny: Any) -> None:
    predictor = open_predictor(tiny.tflite(spec=tiny.spec()))
    assert isinstance(predictor, TflitePredictor)
    assert predictor.delegate_partitions == 1
    assert predictor.runtime.startswith("litert 2")


def test_answers_are_copies_that_the_next_call_leaves_alone(tiny: Any) -> None:
    predictor = open_predictor(tiny.tflite(spec=tiny.spec()))
    first = predictor.predict(tiny.images(1, seed=1))
    before = first.copy()
    predictor.predict(tiny.images(1, seed=2))
    np.testing.assert_array_equal(first, before)


def test_a_prepared_call_of_an_int8_file_converts_nothing(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = open_predictor(tiny.tflite(int8=True, spec=tiny.spec(layout="NHWC")))
    images = tiny.images(2)
    logits = predictor.predict(images)
    call = predictor.prepared(images)
    monkeypatch.setattr("compress.runtime.tflite_predictor.quantize_input", None)
    integers = call()
    assert isinstance(integers, np.ndarray)
    assert integers.dtype == np.int8
    np.testing.assert_array_equal(dequantize_output(integers, predictor._output), logits)  # type: ignore[attr-defined]


def test_foreign_int8_file_is_called_int8(tiny: Any) -> None:
    predictor = open_predictor(tiny.tflite(int8=True), preprocess=tiny.spec().preprocess)
    assert predictor.spec.precision is Precision.INT8
    assert predictor.spec.layout == "NHWC"


def test_missing_backend_names_the_extra(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiny.tflite(spec=tiny.spec())
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(BackendMissingError) as caught:
        open_predictor(path)
    assert caught.value.hint == "pip install 'imgc-toolkit[serve]'"
