"""Operators that move elements and change none: Concat, Pad, Reshape and its kin, Transpose."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from compress.graph.constants import Shape
from compress.graph.static_graph import Node
from compress.lower.conv import float_input
from compress.lower.lowering import NCHW_TO_NHWC, NHWC_TO_NCHW, Lowering, Tail, Value, stored_shape
from compress.lower.pool import finish

_NHWC_AXIS = (0, 3, 1, 2)  # NCHW axis -> NHWC axis


def concat(lo: Lowering, node: Node) -> None:
    """Lower Concat. int8 inputs are brought to the output's grid first: TFLite's kernel does not rescale."""
    shape = lo.shape(node.outputs[0], node)
    axis = int(node.attrs["axis"]) % len(shape)
    values = [_part(lo, name, node) for name in node.inputs]
    tail = lo.tail(node, int8=all(value.quant is not None for value in values), fuse=False)
    if tail.quant is None:
        lo.float_nodes.append(node.name)
        values = [lo.real(value, name) for value, name in zip(values, node.inputs, strict=True)]
    else:
        values = [_on_grid(lo, value, tail, f"{node.outputs[0]}/{i}") for i, value in enumerate(values)]
    stored = stored_shape(shape)
    options = {"axis": _NHWC_AXIS[axis] if len(shape) == 4 else axis}
    nonneg = all(value.nonneg for value in values)
    lo.emit("CONCATENATION", [value.index for value in values], tail, stored, options, nonneg=nonneg)


def _part(lo: Lowering, name: str, node: Node) -> Value:
    array = lo.constant(name)
    if array is None:
        return lo.value(name, node)
    stored = np.asarray(array, np.float32).transpose(NCHW_TO_NHWC) if array.ndim == 4 else array
    return Value(lo.real_constant(name, stored), stored.shape)


def pad(lo: Lowering, node: Node) -> None:
    """Lower Pad with a constant: zero (the zero point, for int8), or another number in float.

    Raises:
        CheckError: other modes, computed or negative pads.
    """
    if node.attrs.get("mode", "constant") != "constant":
        raise node.fail(f"mode '{node.attrs['mode']}', allowed 'constant'")
    amounts = _pad_amounts(lo, node)
    fill = _pad_fill(lo, node)
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None and fill == 0.0, fuse=False)
    source = value if tail.quant else float_input(lo, value, node)
    index = lo.plain_constant(f"{node.outputs[0]}/pads", np.array(amounts, np.int32))
    like = replace(source, shape=stored_shape(lo.shape(node.outputs[0], node)), nonneg=source.nonneg and fill >= 0)
    if fill == 0.0:
        finish(lo, "PAD", [source.index, index], tail, like)
    else:
        finish(lo, "PADV2", [source.index, index, lo.scalar(fill)], tail, like)


def reshape(lo: Lowering, node: Node) -> None:
    """Lower Reshape, Flatten, Squeeze and Unsqueeze.

    Images of one pixel or one channel have the same order in both layouts. A flattened larger image stays in NHWC
    order until a Gemm permutes its weights instead, or another reader asks for ONNX's order.
    """
    name = node.inputs[0]
    value, target = lo.value(name, node), lo.shape(node.outputs[0], node)
    source = lo.shape(name, node)
    tail = lo.tail(node, int8=value.quant is not None, fuse=False)
    stored = stored_shape(target)
    chw = None
    if not _same_order(source) and len(target) == 2 and target[1] == math.prod(source[1:]):
        chw = (source[1], source[2], source[3])
    elif not _same_order(source):
        value = lo.transpose(name, value, NHWC_TO_NCHW)
    if len(target) == 4 and not _same_order(target):
        plain = lo.reshape(node.outputs[0], value, target)
        result = lo.transpose(node.outputs[0], plain, NCHW_TO_NHWC)
    else:
        result = replace(lo.reshape(node.outputs[0], value, stored), flat_CHW=chw)
    lo.requantize(result, tail)


def transpose(lo: Lowering, node: Node) -> None:
    """Lower Transpose, in the stored layout; nothing is written where the orders agree."""
    name = node.inputs[0]
    value, rank = lo.value(name, node), lo.rank(name, node)
    perm = [int(axis) for axis in node.attrs.get("perm", range(rank)[::-1])]
    if rank == 4:
        perm = [NHWC_TO_NCHW[perm[axis]] for axis in NCHW_TO_NHWC]
    tail = lo.tail(node, int8=value.quant is not None, fuse=False)
    result = value if perm == list(range(rank)) else lo.transpose(node.outputs[0], value, perm)
    lo.requantize(result, tail)


def _on_grid(lo: Lowering, value: Value, tail: Tail, name: str) -> Value:
    assert tail.quant is not None
    if value.quant is not None and value.quant.same(tail.quant):
        return value
    return lo.inner("QUANTIZE", [value.index], replace(value, quant=tail.quant), f"{name}/requantized")


def _same_order(shape: Shape) -> bool:
    """Return whether NCHW and NHWC store such a tensor in the same order."""
    return len(shape) != 4 or shape[1] == 1 or shape[2] * shape[3] == 1


def _pad_amounts(lo: Lowering, node: Node) -> list[tuple[int, int]]:
    """Return (before, after) per stored axis."""
    rank = lo.rank(node.inputs[0], node)
    given = node.attrs.get("pads")
    if given is None:
        array = lo.constant(node.inputs[1])
        if array is None:
            raise node.fail("its pads are computed; only constants are allowed")
        given = array.tolist()
    axes = list(range(rank))
    if len(node.inputs) > 3 and node.inputs[3]:
        chosen = lo.constant(node.inputs[3])
        if chosen is None:
            raise node.fail("its axes are computed; only constants are allowed")
        axes = [int(axis) % rank for axis in chosen.tolist()]
    amounts = [(0, 0)] * rank
    for place, axis in enumerate(axes):
        amounts[axis] = (int(given[place]), int(given[place + len(axes)]))
    if any(number < 0 for pair in amounts for number in pair):
        raise node.fail(f"pads {amounts}, allowed 0 or more")
    return [amounts[axis] for axis in NCHW_TO_NHWC] if rank == 4 else amounts


def _pad_fill(lo: Lowering, node: Node) -> float:
    if len(node.inputs) > 2 and node.inputs[2]:
        array = lo.constant(node.inputs[2])
        if array is None:
            raise node.fail("its fill value is computed; only constants are allowed")
        return float(array.reshape(-1)[0])
    return float(node.attrs.get("value", 0.0))
