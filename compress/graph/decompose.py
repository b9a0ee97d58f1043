"""Operators written as simpler ones, exactly: what several tools write, and no reader of ours needs to know.

Every function changes the `GraphProto` in place and keeps its outputs. Letters: N batch, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

from compress.graph.constants import Shape
from compress.graph.context import Context, Known, Shapes
from compress.graph.decompose_curves import CURVES
from compress.graph.proto import Array, attributes_of, constants_of

_SPATIAL = {(2, 3), (-2, -1), (2, -1), (-1, -2), (3, 2)}
_AXES_ARE_INPUT = 18  # the opset since which ReduceMean's axes are an input


def decompose(graph: GraphProto, shapes: Shapes, opset: int) -> None:
    """Write Split and Gather as slices, sums as additions or means, and the maximum of a whole map as MaxPool."""
    c = Context(graph, shapes, constants_of(graph), opset)
    for node in list(graph.node):
        make = _PARTS.get(node.op_type)
        nodes = make(c, node) if make else None
        if nodes is None:
            continue
        place = list(graph.node).index(node)
        graph.node.remove(node)
        for offset, one in enumerate(nodes):
            graph.node.insert(place + offset, one)


def _slices(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return a Slice for each output of Split that is read."""
    shape = c.shapes.get(node.input[0])
    if shape is None:
        return None
    axis = attributes_of(node).get("axis", 0) % len(shape)
    sizes = _sizes(node, shape[axis], c.known)
    if sizes is None:
        return None
    made, start = [], 0
    for name, size in zip(node.output, sizes, strict=True):
        made.append(_slice(c, node.input[0], name, (start, start + size), axis))
        start += size
    return made


def _slice(c: Context, source: str, name: str, bounds: tuple[int, int], axis: int) -> NodeProto:
    """Return a Slice that makes the tensor `name`, its bounds as constants."""
    names = [f"{name}.{what}" for what in ("starts", "ends", "axes")]
    for constant, value in zip(names, (*bounds, axis), strict=True):
        c.graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), constant))
    return helper.make_node("Slice", [source, *names], [name], name)


def _sizes(node: NodeProto, whole: int, known: Known) -> list[int] | None:
    """Return the size of each part; None where the graph computes them."""
    given = attributes_of(node)
    if len(node.input) > 1 and node.input[1]:
        return [int(size) for size in known[node.input[1]]] if node.input[1] in known else None
    if "split" in given:  # an attribute until opset 13
        return [int(size) for size in given["split"]]
    each = -(-whole // len(node.output))
    return [min(each, whole - place * each) for place in range(len(node.output))]


def _additions(c: Context, node: NodeProto) -> list[NodeProto]:
    """Return Sum as a chain of Add."""
    if len(node.input) == 1:
        return [helper.make_node("Identity", list(node.input), list(node.output), node.name)]
    made, total = [], node.input[0]
    for place, name in enumerate(node.input[1:], start=2):
        result = node.output[0] if place == len(node.input) else f"{node.output[0]}.sum{place}"
        made.append(helper.make_node("Add", [total, name], [result], f"{node.name}.{place}"))
        total = result
    return made


def _whole_max(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return the maximum over height and width as one MaxPool, with a Flatten where the axes are dropped."""
    shape, given = c.shapes.get(node.input[0], ()), attributes_of(node)
    axes = c.known.get(node.input[1]) if len(node.input) > 1 else given.get("axes")
    spatial = node.op_type == "GlobalMaxPool" or (axes is not None and tuple(int(one) for one in axes) in _SPATIAL)
    if len(shape) != 4 or not spatial:
        return None  # without axes it reaches over all of them
    kept = node.op_type == "GlobalMaxPool" or given.get("keepdims", 1)
    pooled = node.output[0] if kept else f"{node.output[0]}.pooled"
    made = [helper.make_node("MaxPool", [node.input[0]], [pooled], node.name, kernel_shape=list(shape[2:]))]
    if not kept:
        made.append(helper.make_node("Flatten", [pooled], [node.output[0]], f"{node.name}.flat", axis=1))
    return made


def _mean_times(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return ReduceSum as a mean times the number of its terms."""
    shape, given = c.shapes.get(node.input[0], ()), attributes_of(node)
    axes = c.known.get(node.input[1]) if len(node.input) > 1 else np.asarray(given.get("axes", ()))
    if not shape or axes is None or not axes.size or axes.dtype.kind != "i":
        return None
    count = f"{node.output[0]}.count"
    terms = np.prod([shape[int(axis)] for axis in axes], dtype=np.float32)
    c.graph.initializer.append(numpy_helper.from_array(np.asarray(terms, np.float32), count))
    mean, kept = f"{node.output[0]}.mean", given.get("keepdims", 1)
    if c.opset >= _AXES_ARE_INPUT:
        places = f"{node.output[0]}.axes"
        c.graph.initializer.append(numpy_helper.from_array(axes.astype(np.int64), places))
        one = helper.make_node("ReduceMean", [node.input[0], places], [mean], node.name, keepdims=kept)
    else:
        one = helper.make_node(
            "ReduceMean", [node.input[0]], [mean], node.name, keepdims=kept, axes=[int(axis) for axis in axes]
        )
    return [one, helper.make_node("Mul", [mean, count], [node.output[0]], f"{node.name}.count")]


def _one_of(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return Gather of one constant place as a Slice and a Squeeze."""
    shape, index = c.shapes.get(node.input[0], ()), c.known.get(node.input[1])
    if not shape or index is None:
        return None
    if index.ndim:
        return _all_of(c, node, index)
    axis = attributes_of(node).get("axis", 0) % len(shape)
    start = int(index) % shape[axis]
    name = node.output[0]
    part = _slice(c, node.input[0], f"{name}.one", (start, start + 1), axis)
    return [part, helper.make_node("Squeeze", [part.output[0], part.input[3]], [name], node.name)]


def _all_of(c: Context, node: NodeProto, index: Array) -> list[NodeProto] | None:
    """Return a Reshape in place of what picks all elements of a flattened tensor in order: so is as_strided written."""
    flat = next((one for one in c.graph.node if node.input[0] in one.output), None)
    source = c.shapes.get(flat.input[0], ()) if flat is not None else ()
    in_order = len(c.shapes[node.input[0]]) == 1 and np.array_equal(
        index.ravel(), np.arange(c.shapes[node.input[0]][0])
    )
    if flat is None or flat.op_type not in ("Reshape", "Flatten") or not in_order or source[:1] != index.shape[:1]:
        return None
    target = f"{node.output[0]}.shape"
    c.graph.initializer.append(numpy_helper.from_array(np.array([0, *index.shape[1:]], np.int64), target))
    return [helper.make_node("Reshape", [flat.input[0], target], [node.output[0]], node.name)]


def _root_of_sum(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return ReduceL2 as the root of a sum of squares."""
    name = node.output[0]
    square = helper.make_node("Mul", [node.input[0]] * 2, [f"{name}.square"], f"{node.name}.square")
    total = helper.make_node("ReduceSum", [f"{name}.square", *node.input[1:]], [f"{name}.total"], node.name)
    total.attribute.extend(node.attribute)
    parts = _mean_times(replace(c, shapes={**c.shapes, f"{name}.square": c.shapes.get(node.input[0], ())}), total)
    if parts is None:
        return None
    return [square, *parts, helper.make_node("Sqrt", [f"{name}.total"], [name], f"{node.name}.root")]


def _norm_of_each_map(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return InstanceNormalization in parts: (x - mean) / sqrt(variance + epsilon) * scale + bias over each map."""
    shape, name = c.shapes.get(node.input[0], ()), node.output[0]
    if len(shape) < 3 or not all(one in c.known for one in node.input[1:3]):
        return None
    rank = len(shape)
    wide = (1, shape[1], *[1] * (rank - 2))
    constants = {
        "scale": c.known[node.input[1]].reshape(wide),
        "bias": c.known[node.input[2]].reshape(wide),
        "epsilon": np.float32(attributes_of(node).get("epsilon", 1e-5)),
    }
    for what, value in constants.items():
        c.graph.initializer.append(numpy_helper.from_array(np.asarray(value, np.float32), f"{name}.{what}"))
    mean = _mean_of_maps(c, node.input[0], f"{name}.mean", rank)
    variance = _mean_of_maps(c, f"{name}.sq", f"{name}.var", rank)
    steps = (
        ("Sub", (node.input[0], f"{name}.mean"), "centred"),
        ("Mul", (f"{name}.centred", f"{name}.centred"), "sq"),
        ("Add", (f"{name}.var", f"{name}.epsilon"), "raised"),
        ("Sqrt", (f"{name}.raised",), "root"),
        ("Div", (f"{name}.centred", f"{name}.root"), "plain"),
        ("Mul", (f"{name}.plain", f"{name}.scale"), "scaled"),
    )
    made = [helper.make_node(op, list(inputs), [f"{name}.{out}"], f"{node.name}.{out}") for op, inputs, out in steps]
    last = helper.make_node("Add", [f"{name}.scaled", f"{name}.bias"], [name], node.name)
    return [mean, *made[:2], variance, *made[2:], last]


def _mean_of_maps(c: Context, source: str, target: str, rank: int) -> NodeProto:
    axes = list(range(2, rank))
    if c.opset < _AXES_ARE_INPUT:
        return helper.make_node("ReduceMean", [source], [target], target, keepdims=1, axes=axes)
    c.graph.initializer.append(numpy_helper.from_array(np.array(axes, np.int64), f"{target}.axes"))
    return helper.make_node("ReduceMean", [source, f"{target}.axes"], [target], target, keepdims=1)


def _not_expanded(c: Context, node: NodeProto) -> list[NodeProto] | None:
    """Return nothing in place of an Expand whose readers broadcast it by themselves, else a product with ones."""
    name, readers = node.output[0], [one for one in c.graph.node if node.output[0] in one.input]
    wide = c.shapes.get(name)
    if wide is None or c.shapes.get(node.input[0], ())[:1] != wide[:1]:
        return None
    if name in [value.name for value in c.graph.output] or not all(_broadcasts(c, one, name, wide) for one in readers):
        ones = c.constant(f"{name}.ones", np.ones((1, *wide[1:])))
        return [helper.make_node("Mul", [node.input[0], ones], [name], node.name)]
    for reader in readers:
        for place, source in enumerate(reader.input):
            reader.input[place] = node.input[0] if source == name else source
    return [] if readers else None


def _broadcasts(c: Context, reader: NodeProto, name: str, wide: Shape) -> bool:
    others = [other for other in reader.input if other != name]
    return reader.op_type in _BROADCASTING and [c.shapes.get(one) for one in others] == [wide]


_BROADCASTING = ("Add", "Sub", "Mul", "Div")
_PARTS: dict[str, Callable[[Context, NodeProto], list[NodeProto] | None]] = {
    "Split": _slices,
    "Sum": _additions,
    "GlobalMaxPool": _whole_max,
    "ReduceMax": _whole_max,
    "ReduceSum": _mean_times,
    "ReduceL2": _root_of_sum,
    "Gather": _one_of,
    "Expand": _not_expanded,
    "InstanceNormalization": _norm_of_each_map,
    **CURVES,
}
