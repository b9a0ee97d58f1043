import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.ptq.rewrites import GATE_SHIFT, fold_hard_sigmoid, gate_hard_swish
from compress.quantize.qdq.fake_quant import Grid
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import range_groups, with_activations
from compress.quantize.qdq.torch_graph import TorchGraph
from compress.quantize.qdq.writer import BIAS_LIMIT, safe_weight_scales, weight_integers, write_qdq


@pytest.fixture
def quantized(float_model, images_NCHW):
    batch = torch.from_numpy(images_NCHW)
    grids = calibrate(float_model, range_groups(float_model), lambda: [batch])
    return QuantGraph(float_model, grids)


def _onnx_runtime(model: onnx.ModelProto, images_NCHW: np.ndarray) -> np.ndarray:
    return _all_answers(model, images_NCHW)[0]


def _all_answers(model: onnx.ModelProto, images_NCHW: np.ndarray) -> list[np.ndarray]:
    options = ort.SessionOptions()
    options.add_session_config_entry("session.x64quantprecision", "1")  # exact on CPUs without VNNI too
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images_NCHW})


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


def test_a_constant_that_two_nodes_read_is_written_once(float_model, images_NCHW):
    """As tf2onnx leaves batch norms of equal scales, alone in front of their layers."""
    model = onnx.ModelProto()
    model.CopyFrom(float_model)
    conv = next(node for node in model.graph.node if node.op_type == "Conv")
    image = conv.input[0]
    conv.input[0] = "twice"
    by = np.array([0.5, 1.0, 1.5], np.float32).reshape(1, 3, 1, 1)
    model.graph.initializer.append(numpy_helper.from_array(by, "by"))
    for index, (source, result) in enumerate([(image, "once"), ("once", "twice")]):
        model.graph.node.insert(index, onnx.helper.make_node("Mul", [source, "by"], [result], result))
    batch = torch.from_numpy(images_NCHW)
    grids = calibrate(model, range_groups(model), lambda: [batch])
    written = QuantGraph(model, grids).to_qdq(model, "uint8")
    onnx.checker.check_model(written, full_check=True)
    names = [tensor.name for tensor in written.graph.initializer]
    assert names.count("by_quantized") == 1
    assert len(names) == len(set(names))
    error = np.abs(_onnx_runtime(written, images_NCHW) - _onnx_runtime(model, images_NCHW)).max()
    assert error < 0.1 * np.abs(_onnx_runtime(model, images_NCHW)).max()


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


def _written(model, images_NCHW, floats=()):
    groups = range_groups(model, floats)
    grids = calibrate(model, groups, lambda: [torch.from_numpy(images_NCHW)])
    quantized = QuantGraph(model, grids, floats)
    return quantized, quantized.to_qdq(model, "uint8")


def test_a_gated_hard_swish_is_two_integer_operations(float_model, images_NCHW):
    model = fold_hard_sigmoid(gate_hard_swish(float_model)[0])[0]
    quantized, written = _written(model, images_NCHW)
    onnx.checker.check_model(written, full_check=True)
    ops = [node.op_type for node in written.graph.node]
    assert ops.count("Clip") == 1  # the ReLU6; the two others are implied by the grids behind them
    assert not {"HardSwish", "HardSigmoid"} & set(ops)
    arrays = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    shift = float(arrays["h0_shift_quantized"] * arrays["h0_shift_scale"])
    assert shift == pytest.approx(GATE_SHIFT, rel=1e-6)
    with torch.inference_mode():
        simulated_NK = quantized(torch.from_numpy(images_NCHW)).numpy()
    step = quantized.grids()["logits"].scale
    assert np.abs(_onnx_runtime(written, images_NCHW) - simulated_NK).max() <= 2.01 * step


def test_a_clip_stays_where_the_grid_reaches_beyond_it(float_model, images_NCHW):
    model = fold_hard_sigmoid(float_model)[0]
    grids = {name: grid for g, grid in _grids(model, images_NCHW).items() for name in g.tensors}
    grids["sig"] = Grid(2.0 / 255, 0)
    written = write_qdq(model, TorchGraph(model).learned(), grids)
    assert [node.op_type for node in written.graph.node].count("Clip") == 2


def _grids(model, images_NCHW):
    return calibrate(model, range_groups(model), lambda: [torch.from_numpy(images_NCHW)])


def test_layers_that_stay_float_keep_float_weights_and_are_simulated_so(float_model, images_NCHW):
    floats = with_activations(float_model, ["stem", "swish"])
    quantized, written = _written(float_model, images_NCHW, floats)
    arrays = {t.name: numpy_helper.to_array(t) for t in written.graph.initializer}
    assert arrays["w0"].dtype == np.float32
    assert "w0_quantized" not in arrays
    assert "wd_quantized" in arrays
    with torch.inference_mode():
        simulated_NK = quantized(torch.from_numpy(images_NCHW)).numpy()
    step = quantized.grids()["logits"].scale
    assert np.abs(_onnx_runtime(written, images_NCHW) - simulated_NK).max() <= 2.01 * step


def test_a_weight_beyond_its_grid_is_stored_as_the_end_of_it():
    weight = np.array([[200.0, -200.0, 126.6, -0.6]], np.float32)
    assert weight_integers(weight, np.array([1.0], np.float32)).tolist() == [[127, -127, 127, -1]]


def _with_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    inferred = onnx.shape_inference.infer_shapes(model).graph.value_info
    changed.graph.output.extend(value for value in inferred if value.name == name)
    assert len(changed.graph.output) == 2
    return changed


@pytest.mark.parametrize(("name", "readers"), [("h0", 2), ("clip", 1), ("mp", 2), ("rd", 2), ("cat", 1), ("flat", 1)])
def test_a_second_output_that_other_nodes_read_keeps_its_name_and_its_grid(float_model, images_NCHW, name, readers):
    model = _with_output(float_model, name)
    quantized, written = _written(model, images_NCHW)
    onnx.checker.check_model(written, full_check=True)
    assert list(written.graph.output) == list(model.graph.output)
    (maker,) = [node for node in written.graph.node if name in node.output]
    assert maker.op_type == "DequantizeLinear"
    assert sum(name in node.input for node in written.graph.node) == readers
    with torch.inference_mode():
        simulated = quantized(torch.from_numpy(images_NCHW))
    for output, found, wanted in zip(("logits", name), _all_answers(written, images_NCHW), simulated, strict=True):
        step = quantized.grids()[output].scale
        error = np.abs(found - wanted.numpy())
        assert error.max() <= 4.01 * step
        assert np.mean(error > 0.5 * step) < 0.2
        assert np.abs(found / step - np.round(found / step)).max() < 1e-3, "it lies on its grid"


def test_two_ends_of_a_graph_keep_their_names_and_have_grids_of_their_own(float_model, images_NCHW):
    model = onnx.ModelProto()
    model.CopyFrom(float_model)
    wide = numpy_helper.from_array(np.array(40.0, np.float32), "forty")
    model.graph.initializer.append(wide)
    model.graph.node.append(onnx.helper.make_node("Mul", ["flat", "forty"], ["boxes"], "boxes"))
    model.graph.output.insert(0, onnx.helper.make_tensor_value_info("boxes", 1, ["batch", 8]))
    quantized, written = _written(model, images_NCHW)
    assert [value.name for value in written.graph.output] == ["boxes", "logits"]
    scales = {t.name: float(numpy_helper.to_array(t)) for t in written.graph.initializer if not t.dims}
    made_by = {node.output[0]: node for node in written.graph.node}
    found = [scales[made_by[name].input[1]] for name in ("boxes", "logits")]
    assert found == [pytest.approx(quantized.grids()[name].scale) for name in ("boxes", "logits")]
    assert found[0] > 5 * found[1]
    boxes, logits = _all_answers(model, images_NCHW)
    for wanted, answers in zip((boxes, logits), _all_answers(written, images_NCHW), strict=True):
        assert np.abs(wanted - answers).max() < 0.1 * np.abs(wanted).max()
