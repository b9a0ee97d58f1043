"""Arithmetic, activations and the borders between int8 and float, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import CheckError
from compress.lower.walk import lower

both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


@both
@pytest.mark.parametrize("op", ["Add", "Mul", "Sub"])
def test_two_images(build, images, same, ops, int8, op):
    b = build(quantized=int8)
    one = b.q("images")
    other = b.q(b.node("GlobalAveragePool", [one]), -1, 1)  # [N,C,1,1], as a squeeze-excite gate
    lowered = same(b.model(b.q(b.node(op, [one, other]), -5, 5)), images(), int8=int8)
    assert ops(lowered.data)[-1] == op.upper()


@both
@pytest.mark.parametrize("op", ["Add", "Mul", "Sub"])
@pytest.mark.parametrize("shape", [(), (1,), (4, 1, 1), (1, 4, 1, 1)])
def test_constant_operand(build, images, same, int8, op, shape):
    b = build(quantized=int8)
    array = np.linspace(0.5, 2, int(np.prod(shape))).astype(np.float32).reshape(shape)
    if int8:
        scale = np.float32(2 / 127)
        grid = [b.const(scale), b.const(np.int8(0))]
        other = b.node("DequantizeLinear", [b.const(np.rint(array / scale).astype(np.int8)), *grid])
    else:
        other = b.const(array)
    same(b.model(b.q(b.node(op, [b.q("images"), other]), -6, 6)), images(), int8=int8)


def test_division_by_a_constant(build, images, same, ops):
    b = build()
    shifted = b.node(
        "Clip", [b.node("Add", ["images", b.const(np.float32(3))]), b.const(np.float32(0)), b.const(np.float32(6))]
    )
    lowered = same(b.model(b.node("Div", [shifted, b.const(np.float32(6))])), images())
    assert ops(lowered.data) == ["ADD", "DIV"]  # relu6 is fused into the ADD


@both
@pytest.mark.parametrize("op", ["HardSwish", "HardSigmoid", "Sigmoid"])
def test_activation_islands(build, images, same, ops, int8, op):
    b = build(quantized=int8)
    attrs = {"alpha": 1 / 6, "beta": 0.5} if op == "HardSigmoid" else {}
    lowered = same(b.model(b.q(b.node(op, [b.q("images")], **attrs), -0.4, 4)), images(), int8=int8)
    if int8:
        assert ops(lowered.data)[0] == "DEQUANTIZE"
        assert ops(lowered.data)[-1] == "QUANTIZE"


@both
def test_general_hard_sigmoid(build, images, same, int8):
    b = build(quantized=int8)
    same(b.model(b.q(b.node("HardSigmoid", [b.q("images")], alpha=0.2, beta=0.4), 0, 1)), images(), int8=int8)


def test_sigmoid_on_the_fixed_grid_is_int8(build, images, same, ops):
    b = build(quantized=True)
    lowered = same(b.model(b.q(b.node("Sigmoid", [b.q("images")]), 0, 255 / 256)), images(), int8=True)
    assert ops(lowered.data) == ["LOGISTIC"]


@both
def test_softmax(build, images, same, int8):
    b = build(quantized=int8)
    flat = b.q(b.node("Flatten", [b.q(b.node("GlobalAveragePool", [b.q("images")]), -2, 2)]), -2, 2)
    same(b.model(b.q(b.node("Softmax", [flat], axis=1), 0, 255 / 256)), images(spread=4.0), int8=int8)


def test_softmax_over_the_last_of_four_axes(build, images, same):
    b = build()
    same(b.model(b.node("Softmax", ["images"], axis=3)), images())


def test_softmax_over_rows_of_pixels_is_refused(build):
    b = build()
    with pytest.raises(CheckError, match=r"softmax_1.*axis 2"):
        lower(b.model(b.node("Softmax", ["images"], axis=2)))


@both
@pytest.mark.parametrize(("low", "high"), [(0.0, None), (0.0, 6.0), (-1.0, 1.0), (-0.5, 2.0)])
@pytest.mark.parametrize("grid", [(0.0, 3.0), (-4.0, 4.0)])
def test_standalone_clip(build, images, same, int8, low, high, grid):
    b = build(quantized=int8)
    bounds = [b.const(np.float32(low)), b.const(np.float32(high)) if high is not None else ""]
    made = b.node("Clip", [b.q("images"), *bounds])
    same(b.model(b.q(made, *grid)), images(spread=4.0), int8=int8)


def test_relu_that_the_grid_implies_costs_nothing(build, images, same, ops):
    b = build(quantized=True)
    positive = b.q(b.conv(b.q("images"), 4), 0, 4)
    lowered = same(b.model(b.q(b.node("Relu", [positive]), 0, 4)), images(), int8=True)
    assert ops(lowered.data) == ["CONV_2D"]


def test_requantization(build, images, same, ops):
    b = build(quantized=True)
    # ONNX Runtime drops the first of two grids in a row, and with it a rounding of 0.7 units of the second one
    lowered = same(b.model(b.q(b.q("images"), -1, 2)), images(), int8=True, lsb=2)
    assert ops(lowered.data) == ["QUANTIZE"]


def test_two_readers_with_the_same_grid_share_a_tensor(build, images, same, ops):
    b = build(quantized=True)
    made = b.conv(b.q("images"), 4, pads=[1, 1, 1, 1])
    lowered = same(b.model(b.q(b.node("Add", [b.q(made), b.q(made)]), -8, 8)), images(), int8=True)
    assert ops(lowered.data) == ["CONV_2D", "ADD"]


def test_two_readers_with_different_grids(build, images, same):
    b = build(quantized=True)
    made = b.conv(b.q("images"), 4, pads=[1, 1, 1, 1])
    same(b.model(b.q(b.node("Add", [b.q(made), b.q(made, -1, 1)]), -8, 8)), images(), int8=True)


def test_identity_and_dropout_leave_nothing(build, images, same, ops):
    b = build()
    made = b.node("Dropout", [b.node("Identity", [b.conv("images", 4)])])
    assert ops(same(b.model(made), images()).data) == ["CONV_2D"]
