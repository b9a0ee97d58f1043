"""Activations beside ReLU and its kin, and the greater or lesser of several tensors."""

from __future__ import annotations

import numpy as np

from compress.graph.static_graph import Node
from compress.lower.conv import float_input
from compress.lower.elementwise import operand
from compress.lower.lowering import Lowering, stored_shape

_CODES = {"Max": "MAXIMUM", "Min": "MINIMUM"}


def leaky_relu(lo: Lowering, node: Node) -> None:
    """Lower LeakyRelu, in int8 or float."""
    value = lo.value(node.inputs[0], node)
    tail = lo.tail(node, int8=value.quant is not None, fuse=False)
    source = value if tail.quant else float_input(lo, value, node)
    lo.emit("LEAKY_RELU", [source.index], tail, source.shape, {"alpha": float(node.attrs.get("alpha", 0.01))})


def elu(lo: Lowering, node: Node) -> None:
    """Lower Elu in float; `graph.decompose_curves` wrote any other alpha than TFLite's 1 in parts."""
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    lo.emit("ELU", [source.index], lo.tail(node, int8=False, fuse=False), source.shape)


def local_response_norm(lo: Lowering, node: Node) -> None:
    """Lower LRN in float. ONNX divides alpha by the window's size, TFLite does not."""
    size, source = node.attrs["size"], float_input(lo, lo.value(node.inputs[0], node), node)
    if size % 2 == 0:
        raise node.fail(f"a window of {size} channels, allowed are odd ones")
    options = {
        "radius": size // 2,
        "bias": float(node.attrs.get("bias", 1.0)),
        "alpha": float(node.attrs.get("alpha", 1e-4)) / size,
        "beta": float(node.attrs.get("beta", 0.75)),
    }
    tail = lo.tail(node, int8=False, fuse=False)
    lo.emit("LOCAL_RESPONSE_NORMALIZATION", [source.index], tail, source.shape, options)


def root(lo: Lowering, node: Node) -> None:
    """Lower Sqrt in float."""
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    lo.emit("SQRT", [source.index], lo.tail(node, int8=False, fuse=False), source.shape, nonneg=True)


def prelu(lo: Lowering, node: Node) -> None:
    """Lower PRelu in float: one slope, or one for each channel.

    Raises:
        CheckError: slopes that the graph computes, or that differ within a channel.
    """
    slope = lo.constant(node.inputs[1])
    if slope is None:
        raise node.fail("its slopes are computed; only constants are allowed")
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    if slope.size not in (1, source.shape[-1]):
        raise node.fail(f"slopes of the shape {list(slope.shape)}, allowed one, or one for each channel")
    rows = np.broadcast_to(np.asarray(slope, np.float32).reshape(-1), (source.shape[-1],))
    index = lo.real_constant(node.inputs[1], rows.reshape((1,) * (len(source.shape) - 2) + (-1,)))
    lo.emit("PRELU", [source.index, index], lo.tail(node, int8=False, fuse=False), source.shape)


def extremum(lo: Lowering, node: Node) -> None:
    """Lower Max and Min of any number of tensors, in float."""
    shape, name = stored_shape(lo.shape(node.outputs[0], node)), node.outputs[0]
    tail = lo.tail(node, int8=False, fuse=False)
    lo.float_nodes.append(node.name)
    indices = [operand(lo, one, node, len(shape), int8=False) for one in node.inputs]
    if len(indices) == 1:
        lo.bind(tail, lo.real(lo.value(node.inputs[0], node), node.inputs[0]))
        return
    best = indices[0]
    for place, index in enumerate(indices[1:-1]):
        between = lo.writer.activation(f"{name}/{place}", shape, None)
        lo.writer.operator(_CODES[node.op], [best, index], between)
        best = between
    lo.emit(_CODES[node.op], [best, indices[-1]], tail, shape)
