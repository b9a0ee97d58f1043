"""Activations and rearrangements that TFLite has no operator for, written as those that it has.

Every function returns the nodes that take a node's place, or None where it stays. Letters: N batch, C channels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from onnx import NodeProto, helper

from compress.graph.context import Context
from compress.graph.proto import attributes_of


def _chain(node: NodeProto, steps: Sequence[tuple[str, Sequence[str], str]]) -> list[NodeProto]:
    """Return one node for each (operator, inputs, output)."""
    return [
        helper.make_node(op, list(ins), [out], f"{node.name}.{place}") for place, (op, ins, out) in enumerate(steps)
    ]


def mish(c: Context, node: NodeProto) -> list[NodeProto]:
    """Return x * tanh(softplus(x)) (Misra 2019, "Mish")."""
    x, y = node.input[0], node.output[0]
    return [*_tanh_of_softplus(c, node, x, f"{y}.gate"), helper.make_node("Mul", [x, f"{y}.gate"], [y], node.name)]


def spelled_gate(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return the gate of Mish where it is spelled in nodes, a tanh of a softplus; any other tanh stays."""
    maker = next((one for one in c.graph.node if node.input[0] in one.output), None)
    if maker is None or maker.op_type != "Softplus":
        return None
    return _tanh_of_softplus(c, node, maker.input[0], node.output[0])


def _tanh_of_softplus(c: Context, node: NodeProto, x: str, y: str) -> list[NodeProto]:
    """Return (1 - t^2) / (1 + t^2) with t = sigmoid(-x): what tanh(log(1 + e^x)) is, and no e^x that overflows."""
    one, minus = c.constant(f"{y}.one", 1.0), c.constant(f"{y}.minus", -1.0)
    return _chain(
        node,
        (
            ("Mul", (x, minus), f"{y}.turned"),
            ("Sigmoid", (f"{y}.turned",), f"{y}.t"),
            ("Mul", (f"{y}.t", f"{y}.t"), f"{y}.square"),
            ("Sub", (one, f"{y}.square"), f"{y}.above"),
            ("Add", (f"{y}.square", one), f"{y}.below"),
            ("Div", (f"{y}.above", f"{y}.below"), y),
        ),
    )


def scaled_elu(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return an Elu of another alpha than 1, which is TFLite's, in parts: above zero x, below it alpha times Elu."""
    alpha = attributes_of(node).get("alpha", 1.0)
    if alpha == 1.0:
        return None
    x, y = node.input[0], node.output[0]
    zero, factor = c.constant(f"{y}.zero", 0.0), c.constant(f"{y}.alpha", alpha)
    return _chain(
        node,
        (
            ("Relu", (x,), f"{y}.above"),
            ("Min", (x, zero), f"{y}.low"),
            ("Elu", (f"{y}.low",), f"{y}.curve"),
            ("Mul", (f"{y}.curve", factor), f"{y}.below"),
            ("Add", (f"{y}.above", f"{y}.below"), y),
        ),
    )


def depth_to_space(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return PyTorch's pixel shuffle (CRD: the channel before the block) as one with its channels in TFLite's order."""
    given, shape = attributes_of(node), c.shapes.get(node.input[0], ())
    if given.get("mode", "DCR") != "CRD" or len(shape) != 4:
        return None
    y, block = node.output[0], given["blocksize"]
    channels, height, width = shape[1:]
    apart = c.constant(f"{y}.apart", [0, channels // block**2, block**2, height, width], np.int64)
    again = c.constant(f"{y}.again", [0, channels, height, width], np.int64)
    swap = helper.make_node("Transpose", [f"{y}.parts"], [f"{y}.swapped"], f"{node.name}.swap", perm=[0, 2, 1, 3, 4])
    last = helper.make_node("DepthToSpace", [f"{y}.ordered"], [y], node.name, blocksize=block, mode="DCR")
    return [
        helper.make_node("Reshape", [node.input[0], apart], [f"{y}.parts"], f"{node.name}.apart"),
        swap,
        helper.make_node("Reshape", [f"{y}.swapped", again], [f"{y}.ordered"], f"{node.name}.again"),
        last,
    ]


CURVES: dict[str, Callable[[Context, NodeProto], list[NodeProto] | None]] = {
    "Mish": mish,
    "Tanh": spelled_gate,
    "Elu": scaled_elu,
    "DepthToSpace": depth_to_space,
}
