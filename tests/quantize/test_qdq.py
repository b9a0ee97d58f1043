import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from compress.quantize.calibrate import calibrate
from compress.quantize.points import range_groups
from compress.quantize.qdq import BIAS_LIMIT, safe_weight_scales, weight_integers
from compress.quantize.quant_graph import QuantGraph
from compress.quantize.torch_graph import TorchGraph


@pytest.fixture
def quantized(float_model, images_NCHW):
    batch = torch.from_numpy(images_NCHW)
    grids = calibrate(TorchGraph(float_model), range_groups(float_model), lambda: [batch])
    return QuantGraph(float_model, grids)


def _onnx_runtime(model: onnx.ModelProto, images_NCHW: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact on CPUs without VNNI too
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images_NCHW})[0]


@pytest.mark.parametrize("activation", ["uint8", "int8"])
def test_the_file_computes_what_the_simulation_computed(float_model, images_NCHW, quantized, activation):
    written = quantized.to_qdq(float_model, activation)
    onnx.checker.check_model(written, full_check=True)
    with torch.inference_mode():
        simulated_NK = quantized(torch.from_numpy(images_NCHW)).numpy()
    logits_NK = _onnx_runtime(written, images_NCHW)
    step = quantized.grids()["logits"].scale
    assert np.abs(logits_NK - simulated_NK).max() <= 2.01 * step
    assert np.mean(np.abs(logits_NK - simulated_NK) > 0.5 * step) < 0.2


def test_weights_are_stored_as_integers_and_no_float_copy_stays(float_model, quantized):
    written = quantized.to_qdq(float_model, "uint8")
    arrays = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    assert arrays["w0_quantized"].dtype == np.int8
    assert arrays["b0_quantized"].dtype == np.int32
    assert arrays["w0_scale"].shape == (8,)
    assert "w0" not in arrays
    assert max(a.size for a in arrays.values() if a.dtype == np.float32) <= 8  # scales and clip bounds only


def test_tensors_that_share_a_range_carry_equal_parameters(float_model, quantized):
    written = quantized.to_qdq(float_model, "uint8")
    arrays = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    for first, second in [("clip", "mp"), ("ca", "cat"), ("cb", "cat"), ("mean", "flat")]:
        assert arrays[f"{first}_scale"] == arrays[f"{second}_scale"]
        assert arrays[f"{first}_zero_point"] == arrays[f"{second}_zero_point"]


def test_int8_is_the_uint8_grid_moved_by_128(float_model, quantized):
    def zero_points(activation):
        written = quantized.to_qdq(float_model, activation)
        found = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer if t.name.endswith("_zero_point")}
        return {name: int(a) for name, a in found.items() if a.ndim == 0}

    unsigned, signed = zero_points("uint8"), zero_points("int8")
    assert {name: value - 128 for name, value in unsigned.items()} == signed


def test_input_and_output_keep_their_names_and_types(float_model, quantized):
    written = quantized.to_qdq(float_model, "uint8")
    assert list(written.graph.input) == list(float_model.graph.input)
    assert list(written.graph.output) == list(float_model.graph.output)


def test_a_nearly_dead_channel_cannot_overflow_the_bias():
    weight = np.array([[1e-9, -1e-9], [0.5, -0.25]], np.float32)
    bias_O = np.array([3.0, 0.1], np.float32)
    scales_O = safe_weight_scales(weight, bias_O, input_scale=0.01)
    assert np.all(np.abs(bias_O / (0.01 * scales_O.astype(np.float64))) <= BIAS_LIMIT)
    assert scales_O[1] == np.float32(0.5) / np.float32(127)
    assert weight_integers(weight, scales_O).tolist() == [[0, 0], [127, -64]]
