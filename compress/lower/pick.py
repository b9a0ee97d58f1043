"""Operators that pick or reorder elements of images: Slice, DepthToSpace; their output has the input's grid."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.graph.static_graph import Node
from compress.lower.conv import float_input
from compress.lower.lowering import NCHW_TO_NHWC, Lowering, stored_shape
from compress.lower.pool import finish


def slice_(lo: Lowering, node: Node) -> None:
    """Lower Slice with constant bounds to STRIDED_SLICE.

    Raises:
        CheckError: computed bounds, or steps below 1.
    """
    shape = lo.shape(node.inputs[0], node)
    bounds = [(0, size, 1) for size in shape]
    starts, ends, axes, steps = _bounds(lo, node, len(shape))
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step < 1:
            raise node.fail(f"step {step}, allowed 1 or more")
        bounds[axis % len(shape)] = (*slice(start, end).indices(shape[axis])[:2], step)
    if len(shape) == 4:
        bounds = [bounds[axis] for axis in NCHW_TO_NHWC]
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None, fuse=False)
    source = value if tail.quant else float_input(lo, value, node)
    name = node.outputs[0]
    picks = [
        lo.plain_constant(f"{name}/{what}", np.array([one[place] for one in bounds], np.int32))
        for place, what in enumerate(("begin", "end", "strides"))
    ]
    like = replace(source, shape=stored_shape(lo.shape(name, node)), flat_CHW=None)
    finish(lo, "STRIDED_SLICE", [source.index, *picks], tail, like)


def depth_to_space(lo: Lowering, node: Node) -> None:
    """Lower DepthToSpace whose depth holds the block first (DCR), as TFLite's does.

    Raises:
        CheckError: the other order, CRD (PixelShuffle).
    """
    mode = node.attrs.get("mode", "DCR")
    if mode != "DCR":
        raise node.fail(f"mode '{mode}', allowed 'DCR'")
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None, fuse=False)
    source = value if tail.quant else float_input(lo, value, node)
    like = replace(source, shape=stored_shape(lo.shape(node.outputs[0], node)))
    finish(lo, "DEPTH_TO_SPACE", [source.index], tail, like, {"blockSize": int(node.attrs["blocksize"])})


def _bounds(lo: Lowering, node: Node, rank: int) -> list[list[int]]:
    """Return starts, ends, axes and steps; attributes until opset 10, inputs since."""
    if "starts" in node.attrs:
        first = list(node.attrs["starts"])
        return [first, list(node.attrs["ends"]), list(node.attrs.get("axes", range(len(first)))), [1] * len(first)]
    given = [lo.constant(name) if name else None for name in (*node.inputs[1:], "", "")[:4]]
    if (
        given[0] is None
        or given[1] is None
        or any(name and array is None for name, array in zip(node.inputs[3:], given[2:], strict=False))
    ):
        raise node.fail("its bounds are computed; only constants are allowed")
    count = len(given[0])
    axes = np.arange(count) if given[2] is None else given[2]
    steps = np.ones(count, np.int64) if given[3] is None else given[3]
    return [[int(number) for number in numbers] for numbers in (given[0], given[1], axes, steps)]
