"""Pooling and means against ONNX Runtime, int8 and float."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import CheckError
from compress.lower.walk import lower

both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


@both
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize(
    "attrs",
    [
        {"kernel_shape": [2, 2], "strides": [2, 2]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        {"kernel_shape": [3, 3], "strides": [1, 1], "pads": [1, 1, 1, 1]},
    ],
)
def test_max_pool(build, images, same, ops, int8, relu, attrs):
    b = build(quantized=int8)
    source = b.q("images")
    if relu:
        source = b.q(b.node("Relu", [source]), 0, 4)
    made = b.node("MaxPool", [source], **attrs)
    pixels = images() if relu else -np.abs(images())  # all negative: a pad with zeros would win
    lowered = same(b.model(b.q(made, 0 if relu else -4, 4)), pixels, int8=int8)
    if relu:
        assert "PADV2" not in ops(lowered.data)  # which XNNPACK does not take


@both
def test_max_pool_requantizes(build, images, same, ops, int8):
    b = build(quantized=int8)
    made = b.node("MaxPool", [b.q("images")], kernel_shape=[2, 2])
    lowered = same(b.model(b.q(made, -1, 3)), images(), int8=int8)
    assert ops(lowered.data) == (["MAX_POOL_2D", "QUANTIZE"] if int8 else ["MAX_POOL_2D"])


@both
@pytest.mark.parametrize("grid", [(-4, 4), (-1, 1)], ids=["same grid", "finer grid"])
@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ({"kernel_shape": [2, 2], "strides": [2, 2]}, ["DEPTHWISE_CONV_2D"]),
        ({"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1}, ["PAD", "DEPTHWISE_CONV_2D"]),
        (
            {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1] * 4, "count_include_pad": 1},
            ["PAD", "DEPTHWISE_CONV_2D"],
        ),
        (
            {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
            ["AVERAGE_POOL_2D"],
        ),  # SAME leaves the border out, as ONNX does
    ],
)
def test_average_pool(build, images, same, ops, int8, grid, attrs, expected):
    b = build(quantized=int8)
    lowered = same(b.model(b.q(b.node("AveragePool", [b.q("images")], **attrs), *grid)), images(), int8=int8)
    if not int8:
        expected = [code.replace("DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D") for code in expected]
    elif grid == (-1, 1) and expected == ["AVERAGE_POOL_2D"]:
        expected = ["DEQUANTIZE", "AVERAGE_POOL_2D", "QUANTIZE"]  # int8 would round on the coarse grid first
    assert ops(lowered.data) == expected


def test_average_pool_with_uncounted_odd_pads_is_refused(build):
    b = build()
    made = b.node("AveragePool", ["images"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    with pytest.raises(CheckError, match="averagepool_1"):
        lower(b.model(made))


@both
@pytest.mark.parametrize("op", ["GlobalAveragePool", "ReduceMean", "ReduceMean-flat"])
def test_mean(build, images, same, ops, int8, op):
    b = build(quantized=int8)
    name, _, flat = op.partition("-")
    extra = [b.const(np.array([2, 3], np.int64))] if name == "ReduceMean" else []
    attrs = {"keepdims": 0} if flat else {}
    made = b.node(name, [b.q("images"), *extra], **attrs)
    assert ops(same(b.model(b.q(made, -1, 1)), images(), int8=int8).data) == ["MEAN"]


@both
@pytest.mark.parametrize("axes", [[1], [-1], [1, 2], [1, 2, 3]], ids=str)
@pytest.mark.parametrize("keepdims", [0, 1])
def test_a_mean_over_other_axes_is_computed_in_float(build, images, same, int8, axes, keepdims):
    b = build(quantized=int8)
    made = b.node("ReduceMean", [b.q("images"), b.const(np.array(axes, np.int64))], keepdims=keepdims)
    same(b.model(b.q(made)), images())


def test_a_last_window_of_padding_alone_is_refused(build):
    """ONNX's shape inference counts it, ONNX Runtime and torch do not."""
    b = build((1, 4, 3, 3))
    made = b.node("MaxPool", ["images"], kernel_shape=[2, 2], strides=[2, 1], pads=[1, 0, 1, 0], ceil_mode=1)
    with pytest.raises(CheckError, match=r"maxpool_1.*padding of axis 2 alone"):
        lower(b.model(made))
