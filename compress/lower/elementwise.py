"""Operators that act element by element: arithmetic, activations, quantization itself."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from compress.graph.grids import QuantConst
from compress.graph.proto import Array
from compress.graph.static_graph import Node, clip_bounds
from compress.lower.conv import float_input, within_reach
from compress.lower.lowering import CLAMPS, FUSED, NCHW_TO_NHWC, NHWC_TO_NCHW, Lowering, Tail, Value, stored_shape

_CODES = {"Add": "ADD", "Mul": "MUL", "Sub": "SUB", "Div": "DIV"}


def quantize(lo: Lowering, node: Node) -> None:
    """Lower QuantizeLinear that no node above has taken as its own output grid."""
    value, grid = lo.flat_value(node.inputs[0], node), lo.graph.grids[node.outputs[0]]
    if grid.per_channel:
        raise node.fail("an activation quantized per channel, allowed per tensor")
    lo.requantize(value, Tail("", (node.outputs[0],), grid))


def dequantize(lo: Lowering, node: Node) -> None:
    """Let DequantizeLinear's output stand for the int8 tensor; a reader that wants float adds the DEQUANTIZE."""
    value, grid = lo.flat_value(node.inputs[0], node), lo.graph.grids[node.outputs[0]]
    if value.quant is None or not value.quant.same(grid):
        raise node.fail("its scale or zero point differs from those of the QuantizeLinear before it")
    lo.values[node.outputs[0]] = value


def identity(lo: Lowering, node: Node) -> None:
    """Drop Identity, Dropout in evaluation, and Cast between float types."""
    lo.values[node.outputs[0]] = lo.flat_value(node.inputs[0], node)


def arithmetic(lo: Lowering, node: Node) -> None:
    """Lower Add, Mul, Sub (int8 or float) and Div (float), constants broadcast as in NCHW."""
    names = node.inputs[:2]
    rank = lo.rank(node.outputs[0], node)
    int8 = node.op != "Div" and all(_on_grid(lo, name, node) for name in names)
    tail = lo.tail(node, int8=int8)
    if int8 and node.op == "Add":
        tail = within_reach(lo, node, tail, max(_scale(lo, name, node) for name in names))
    if not tail.quant:
        lo.float_nodes.append(node.name)
    inputs = [operand(lo, name, node, rank, int8=tail.quant is not None) for name in names]
    shape = stored_shape(lo.shape(node.outputs[0], node))
    lo.emit(_CODES[node.op], inputs, tail, shape, {"fusedActivationFunction": FUSED[tail.activation]})


def clip(lo: Lowering, node: Node) -> None:
    """Lower Relu and Clip that no node above has fused.

    A grid behind it that ends where the clip ends already clips: then a QUANTIZE (or nothing) is exact.
    """
    low, high = clip_bounds(lo.graph, node)
    value = lo.value(node.inputs[0], node)
    code = CLAMPS.get((low, high))
    grid = lo.grid_behind(node.outputs[0])
    implied = grid is not None and grid.implies_clip(low, high)
    tail = lo.tail(node, int8=value.quant is not None or implied, fuse=False)
    if implied:
        lo.requantize(value, tail)
        return
    if tail.quant is not None and value.quant is not None and code is not None:
        clamped = lo.inner(code, [value.index], value, f"{tail.names[0]}/input_grid")
        lo.requantize(clamped, tail)
        return
    result = _clamp(lo, float_input(lo, value, node), node, low, high, code)
    lo.requantize(replace(result, nonneg=value.nonneg or (low is not None and low >= 0)), tail)


def hard_swish(lo: Lowering, node: Node) -> None:
    """Lower HardSwish, always in float: XNNPACK does not take int8 HARD_SWISH (FIELD-NOTES, int8 speed)."""
    _float_unary(lo, node, "HARD_SWISH")


def hard_sigmoid(lo: Lowering, node: Node) -> None:
    """Lower HardSigmoid in float: relu6(x + 3) / 6 where alpha = 1/6 and beta = 1/2, else min(relu(ax + b), 1)."""
    alpha, beta = float(node.attrs.get("alpha", 0.2)), float(node.attrs.get("beta", 0.5))
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    tail = lo.tail(node, int8=False, fuse=False)
    name = node.outputs[0]
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and beta == 0.5:
        shifted = lo.inner("ADD", [source.index, lo.scalar(3.0)], source, f"{name}/relu6", fusedActivationFunction=3)
        lo.emit("MUL", [shifted.index, lo.scalar(1 / 6)], tail, source.shape, nonneg=True)
        return
    scaled = lo.inner("MUL", [source.index, lo.scalar(alpha)], source, f"{name}/scaled")
    shifted = lo.inner("ADD", [scaled.index, lo.scalar(beta)], source, f"{name}/relu", fusedActivationFunction=1)
    lo.emit("MINIMUM", [shifted.index, lo.scalar(1.0)], tail, source.shape, nonneg=True)


def sigmoid(lo: Lowering, node: Node) -> None:
    """Lower Sigmoid to LOGISTIC: int8 on TFLite's fixed grid (1/256 from -128), else float."""
    _unit_interval(lo, node, "LOGISTIC", {})


def softmax(lo: Lowering, node: Node) -> None:
    """Lower Softmax over the classes (axis 1 of NCHW or the last of [N,K]), or over the last axis of four, in float."""
    rank = lo.rank(node.inputs[0], node)
    axis = int(node.attrs.get("axis", -1 if lo.graph.opset >= 13 else 1)) % rank
    if axis == rank - 1 == 3:
        _softmax_of_rows(lo, node)
        return
    if axis != (1 if rank == 4 else rank - 1):
        raise node.fail(f"axis {axis} of {rank}, allowed the channels of NCHW or the last axis")
    _unit_interval(lo, node, "SOFTMAX", {"beta": 1.0})


def _softmax_of_rows(lo: Lowering, node: Node) -> None:
    name = node.outputs[0]
    rows = lo.transpose(name, float_input(lo, lo.value(node.inputs[0], node), node), NHWC_TO_NCHW)
    shares = lo.inner("SOFTMAX", [rows.index], replace(rows, nonneg=True), f"{name}/rows", beta=1.0)
    lo.requantize(lo.transpose(name, shares, NCHW_TO_NHWC), lo.tail(node, int8=False, fuse=False))


def _unit_interval(lo: Lowering, node: Node, code: str, options: dict[str, float]) -> None:
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None and _fixed_grid(lo, node), fuse=False)
    source = value if tail.quant else float_input(lo, value, node)
    lo.emit(code, [source.index], tail, source.shape, options, nonneg=True)


def _fixed_grid(lo: Lowering, node: Node) -> bool:
    """Return whether every reader quantizes the output to 1/256 from -128."""
    readers = lo.graph.consumers.get(node.outputs[0], ())
    grids = [lo.graph.grids.get(reader.outputs[0]) for reader in readers]
    return all(grid is not None and grid.is_unit_interval() for grid in grids)


def _float_unary(lo: Lowering, node: Node, code: str) -> None:
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    lo.emit(code, [source.index], lo.tail(node, int8=False, fuse=False), source.shape)


def _clamp(lo: Lowering, source: Value, node: Node, low: float | None, high: float | None, code: str | None) -> Value:
    """Return the float input clamped; None leaves a side open."""
    name = node.outputs[0]
    if code is not None:
        return lo.inner(code, [source.index], source, name)
    if low is not None:
        source = lo.inner("MAXIMUM", [source.index, lo.scalar(low)], source, name)
    if high is not None:
        source = lo.inner("MINIMUM", [source.index, lo.scalar(high)], source, name)
    return source


def _on_grid(lo: Lowering, name: str, node: Node) -> bool:
    const = lo.quantized(name)
    if const is not None:
        return const.data.dtype == np.int8 and not const.quant.per_channel
    return lo.constant(name) is None and lo.value(name, node).quant is not None


def _scale(lo: Lowering, name: str, node: Node) -> float:
    """Return the scale of an int8 operand."""
    const = lo.quantized(name)
    quant = lo.value(name, node).quant if const is None else const.quant
    assert quant is not None
    return float(quant.scale[0])


def operand(lo: Lowering, name: str, node: Node, rank: int, *, int8: bool) -> int:
    """Return the tensor index of an operand, computed or constant, broadcastable in TFLite's layout."""
    array = lo.constant(name)
    if array is None:
        value = lo.value(name, node)
        if len(value.shape) not in (rank, 0, 1):
            raise node.fail(f"operands of {len(value.shape)} and {rank} axes, allowed equal numbers of axes")
        return value.index if int8 else lo.real(value, name).index
    const = lo.quantized(name)
    if int8 and const is not None:
        wide = QuantConst(const.name, _widen(const.data, rank), const.quant)
        return lo.int_constant(wide, NCHW_TO_NHWC if wide.data.ndim == 4 else tuple(range(wide.data.ndim)))
    wide_array = _widen(np.asarray(array, np.float32), rank)
    return lo.real_constant(name, wide_array.transpose(NCHW_TO_NHWC) if wide_array.ndim == 4 else wide_array)


def _widen(data: Array, rank: int) -> Array:
    """Return a constant with leading axes of 1 up to 4 where the result is an image; else as it is."""
    return data.reshape((1,) * (rank - data.ndim) + data.shape) if rank == 4 and data.size > 1 else data
