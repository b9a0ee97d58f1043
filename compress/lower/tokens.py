"""What transformers and their kin compute: norms over the last axis, GELU, products of tensors, layers on tokens.

They are written in ONNX's order of axes, also where a tensor has four of them: a transpose is written where the stored
order differs, and left out again where two of them cancel.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compress.graph.static_graph import Node
from compress.lower.conv import float_input
from compress.lower.lowering import NCHW_TO_NHWC, NHWC_TO_NCHW, Lowering, Value


def in_onnx_order(lo: Lowering, name: str, value: Value) -> Value:
    """Return a tensor with its axes as ONNX has them."""
    return lo.transpose(name, value, NHWC_TO_NCHW) if len(value.shape) == 4 else value


def bind_float(lo: Lowering, node: Node, result: Value) -> None:
    """Let a node's output stand for a float tensor in ONNX's order of axes."""
    name = node.outputs[0]
    stored = lo.transpose(name, result, NCHW_TO_NHWC) if len(result.shape) == 4 else result
    lo.requantize(stored, lo.tail(node, int8=False, fuse=False))


def layer_norm(lo: Lowering, node: Node) -> None:
    """Lower LayerNormalization over the last axis: (x - mean) / sqrt(variance + epsilon) * scale + bias.

    Source: Ba et al. 2016, "Layer Normalization", equations 3 and 4.

    Raises:
        CheckError: it reaches over more axes than the last.
    """
    rank, name = lo.rank(node.inputs[0], node), node.outputs[0]
    if int(node.attrs.get("axis", -1)) % rank != rank - 1:
        raise node.fail(f"axis {node.attrs['axis']} of {rank}, allowed the last")
    x = in_onnx_order(lo, node.inputs[0], float_input(lo, lo.value(node.inputs[0], node), node))
    axes = lo.plain_constant(f"{name}/last", np.array([rank - 1], np.int32))
    one = replace(x, shape=(*x.shape[:-1], 1), nonneg=False)
    mean = lo.inner("MEAN", [x.index, axes], one, f"{name}/mean", keepDims=True)
    centred = lo.inner("SUB", [x.index, mean.index], x, f"{name}/centred")
    square = lo.inner("MUL", [centred.index, centred.index], x, f"{name}/square")
    variance = lo.inner("MEAN", [square.index, axes], one, f"{name}/variance", keepDims=True)
    raised = lo.inner("ADD", [variance.index, lo.scalar(node.attrs.get("epsilon", 1e-5))], one, f"{name}/raised")
    inverse = lo.inner("RSQRT", [raised.index], one, f"{name}/inverse")
    result = lo.inner("MUL", [centred.index, inverse.index], replace(x, nonneg=False), f"{name}/normalized")
    for code, constant in zip(("MUL", "ADD"), node.inputs[1:], strict=False):
        array = lo.constant(constant) if constant else None
        if constant and array is None:
            raise node.fail(f"'{constant}' is computed; only constants are allowed")
        if array is not None:
            result = lo.inner(code, [result.index, lo.real_constant(constant, array)], result, f"{name}/{code.lower()}")
    bind_float(lo, node, result)


def gelu(lo: Lowering, node: Node) -> None:
    """Lower Gelu in float; with the error function, or as `approximate` says by tanh."""
    source = float_input(lo, lo.value(node.inputs[0], node), node)
    options = {"approximate": node.attrs.get("approximate", "none") == "tanh"}
    lo.emit("GELU", [source.index], lo.tail(node, int8=False, fuse=False), source.shape, options)


def matmul(lo: Lowering, node: Node) -> None:
    """Lower MatMul of tokens and a weight, or of two tensors, in float."""
    name, weight = node.outputs[0], lo.constant(node.inputs[1])
    shape = lo.shape(name, node)
    first = _operand(lo, node, node.inputs[0])
    like = replace(first, shape=shape, nonneg=False)
    if weight is not None and weight.ndim == 2:
        rows = lo.real_constant(f"{node.inputs[1]}/rows", np.ascontiguousarray(weight.T), half=True)
        result = lo.inner("FULLY_CONNECTED", [first.index, rows, -1], like, f"{name}/tokens", keepNumDims=True)
    else:
        second = _operand(lo, node, node.inputs[1])
        result = lo.inner("BATCH_MATMUL", [first.index, second.index], like, f"{name}/product")
    bind_float(lo, node, result)


def _operand(lo: Lowering, node: Node, name: str) -> Value:
    array = lo.constant(name)
    if array is not None:
        return Value(lo.real_constant(name, array), array.shape)
    lo.float_nodes.append(node.name)
    return in_onnx_order(lo, name, lo.real(lo.value(name, node), name))
