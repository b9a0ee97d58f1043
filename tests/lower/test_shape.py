"""Concat, Pad, Reshape and Transpose against ONNX Runtime, int8 and float."""

from __future__ import annotations

import numpy as np
import pytest

from compress.errors import CheckError
from compress.lower.walk import lower

both = pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])


@both
@pytest.mark.parametrize("axis", [1, 2, -1])
def test_concat(build, images, same, int8, axis):
    b = build(quantized=int8)
    one = b.q("images")
    two = b.q(b.conv(one, 4, pads=[1, 1, 1, 1]), -2, 2)
    lowered = same(b.model(b.q(b.node("Concat", [one, two], axis=axis))), images(), int8=int8)
    assert lowered.operators == (3 if int8 else 2)  # the second input is brought to the output's grid


@both
def test_pad_zero(build, images, same, ops, int8):
    b = build(quantized=int8)
    pads = b.const(np.array([0, 0, 1, 2, 0, 0, 3, 0], np.int64))
    lowered = same(b.model(b.q(b.node("Pad", [b.q("images"), pads]))), images(), int8=int8)
    assert ops(lowered.data) == ["PAD"]


@both
def test_pad_axes_and_value(build, images, same, int8):
    b = build(quantized=int8)
    pads, axes = b.const(np.array([1, 2, 3, 0], np.int64)), b.const(np.array([3, 2], np.int64))
    made = b.node("Pad", [b.q("images"), pads, b.const(np.float32(1.5)), axes])
    same(b.model(b.q(made)), images(), int8=int8)


def test_reflection_is_refused(build):
    b = build()
    pads = b.const(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    with pytest.raises(CheckError, match=r"pad_1.*'reflect'"):
        lower(b.model(b.node("Pad", ["images", pads], mode="reflect")))


@both
@pytest.mark.parametrize("shape", [(0, -1), (1, 2, 2, 64), (1, 256, 1, 1), (1, 16, 16), (1, 64, 4)], ids=str)
def test_reshape_of_an_image_keeps_onnx_order(build, images, same, int8, shape):
    b = build(quantized=int8)
    made = b.q(b.node("Reshape", [b.q("images"), b.const(np.array(shape, np.int64))]))
    same(b.model(made), images(count=1), int8=int8)


@both
def test_squeeze_of_one_pixel(build, images, same, ops, int8):
    b = build(quantized=int8)
    pooled = b.q(b.node("GlobalAveragePool", [b.q("images")]))
    made = b.node("Squeeze", [pooled, b.const(np.array([2, 3], np.int64))])
    assert ops(same(b.model(b.q(made)), images(), int8=int8).data) == ["MEAN", "RESHAPE"]


def test_moved_int8_stays_int8_without_a_grid_behind(build, images, same, ops):
    b = build(quantized=True)
    pooled = b.q(b.node("GlobalAveragePool", [b.q("images")]))
    lowered = same(b.model(b.node("Flatten", [pooled])), images(), int8=True)
    assert ops(lowered.data) == ["MEAN", "RESHAPE"]


@both
@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 1, 3, 2), (0, 3, 1, 2)], ids=str)
def test_transpose(build, images, same, int8, perm):
    b = build(quantized=int8)
    same(b.model(b.q(b.node("Transpose", [b.q("images")], perm=perm))), images(), int8=int8)


def test_what_is_moved_onto_another_grid_is_requantized(build, images, same, ops):
    b = build(quantized=True)
    moved = b.q(b.node("Transpose", [b.q("images")], perm=(0, 1, 3, 2)), -2, 2)
    assert "QUANTIZE" in ops(same(b.model(moved), images(), int8=True).data)


def test_shape_arithmetic_is_folded(build, images, same, ops):
    b = build()
    size = b.node("Gather", [b.node("Shape", ["images"]), b.const(np.array([0], np.int64))])
    target = b.node("Concat", [size, b.const(np.array([-1], np.int64))], axis=0)
    flat = b.node("Reshape", [b.node("GlobalAveragePool", ["images"]), target])
    model = b.model(b.node("Gemm", [flat, b.weight((3, 4))[0]], transB=1))
    assert ops(same(model, images()).data) == ["MEAN", "RESHAPE", "FULLY_CONNECTED"]
