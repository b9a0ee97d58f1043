"""Conv -> CONV_2D or DEPTHWISE_CONV_2D; Gemm and MatMul -> FULLY_CONNECTED.

Legend: O output channels, I input channels, H W kernel size. ONNX stores OIHW, TFLite OHWI and 1HWO for depthwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from compress.graph.grids import Quant, QuantConst
from compress.graph.proto import Array
from compress.graph.static_graph import Node
from compress.lower.lowering import FUSED, MIXED_HINT, NCHW_TO_NHWC, Lowering, Tail, Value
from compress.lower.window import padded, read_window

_OIHW_TO_IHWO = (1, 2, 3, 0)
_INT32_MAX = 2**31 - 1
MOST_SCALES = 256.0  # input scale / output scale that XNNPACK and TFLite's ADD stay below


@dataclass(frozen=True)
class Weights:
    """Weights and bias of a node by name, and where TFLite wants the weight's axes."""

    weight: str
    bias: str
    perm: tuple[int, ...]
    channels: int  # of the output


def conv(lo: Lowering, node: Node) -> None:
    """Lower Conv: normal, grouped, or depthwise where each input channel has filters of its own."""
    image = lo.value(node.inputs[0], node)
    weight_OIHW = lo.constant(node.inputs[1])
    if weight_OIHW is None or weight_OIHW.ndim != 4:
        raise node.fail(f"weights '{node.inputs[1]}' must be a constant of 4 axes", hint=MIXED_HINT)
    groups, channels = int(node.attrs.get("group", 1)), weight_OIHW.shape[0]
    in_channels = image.shape[3]
    depthwise = groups == in_channels and groups > 1
    out_NCHW = lo.shape(node.outputs[0], node)
    window = read_window(node, image.shape[1:3], out_NCHW[2:], weight_OIHW.shape[2:])
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    weights = Weights(node.inputs[1], bias, _OIHW_TO_IHWO if depthwise else NCHW_TO_NHWC, channels)
    int8 = can_int8(lo, image, weights, node)
    if depthwise and int8:
        _note_per_tensor(lo, node, weights)
    tail = within_reach(lo, node, lo.tail(node, int8=int8), _product(lo, image, weights))
    source = image if tail.quant else float_input(lo, image, node)
    source, padding = padded(lo, source, window, node.outputs[0])
    inputs = [source.index, *_constants(lo, node, weights, source, tail)]
    options = window.options(padding=padding) | {
        "dilationHFactor": window.dilation_HW[0],
        "dilationWFactor": window.dilation_HW[1],
        "fusedActivationFunction": FUSED[tail.activation],
    }
    code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    if depthwise:
        options["depthMultiplier"] = channels // in_channels
    n, _, h, w = out_NCHW
    lo.emit(code, inputs, tail, (n, h, w, channels), options)


def _note_per_tensor(lo: Lowering, node: Node, weights: Weights) -> None:
    """Warn of depthwise weights with one scale: channels differ so much that small ones lose all their steps."""
    const = lo.quantized(weights.weight)
    if const is not None and not const.quant.per_channel and weights.channels > 1:
        lo.notes.append(
            f"depthwise weights '{const.name}' of '{node.name}' have one scale for {weights.channels} channels, which "
            "costs much accuracy; quantize them per channel (ONNX Runtime: per_channel=True)"
        )


def gemm(lo: Lowering, node: Node) -> None:
    """Lower Gemm with constant weights; alpha and beta must be 1."""
    odd = {k: node.attrs[k] for k in ("alpha", "beta") if node.attrs.get(k, 1.0) != 1.0}
    if node.attrs.get("transA", 0) or odd:
        raise node.fail(f"attributes {odd or 'transA=1'}, allowed alpha=1, beta=1, transA=0")
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    _fully_connected(lo, node, node, bias, transposed=bool(node.attrs.get("transB", 0)))


def matmul(lo: Lowering, node: Node) -> None:
    """Lower MatMul with constant weights, together with an Add of a constant bias right behind it."""
    add = lo.only_reader(node.outputs[0])
    bias = ""
    if add is not None and add.op == "Add":
        other = add.inputs[1] if add.inputs[0] == node.outputs[0] else add.inputs[0]
        array, weight = lo.constant(other), lo.constant(node.inputs[1])
        if array is not None and weight is not None and array.size == weight.shape[-1] == array.shape[-1]:
            bias = other
    last = add if bias and add is not None else node
    if last is not node:
        lo.done.add(last.outputs[0])
    _fully_connected(lo, node, last, bias, transposed=False)


def _fully_connected(lo: Lowering, node: Node, last: Node, bias: str, *, transposed: bool) -> None:
    """Write FULLY_CONNECTED for `node`; `last` is the node whose output it yields.

    Args:
        lo: the walk.
        node: has the input and the weights.
        last: `node`, or the Add fused into it.
        bias: name of the bias, or empty.
        transposed: whether the weights are stored [O,I].
    """
    source = lo.flat_value(node.inputs[0], node)
    weight = lo.constant(node.inputs[1])
    if weight is None or weight.ndim != 2:
        raise node.fail(f"weights '{node.inputs[1]}' must be a constant of 2 axes", hint=MIXED_HINT)
    if len(source.shape) != 2:
        raise node.fail(f"input of {len(source.shape)} axes, allowed [N,I]", hint="flatten the features first")
    perm = (0, 1) if transposed else (1, 0)
    weights = Weights(node.inputs[1], bias, perm, weight.shape[perm[0]])
    int8 = can_int8(lo, source, weights, node)
    tail = within_reach(lo, node, lo.tail(last, int8=int8), _product(lo, source, weights))
    if not tail.quant:
        source = float_input(lo, source, node)
    inputs = [source.index, *_constants(lo, node, weights, source, tail)]
    shape = (source.shape[0], weights.channels)
    options = {"fusedActivationFunction": FUSED[tail.activation]}
    lo.emit("FULLY_CONNECTED", inputs, tail, shape, options)


def float_input(lo: Lowering, value: Value, node: Node) -> Value:
    """Return the input as float32 and note that this node computes in float."""
    lo.float_nodes.append(node.name)
    return lo.real(value, node.inputs[0])


def within_reach(lo: Lowering, node: Node, tail: Tail, scale: float) -> Tail:
    """Return the tail, or one that computes in float and quantizes then, where int8 kernels cannot step so far.

    XNNPACK does not open a file whose Conv or Gemm has `scale` 256 times its output's or more, and TFLite's own ADD
    overflows there. Both happen to layers that saturate, and where a dead channel has the scale 1.

    Args:
        lo: the walk.
        node: the node, for the note.
        tail: claimed for it.
        scale: of what the node sums up: the greatest input scale, times the weights' where there are any.
    """
    if tail.quant is None or scale < MOST_SCALES * float(tail.quant.scale[0]):
        return tail
    lo.notes.append(
        f"'{node.name}' is computed in float: it sums in steps of {scale:g}, {MOST_SCALES:g} or more times its "
        f"output's {float(tail.quant.scale[0]):g}, which int8 kernels cannot do"
    )
    return Tail(tail.activation, (f"{tail.names[0]}/float",), None, tail)


def _product(lo: Lowering, source: Value, weights: Weights) -> float:
    """Return the greatest step of the accumulator; 0 in float."""
    const = lo.quantized(weights.weight)
    return 0.0 if const is None or source.quant is None else float((source.quant.scale * const.quant.scale).max())


def can_int8(lo: Lowering, source: Value, weights: Weights, node: Node) -> bool:
    """Return whether input and weights are quantized.

    Raises:
        CheckError: weights with a zero point other than 0, or scales along an axis that TFLite does not know.
    """
    const = lo.quantized(weights.weight)
    if source.quant is None or const is None:
        return False
    if np.any(const.quant.zero_point != 0):
        zero = int(const.quant.zero_point[np.flatnonzero(const.quant.zero_point)[0]])
        hint = "quantize weights symmetrically (ONNX Runtime: WeightSymmetric=True, QInt8)"
        raise node.fail(f"weights '{const.name}' have the zero point {zero}, TFLite allows 0", hint=hint)
    if (
        const.quant.per_channel
        and const.quant.axis != weights.perm[-1 if len(weights.perm) == 4 and _dw(weights) else 0]
    ):
        raise node.fail(f"weights '{const.name}' have scales along axis {const.quant.axis}, allowed: output channels")
    return True


def _dw(weights: Weights) -> bool:
    return weights.perm == _OIHW_TO_IHWO


def _constants(lo: Lowering, node: Node, weights: Weights, source: Value, tail: Tail) -> tuple[int, int]:
    """Return tensor indices of weights and bias: integers as the graph has them, or floats."""
    const = lo.quantized(weights.weight)
    if tail.quant is None or const is None or source.quant is None:
        array = lo.constant(weights.weight)
        assert array is not None
        data = _unflatten(array.transpose(weights.perm), source)
        name = const.name if const is not None else weights.weight
        return lo.real_constant(name, data, half=True), _float_bias(lo, node, weights)
    if len(weights.perm) == 2 and source.flat_CHW is not None:
        c, h, w = source.flat_CHW  # permute the weights' inputs instead of the activations
        index = lo.int_constant(
            _chw_inputs(const, weights.perm, (c, h, w)), (0, 2, 3, 1), (weights.channels, c * h * w)
        )
        lo.integers[index] = (const.name, (*weights.perm, c, h, w))
    else:
        index = lo.int_constant(const, weights.perm)
    return index, _int_bias(lo, node, weights, source.quant, const)


def _chw_inputs(const: QuantConst, perm: Sequence[int], chw: tuple[int, int, int]) -> QuantConst:
    """Return [O,I] weights as [O,C,H,W], scales on axis 0."""
    data = const.data.transpose(tuple(perm))
    return QuantConst(
        const.name, data.reshape(data.shape[0], *chw), Quant(const.quant.scale, const.quant.zero_point, 0)
    )


def _unflatten(weight: Array, source: Value) -> Array:
    """Return [O,I] weights with I reordered from C,H,W to H,W,C where the input is flattened so."""
    if source.flat_CHW is None or weight.ndim != 2:
        return weight
    return weight.reshape(-1, *source.flat_CHW).transpose(NCHW_TO_NHWC).reshape(weight.shape)


def _float_bias(lo: Lowering, node: Node, weights: Weights) -> int:
    array = lo.constant(weights.bias) if weights.bias else np.zeros(weights.channels, np.float32)
    if array is None:
        raise node.fail(f"bias '{weights.bias}' must be a constant")
    name = weights.bias or f"{weights.weight}/no_bias"
    return lo.real_constant(name, np.broadcast_to(array.reshape(-1), (weights.channels,)), half=bool(weights.bias))


def _int_bias(lo: Lowering, node: Node, weights: Weights, source: Quant, const: QuantConst) -> int:
    """Return the int32 bias: the graph's own integers, or a float bias rounded to the accumulator's grid."""
    product = source.scale * const.quant.scale
    own = lo.quantized(weights.bias) if weights.bias else None
    if own is not None and own.data.dtype == np.int32 and own.data.size == weights.channels:
        if np.any(own.quant.zero_point != 0):
            raise node.fail(f"bias '{own.name}' has a zero point, allowed 0")
        if np.allclose(own.quant.scale, product, rtol=1e-3, atol=0.0):
            flat = QuantConst(own.name, own.data.reshape(-1), Quant(own.quant.scale, own.quant.zero_point))
            return lo.int_constant(flat, (0,))
        lo.notes.append(f"bias of '{node.name}': its scale is not input scale x weight scale; rounded to that grid")
    real = lo.constant(weights.bias) if weights.bias else np.zeros(weights.channels, np.float32)
    if real is None:
        raise node.fail(f"bias '{weights.bias}' must be a constant")
    wide = np.rint(np.broadcast_to(real.reshape(-1), (weights.channels,)).astype(np.float64) / product)
    if np.abs(wide).max(initial=0.0) > _INT32_MAX:
        raise node.fail(f"bias '{weights.bias}' overflows int32 on the grid input scale x weight scale")
    grid = Quant(product.astype(np.float32), np.zeros(product.size, np.int64))
    return lo.writer.constant(weights.bias or f"{weights.weight}/no_bias", wide.astype(np.int32), grid)
