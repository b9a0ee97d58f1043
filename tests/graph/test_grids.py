"""Grids as other tools write them: no zero points, channels of zeros, one scale for depthwise weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from compress.export.tflite_checks import check_lossless
from compress.lower.walk import lower
from compress.runtime.tflite_meta import unpack

SCALE = np.float32(4 / 255)


def _lossless(model, lowered):
    return check_lossless(unpack(lowered.data), Path("m.tflite"), model, lowered.grids, lowered.integers)


def _grid(lowered, name):
    table = unpack(lowered.data).subgraphs[0].tensors[lowered.grids[name]].quantization
    return float(table.scale[0]), int(table.zeroPoint[0])


def test_missing_zero_points_are_uint8_zero(build, images, same):
    b = build(quantized=True)
    q = b.node("QuantizeLinear", ["images", b.const(SCALE)])
    made = b.node("Relu", [b.conv(b.node("DequantizeLinear", [q, b.const(SCALE)]), 4)])
    out = b.node("QuantizeLinear", [made, b.const(SCALE)])
    model = b.model(b.node("DequantizeLinear", [out, b.const(SCALE)]))
    lowered = same(model, images(), int8=True)
    assert _grid(lowered, q) == (float(SCALE), -128)
    assert _lossless(model, lowered)["lossless_grids"] == 4


@pytest.mark.parametrize("where", ["zero point", "output_dtype"])
def test_missing_zero_points_of_int8(build, images, same, where):
    """DequantizeLinear reads what QuantizeLinear wrote, also where it has no zero point of its own to say so."""
    b = build(quantized=True)
    zero = [b.const(np.int8(0))] if where == "zero point" else []
    attrs = {} if zero else {"output_dtype": TensorProto.INT8}
    q = b.node("QuantizeLinear", ["images", b.const(SCALE), *zero], **attrs)
    made = b.node("MaxPool", [b.node("DequantizeLinear", [q, b.const(SCALE)])], kernel_shape=[2, 2])
    out = b.node("QuantizeLinear", [made, b.const(SCALE), *zero], **attrs)
    model = b.model(b.node("DequantizeLinear", [out, b.const(SCALE)]), opset=21)
    lowered = same(model, images(), int8=True)
    assert _grid(lowered, q) == (float(SCALE), 0)
    assert _lossless(model, lowered)["lossless_grids"] == 4


def test_missing_zero_point_behind_a_move(build, images, same):
    b = build(quantized=True)
    q = b.node("QuantizeLinear", [b.node("GlobalAveragePool", [b.q("images")]), b.const(SCALE), b.const(np.int8(0))])
    model = b.model(b.node("DequantizeLinear", [b.node("Flatten", [q]), b.const(SCALE)]))
    lowered = same(model, images(), int8=True)
    assert _lossless(model, lowered)["lossless_grids"] == 4


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_constants_without_zero_point(build, images, same, dtype):
    b = build(quantized=True)
    integers = np.array([[[100]], [[7]], [[0]], [[55]]], dtype)
    other = b.node("DequantizeLinear", [b.const(integers), b.const(np.float32(0.02))])
    model = b.model(b.q(b.node("Mul", [b.q("images"), other]), -6, 6))
    lowered = same(model, images(), int8=True)
    assert _lossless(model, lowered)["lossless_integers"] == 4


def test_a_wrong_zero_point_type_is_found(build):
    b = build(quantized=True)
    q = b.node("QuantizeLinear", ["images", b.const(SCALE)])
    made = b.q(b.node("Relu", [b.node("DequantizeLinear", [q, b.const(SCALE)])]))
    model = b.model(made)
    lowered = lower(model)
    claimed = onnx.ModelProto()
    claimed.CopyFrom(model)
    claimed.graph.initializer.append(numpy_helper.from_array(np.int8(0), "int8_zero"))
    for node in claimed.graph.node:
        if node.output[0] == q or q in node.input:
            node.input.append("int8_zero")
    with pytest.raises(Exception, match=r"does not have the grid.*zero point -128.*zero point 0"):
        _lossless(claimed, lowered)


def _layer(b, op):
    """Return a layer that sums in steps far beyond those of its output."""
    x = b.q("images")
    if op in ("Conv", "depthwise"):
        return b.conv(x, 4, 1, groups=4 if op == "depthwise" else 1)
    if op == "Add":
        return b.node("Add", [x, b.q(b.node("MaxPool", [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1]))])
    if op == "AveragePool":
        return b.node("AveragePool", [x], kernel_shape=[2, 2])
    flat = b.q(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [x]))]))
    weight, scale = b.weight((3, 4), size=100.0)
    return b.node("Gemm", [flat, weight, b.bias(3, scale)], transB=1)


@pytest.mark.parametrize(
    ("op", "relu"),
    [*((op, relu) for op in ("Conv", "depthwise", "Gemm", "Add") for relu in (False, True)), ("AveragePool", False)],
)
def test_output_far_finer_than_the_input(build, images, same, ops, op, relu):
    """XNNPACK refuses the file, or the kernel overflows, unless such a layer is computed in float."""
    b = build(quantized=True)
    made = _layer(b, op)
    made = b.node("Clip", [made, b.const(np.float32(0)), b.const(np.float32(6))]) if relu else made
    lowered = same(b.model(b.q(made, -2e-5, 2e-5)), images(), int8=True)
    (note,) = lowered.notes
    assert f"'{lowered.float_nodes[0]}' is computed in float" in note
    assert ops(lowered.data)[-1] == "QUANTIZE"


def test_a_dead_channel_with_a_great_scale(build, images, same):
    b = build(quantized=True)
    integers = np.full((4, 4, 1, 1), 50, np.int8)
    integers[1] = 0
    scale = b.const(np.array([1e-5, 1.0, 1e-5, 1e-5], np.float32))
    weight = b.node("DequantizeLinear", [b.const(integers), scale, b.const(np.zeros(4, np.int8))], axis=0)
    model = b.model(b.q(b.node("Conv", [b.q("images"), weight]), -0.01, 0.01))
    assert same(model, images(), int8=True).notes


@pytest.mark.parametrize("groups", [1, 4])
def test_channels_of_zeros(build, images, same, groups):
    b = build(quantized=True)
    integers = np.full((4, 4 // groups, 3, 3), 50, np.int8)
    integers[1] = 0
    scale = np.array([0.01, 1.0, 0.02, np.finfo(np.float32).tiny], np.float32)  # 1 and tiny: as tools write them
    zero = b.const(np.zeros(4, np.int8))
    weight = b.node("DequantizeLinear", [b.const(integers), b.const(scale), zero], axis=0)
    made = b.node("Conv", [b.q("images"), weight], group=groups)
    model = b.model(b.q(made, -8, 8))
    lowered = same(model, images(), int8=True)
    assert _lossless(model, lowered)["lossless_integers"] == integers.size


def test_all_zero_channels_of_a_float_model(build, images, same):
    b = build()
    name = b.conv("images", 4)
    weight = next(t for t in b.constants if tuple(t.dims) == (4, 4, 3, 3))
    array = numpy_helper.to_array(weight).copy()
    array[[0, 2]] = 0
    weight.CopyFrom(numpy_helper.from_array(array, weight.name))
    same(b.model(b.node("Relu", [name])), images())


@pytest.mark.parametrize("per_channel", [True, False])
def test_depthwise_weights_with_one_scale_are_noted(build, images, same, per_channel):
    b = build(quantized=True)
    made = b.q(b.conv(b.q("images"), 4, groups=4, per_channel=per_channel))
    lowered = same(b.model(b.q(b.conv(made, 4, 1, per_channel=per_channel))), images(), int8=True)
    if per_channel:
        assert lowered.notes == ()
    else:
        (note,) = lowered.notes  # the pointwise layer has one scale as well, which is not worth a warning
        assert "'conv_" in note
        assert "one scale for 4 channels" in note
        assert "per_channel=True" in note
