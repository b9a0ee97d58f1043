"""Pooling: MaxPool, AveragePool, and the mean over H and W."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from compress.graph.grids import Quant
from compress.graph.static_graph import Node
from compress.lower.conv import float_input, within_reach
from compress.lower.lowering import NCHW_TO_NHWC, NHWC_TO_NCHW, Lowering, Tail, Value
from compress.lower.window import VALID, Window, pad_image, read_window

_LEAST = float(np.finfo(np.float32).min)


def max_pool(lo: Lowering, node: Node) -> None:
    """Lower MaxPool. Explicit pads never win the maximum: they are the least number, or zero where nothing is below."""
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.fail("output 'Indices', allowed the maximum only")
    image, window, tail = _read(lo, node)
    if window.dilation_HW != (1, 1):
        raise node.fail(f"dilations {window.dilation_HW}, allowed (1, 1)")
    if window.padding is None:
        pad = pad_image if image.nonneg else _pad_least
        image, padding = pad(lo, image, window.pads, node.outputs[0]), VALID
    else:
        padding = window.padding
    _pool(lo, node, "MAX_POOL_2D", image, window, padding, tail)


def average_pool(lo: Lowering, node: Node) -> None:
    """Lower AveragePool. TFLite's SAME leaves the border out of the mean; zeros from a PAD are counted.

    In int8, a mean over whole windows is a DEPTHWISE_CONV_2D with weights of 1, which rounds once, on the output's own
    grid, and which XNNPACK takes; it leaves int8 AVERAGE_POOL_2D alone.

    Raises:
        CheckError: pads outside the mean that SAME does not give.
    """
    image, window, tail = _read(lo, node)
    if window.dilation_HW != (1, 1):
        raise node.fail(f"dilations {window.dilation_HW}, allowed (1, 1)")
    counted = bool(node.attrs.get("count_include_pad", 0))
    if window.padding != VALID and counted and not window.beyond:
        image, padding = pad_image(lo, image, window.pads, node.outputs[0]), VALID
    elif window.padding == VALID or (not counted and window.padding is not None):
        padding = window.padding
    else:
        hint = "set count_include_pad=True and ceil_mode=False in the model, or use `converter: tensorflow`"
        raise node.fail(f"pads {window.pads} left out of the mean, which TFLite can only do for SAME pads", hint=hint)
    if image.quant is not None and padding == VALID:
        tail = within_reach(lo, node, tail, float(image.quant.scale[0]) / math.prod(window.kernel_HW))
    if tail.quant is not None and padding == VALID:
        _mean_by_convolution(lo, node, image, window, tail)
        return
    if image.quant is not None and (tail.quant is None or not image.quant.same(tail.quant)):
        image = float_input(lo, image, node)  # the kernel would round on the input's grid, and QUANTIZE once more
    _pool(lo, node, "AVERAGE_POOL_2D", image, window, padding, tail)


def _mean_by_convolution(lo: Lowering, node: Node, image: Value, window: Window, tail: Tail) -> None:
    n, c, h, w = lo.shape(node.outputs[0], node)
    name = node.outputs[0]
    share = Quant(np.array([1 / math.prod(window.kernel_HW)], np.float32), np.zeros(1, np.int64))
    assert image.quant is not None
    weights = lo.writer.constant(f"{name}/ones", np.ones((1, *window.kernel_HW, c), np.int8), share)
    bias = lo.writer.constant(
        f"{name}/no_bias", np.zeros(c, np.int32), replace(share, scale=share.scale * image.quant.scale)
    )
    options = window.options(padding=VALID) | {"depthMultiplier": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    lo.emit("DEPTHWISE_CONV_2D", [image.index, weights, bias], tail, (n, h, w, c), options, nonneg=image.nonneg)


def mean(lo: Lowering, node: Node) -> None:
    """Lower GlobalAveragePool and ReduceMean over H and W."""
    image = lo.value(node.inputs[0], node)
    out = lo.shape(node.outputs[0], node)
    axes, keep = _mean_axes(lo, node)
    if len(image.shape) != 4 or sorted(axis % 4 for axis in axes) != [2, 3]:
        _mean_over(lo, node, image, axes, keep)
        return
    tail = lo.tail(node, int8=image.quant is not None, fuse=False)
    source = image if tail.quant else float_input(lo, image, node)
    index = lo.plain_constant("axes_HW", np.array([1, 2], np.int32))
    shape = (out[0], 1, 1, out[1]) if keep else out
    lo.emit("MEAN", [source.index, index], tail, shape, {"keepDims": keep}, nonneg=image.nonneg)


def _mean_over(lo: Lowering, node: Node, value: Value, axes: list[int], keep: bool) -> None:
    """Write a mean over any axes in float, in ONNX's order of them."""
    name, rank, out = node.outputs[0], len(value.shape), lo.shape(node.outputs[0], node)
    source = float_input(lo, value, node)
    source = lo.transpose(name, source, NHWC_TO_NCHW) if rank == 4 else source
    index = lo.plain_constant(f"{name}/axes", np.array([axis % rank for axis in axes], np.int32))
    result = lo.inner("MEAN", [source.index, index], replace(source, shape=out), f"{name}/mean", keepDims=keep)
    result = lo.transpose(name, result, NCHW_TO_NHWC) if len(out) == 4 else result
    lo.requantize(result, lo.tail(node, int8=False, fuse=False))


def _mean_axes(lo: Lowering, node: Node) -> tuple[list[int], bool]:
    if node.op == "GlobalAveragePool":
        return [2, 3], True
    axes = node.attrs.get("axes")
    if axes is None and len(node.inputs) > 1 and node.inputs[1]:
        array = lo.constant(node.inputs[1])
        if array is None:
            raise node.fail("its axes are computed; only constants are allowed")
        axes = array.tolist()
    return [int(axis) for axis in axes or ()], bool(node.attrs.get("keepdims", 1))


def _read(lo: Lowering, node: Node) -> tuple[Value, Window, Tail]:
    """Return input (float where the result is), window and tail of a pooling node."""
    image = lo.value(node.inputs[0], node)
    out_NCHW = lo.shape(node.outputs[0], node)
    window = read_window(node, image.shape[1:3], out_NCHW[2:], node.attrs["kernel_shape"])
    tail = lo.tail(node, int8=image.quant is not None, fuse=False)
    return (image if tail.quant else float_input(lo, image, node)), window, tail


def _pool(lo: Lowering, node: Node, code: str, image: Value, window: Window, padding: int, tail: Tail) -> None:
    """Write the pooling on the input's grid (TFLite's kernels do not rescale), then QUANTIZE where grids differ."""
    n, c, h, w = lo.shape(node.outputs[0], node)
    kernel = {"filterHeight": window.kernel_HW[0], "filterWidth": window.kernel_HW[1]}
    options = window.options(padding=padding) | kernel
    finish(lo, code, [image.index], tail, Value(image.index, (n, h, w, c), image.quant, image.nonneg), options)


def finish(
    lo: Lowering, code: str, inputs: list[int], tail: Tail, like: Value, options: dict[str, int] | None = None
) -> None:
    """Write an operator that keeps the grid: shape and grid as `like`, then a QUANTIZE where the tail differs."""
    if tail.quant is None or (like.quant is not None and like.quant.same(tail.quant)):
        lo.emit(code, inputs, tail, like.shape, options, nonneg=like.nonneg)
        return
    value = lo.inner(code, inputs, like, f"{tail.names[0]}/input_grid", **(options or {}))
    lo.requantize(value, tail)


def _pad_least(lo: Lowering, value: Value, pads: tuple[tuple[int, int], tuple[int, int]], name: str) -> Value:
    """Return an NHWC tensor with the least number around H and W."""
    amounts = lo.plain_constant(f"{name}/pads", np.array([(0, 0), *pads, (0, 0)], np.int32))
    n, h, w, c = value.shape
    like = Value(0, (n, h + sum(pads[0]), w + sum(pads[1]), c), value.quant)
    if value.quant is None:
        fill = lo.scalar(_LEAST)
    else:
        fill = lo.writer.constant(f"{name}/least", np.array([-128], np.int8), value.quant)
    return lo.inner("PADV2", [value.index, amounts, fill], like, f"{name}/padded")
