"""Each rule of each profile, with a model that keeps to it and one that breaks it."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import numpy_helper

from compress.errors import CheckError
from compress.graph.target_check import check_target, float_nodes
from compress.graph.targets import TARGET_NAMES, TARGETS

MCU = TARGETS["mcu"]


def _qdq(build, *, swish=False, unsigned=True, float_end=False):
    b = build((1, 4, 16, 16), quantized=True, unsigned=unsigned)
    value = b.q(b.conv(b.q("images"), 4))
    value = b.q(b.node("HardSwish", [value])) if swish else value
    pooled = b.node("GlobalAveragePool", [value])
    return b.model(b.node("Flatten", [pooled if float_end else b.q(pooled)]))


@pytest.mark.parametrize("name", TARGET_NAMES)
def test_a_full_int8_model_keeps_to_every_profile(build, name):
    unsigned = TARGETS[name].activation == "uint8"
    check_target(_qdq(build, unsigned=unsigned), TARGETS[name], "m.onnx")


def test_mcu_names_the_float_node_and_the_rewrite(build):
    with pytest.raises(
        CheckError, match=r"m\.onnx: hardswish_\d+ \(HardSwish\) computes in float; target mcu"
    ) as caught:
        check_target(_qdq(build, swish=True), MCU, "m.onnx")
    assert caught.value.message.startswith("m.onnx: ")
    assert "hard_swish: gate" in caught.value.hint
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["cpu-xnnpack", "ort-x86"])
def test_others_allow_an_island_of_floats(build, name):
    check_target(_qdq(build, swish=True), TARGETS[name], "m.onnx")


def test_xnnpack_allows_no_op_that_it_does_not_run(build):
    b = build((1, 4, 16, 16), quantized=True)
    curve = b.q(b.node("Softplus", [b.q(b.conv(b.q("images"), 4))]))
    with pytest.raises(CheckError, match=r"softplus_\d+ \(Softplus\)"):
        check_target(b.model(curve), TARGETS["cpu-xnnpack"], "m.onnx")


def test_a_layer_with_float_weights_between_grids_is_float(build):
    b = build((1, 4, 16, 16), quantized=True)
    weight = b.const(np.ones((4, 4, 1, 1), np.float32))
    model = b.model(b.q(b.node("Conv", [b.q("images"), weight])))
    assert [node.op_type for node in float_nodes(model)] == ["Conv"]
    with pytest.raises(CheckError, match="Conv") as caught:
        check_target(model, MCU, "m.onnx")
    assert "exclude" in caught.value.hint


def test_float_weights_of_a_constant_node_too(build):
    b = build((1, 4, 16, 16), quantized=True)
    weight = b.node("Constant", [], value=numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32)))
    assert len(float_nodes(b.model(b.q(b.node("Conv", [b.q("images"), weight]))))) == 1


def test_mcu_takes_and_gives_integers(build):
    b = build((1, 4, 16, 16), quantized=True)
    early = b.model(b.q(b.conv(b.q(b.node("Relu", ["images"])), 4)))
    with pytest.raises(CheckError, match=r"image 'images' is read in float by relu_1 \(Relu\)"):
        check_target(early, MCU, "m.onnx")
    with pytest.raises(CheckError, match=r"GlobalAveragePool.* computes in float"):
        check_target(_qdq(build, float_end=True), MCU, "m.onnx")


def test_activation_type_of_onnx_runtime(build):
    with pytest.raises(CheckError, match="3 of 3 activations are not uint8") as caught:
        check_target(_qdq(build, unsigned=False), TARGETS["ort-x86"], "m.onnx")
    assert "activation: uint8" in caught.value.hint
    with pytest.raises(CheckError, match="are not int8"):
        check_target(_qdq(build), TARGETS["ort-arm"], "m.onnx")


def test_opset(build):
    model = _qdq(build)
    model.opset_import[0].version = 12
    with pytest.raises(CheckError, match="opset 12, target mcu allows 13 to 21") as caught:
        check_target(model, MCU, "m.onnx")
    assert "opset: 13" in caught.value.hint


def test_a_float_model_is_not_judged(build):
    b = build((1, 4, 16, 16))
    with pytest.raises(CheckError, match="is not a quantized model") as caught:
        check_target(b.model(b.conv("images", 4)), MCU, "m.onnx")
    assert "imgc quantize --target mcu" in caught.value.hint
