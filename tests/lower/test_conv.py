"""Conv, Gemm and MatMul against ONNX Runtime, int8 and float."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import CheckError
from compress.lower.walk import lower
from compress.runtime.tflite_meta import unpack

both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


@both
@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"pads": [1, 1, 1, 1]}, ["CONV_2D"]),  # SAME
        ({"pads": [0, 0, 0, 0]}, ["CONV_2D"]),  # VALID
        ({"pads": [1, 1, 1, 1], "strides": [2, 2]}, ["PAD", "CONV_2D"]),  # torch's stride 2 is not TF's SAME
        ({"pads": [0, 0, 1, 1], "strides": [2, 2]}, ["CONV_2D"]),  # TF's SAME at an even size
        ({"pads": [2, 0, 1, 1]}, ["PAD", "CONV_2D"]),  # asymmetric
        ({"auto_pad": "SAME_UPPER", "strides": [2, 2]}, ["CONV_2D"]),
        ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, ["PAD", "CONV_2D"]),
        ({"pads": [2, 2, 2, 2], "dilations": [2, 2]}, ["CONV_2D"]),
    ],
)
def test_conv_pads(build, images, same, ops, int8, attrs, expected):
    b = build(quantized=int8)
    model = b.model(b.q(b.conv(b.q("images"), 6, **attrs)))
    lowered = same(model, images(), int8=int8)
    assert ops(lowered.data) == expected


@both
@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise(build, images, same, ops, int8, multiplier):
    b = build(quantized=int8)
    model = b.model(b.q(b.conv(b.q("images"), 4 * multiplier, groups=4, pads=[1, 1, 1, 1])))
    assert ops(same(model, images(), int8=int8).data) == ["DEPTHWISE_CONV_2D"]


@both
def test_grouped(build, images, same, int8):
    b = build(quantized=int8)
    same(b.model(b.q(b.conv(b.q("images"), 6, groups=2, pads=[1, 1, 1, 1]))), images(), int8=int8)


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize("groups", [1, 4])
def test_per_tensor_weights(build, images, same, unsigned, groups):
    b = build(quantized=True, unsigned=unsigned)
    same(b.model(b.q(b.conv(b.q("images"), 4, groups=groups, per_channel=False))), images(), int8=True)


@both
@pytest.mark.parametrize(
    ("op", "bounds"), [("Relu", ()), ("Clip", (0.0, 6.0)), ("Clip", (-1.0, 1.0))], ids=["relu", "relu6", "relu_n1_1"]
)
def test_activation_is_fused(build, images, same, ops, int8, op, bounds):
    b = build(quantized=int8)
    made = b.conv(b.q("images"), 6)
    made = b.node(op, [made, *(b.const(np.float32(x)) for x in bounds)])
    low = bounds[0] if bounds else 0.0
    lowered = same(b.model(b.q(made, low - 0.5, 8.0)), images(spread=4.0), int8=int8)
    assert ops(lowered.data) == ["CONV_2D"]


def test_odd_clip_is_not_fused(build, images, same, ops):
    b = build()
    made = b.node("Clip", [b.conv("images", 6), b.const(np.float32(-0.25)), b.const(np.float32(0.5))])
    assert ops(same(b.model(made), images()).data) == ["CONV_2D", "MAXIMUM", "MINIMUM"]


def test_activation_with_two_readers_is_not_lost(build, images, same):
    b = build()
    made = b.conv("images", 4, pads=[1, 1, 1, 1])
    same(b.model(b.node("Add", [b.node("Relu", [made]), made])), images())


@both
@pytest.mark.parametrize("transposed", [False, True])
def test_gemm(build, images, same, ops, int8, transposed):
    b = build(quantized=int8)
    pooled = b.q(b.node("GlobalAveragePool", [b.q("images")]), -1, 1)
    flat = b.q(b.node("Flatten", [pooled], axis=1), -1, 1)
    weight, scale = b.weight((7, 4) if transposed else (4, 7), axis=0 if transposed else 1)
    bias = b.bias(7, scale, (-1, 1))
    model = b.model(b.q(b.node("Gemm", [flat, weight, bias], transB=int(transposed))))
    assert ops(same(model, images(), int8=int8).data) == ["MEAN", "RESHAPE", "FULLY_CONNECTED"]


def test_matmul_takes_the_bias_behind_it(build, images, same, ops):
    b = build()
    flat = b.node("Flatten", [b.node("GlobalAveragePool", ["images"])], axis=1)
    made = b.node("MatMul", [flat, b.weight((4, 7))[0]])
    made = b.node("Relu", [b.node("Add", [b.const(np.arange(7, dtype=np.float32) - 3), made])])
    assert ops(same(b.model(made), images()).data) == ["MEAN", "RESHAPE", "FULLY_CONNECTED"]


@both
def test_flatten_of_an_image_permutes_the_weights(build, images, same, ops, int8):
    b = build(quantized=int8)
    flat = b.q(b.node("Flatten", [b.q("images")], axis=1))
    weight, scale = b.weight((5, 4 * 64), size=0.1)
    model = b.model(b.q(b.node("Gemm", [flat, weight, b.bias(5, scale)], transB=1), -20, 20))
    assert "TRANSPOSE" not in ops(same(model, images(), int8=int8).data)


def test_float_bias_is_rounded_to_the_accumulator(build, images, same):
    b = build(quantized=True)
    weight, _ = b.weight((6, 4, 3, 3), size=0.2)
    bias = b.const(np.linspace(-1, 1, 6).astype(np.float32))
    same(b.model(b.q(b.node("Conv", [b.q("images"), weight, bias]))), images(), int8=True)


def test_float_bias_is_rounded_to_the_nearest_step(build):
    b = build(quantized=True)
    weight, scale_O = b.weight((6, 4, 3, 3), size=0.2)
    product_O = (np.float32(8.0 / 255) * scale_O).astype(np.float64)
    bias = b.const((np.array([2.6, -2.6, 2.4, -2.4, 0.9, -0.9]) * product_O).astype(np.float32), "bias")
    model = unpack(lower(b.model(b.q(b.node("Conv", [b.q("images"), weight, bias])))).data)
    (stored,) = [tensor for tensor in model.subgraphs[0].tensors if tensor.name == b"bias"]
    integers = np.frombuffer(np.asarray(model.buffers[stored.buffer].data, np.uint8).tobytes(), np.int32)
    assert integers.tolist() == [3, -3, 2, -2, 1, -1]


def test_conv_without_bias(build, images, same):
    b = build(quantized=True)
    weight, _ = b.weight((6, 4, 3, 3), size=0.2)
    same(b.model(b.q(b.node("Conv", [b.q("images"), weight]))), images(), int8=True)


def test_weights_with_a_zero_point_are_refused(build):
    b = build(quantized=True)
    integers = b.const(np.zeros((6, 4, 3, 3), np.int8), "w_int8")
    weight = b.node("DequantizeLinear", [integers, b.const(np.float32(0.1)), b.const(np.int8(5))])
    with pytest.raises(CheckError, match=r"conv_\d+.*w_int8.*zero point 5"):
        lower(b.model(b.q(b.node("Conv", [b.q("images"), weight]))))


def test_conv_that_is_not_quantized_behind_stays_float(build, images, same, ops):
    b = build(quantized=True)
    made = b.conv(b.q("images"), 6)
    lowered = same(b.model(made), images(), int8=False)
    assert ops(lowered.data) == ["DEQUANTIZE", "CONV_2D"]
    assert lowered.float_nodes


def test_buffers_are_aligned(build):
    b = build(quantized=True)
    data = lower(b.model(b.q(b.conv(b.q("images"), 5)))).data
    from ai_edge_litert import schema_py_generated as tfl

    model = tfl.Model.GetRootAs(data, 0)
    offsets = [model.Buffers(i)._tab.Vector(model.Buffers(i)._tab.Offset(4)) for i in range(1, model.BuffersLength())]
    assert offsets
    assert all(offset % 16 == 0 for offset in offsets)
    assert unpack(data).signatureDefs[0].signatureKey == b"serving_default"
