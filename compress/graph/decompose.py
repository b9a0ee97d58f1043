"""Operators written as simpler ones, exactly: what several tools write, and no reader of ours needs to know.

Every function changes the `GraphProto` in place and keeps its outputs. Letters: N batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from compress.graph.constants import Shape
from compress.graph.proto import Array, attributes_of, constants_of

_SPATIAL = {(2, 3), (-2, -1), (2, -1), (-1, -2), (3, 2)}
Shapes = Mapping[str, Shape]
Known = Mapping[str, Array]


def decompose(graph: GraphProto, shapes: Shapes) -> None:
    """Write Split as slices, Sum as additions, and the maximum of a whole map as MaxPool."""
    known = constants_of(graph)
    for node in list(graph.node):
        make = _PARTS.get(node.op_type)
        nodes = make(graph, node, shapes, known) if make else None
        if nodes is None:
            continue
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for offset, one in enumerate(nodes):
            graph.node.insert(place + offset, one)


def _slices(graph: GraphProto, node: NodeProto, shapes: Shapes, known: Known) -> list[NodeProto] | None:
    """Return a Slice for each output of Split that is read."""
    shape = shapes.get(node.input[0])
    if shape is None:
        return None
    axis = attributes_of(node).get("axis", 0) % len(shape)
    sizes = _sizes(node, shape[axis], known)
    if sizes is None or axis == 0:
        return None
    made, start = [], 0
    for name, size in zip(node.output, sizes, strict=True):
        bounds = {"starts": start, "ends": start + size, "axes": axis}
        names = [f"{name}.{what}" for what in bounds]
        for constant, value in zip(names, bounds.values(), strict=True):
            graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), constant))
        made.append(helper.make_node("Slice", [node.input[0], *names], [name], name))
        start += size
    return made


def _sizes(node: NodeProto, whole: int, known: Known) -> list[int] | None:
    """Return the size of each part; None where the graph computes them."""
    given = attributes_of(node)
    if len(node.input) > 1 and node.input[1]:
        return [int(size) for size in known[node.input[1]]] if node.input[1] in known else None
    if "split" in given:  # an attribute until opset 13
        return [int(size) for size in given["split"]]
    each = -(-whole // len(node.output))
    return [min(each, whole - place * each) for place in range(len(node.output))]


def _additions(graph: GraphProto, node: NodeProto, shapes: Shapes, known: Known) -> list[NodeProto]:
    """Return Sum as a chain of Add."""
    del graph, shapes, known
    if len(node.input) == 1:
        return [helper.make_node("Identity", list(node.input), list(node.output), node.name)]
    made, total = [], node.input[0]
    for place, name in enumerate(node.input[1:], start=2):
        result = node.output[0] if place == len(node.input) else f"{node.output[0]}.sum{place}"
        made.append(helper.make_node("Add", [total, name], [result], f"{node.name}.{place}"))
        total = result
    return made


def _whole_max(graph: GraphProto, node: NodeProto, shapes: Shapes, known: Known) -> list[NodeProto] | None:
    """Return the maximum over height and width as one MaxPool, with a Flatten where the axes are dropped."""
    del graph
    shape, given = shapes.get(node.input[0], ()), attributes_of(node)
    axes = known.get(node.input[1]) if len(node.input) > 1 else given.get("axes", (2, 3))
    spatial = node.op_type == "GlobalMaxPool" or (axes is not None and tuple(int(one) for one in axes) in _SPATIAL)
    if len(shape) != 4 or not spatial:
        return None
    kept = node.op_type == "GlobalMaxPool" or given.get("keepdims", 1)
    pooled = node.output[0] if kept else f"{node.output[0]}.pooled"
    made = [helper.make_node("MaxPool", [node.input[0]], [pooled], node.name, kernel_shape=list(shape[2:]))]
    if not kept:
        made.append(helper.make_node("Flatten", [pooled], [node.output[0]], f"{node.name}.flat", axis=1))
    return made


_PARTS: dict[str, Callable[[GraphProto, NodeProto, Shapes, Known], list[NodeProto] | None]] = {
    "Split": _slices,
    "Sum": _additions,
    "GlobalMaxPool": _whole_max,
    "ReduceMax": _whole_max,
}
