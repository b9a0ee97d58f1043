"""Whether an int8 ONNX model (QDQ) keeps to a target profile, and which of its nodes compute in float."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from compress.core.names import few
from compress.errors import CheckError
from compress.graph.operators import INT8, OPERATORS, PASSING, QDQ
from compress.graph.proto import Consumers, consumers_of, makers_of, opset_of
from compress.graph.targets import Target

_FLOAT_TYPES = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE)
_MOST_NAMED = 8
_OTHER_HELP = "put what it reads and what it makes between QuantizeLinear and DequantizeLinear: `imgc quantize` does"
_TYPE = {onnx.TensorProto.UINT8: "uint8", onnx.TensorProto.INT8: "int8"}


def float_nodes(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Return the nodes that are not between DequantizeLinear and QuantizeLinear, or have no int8 kernel there."""
    makers, readers = makers_of(model.graph), consumers_of(model.graph)
    floats = _float_constants(model)
    skipped = QDQ | PASSING | {"Constant"}
    return [
        node
        for node in model.graph.node
        if node.op_type not in skipped
        and (
            node.op_type not in INT8
            or _maker(node.input[0], makers) != "DequantizeLinear"
            or any(_maker(name, makers) not in ("DequantizeLinear", "Constant", "") for name in node.input[1:])
            or (node.op_type != "Pad" and not floats.isdisjoint(node.input[:2]))
            or "QuantizeLinear" not in _readers(node.output[0], readers)
        )
    ]


def _float_constants(model: onnx.ModelProto) -> set[str]:
    found = {tensor.name for tensor in model.graph.initializer if tensor.data_type in _FLOAT_TYPES}
    for node in model.graph.node:
        if node.op_type == "Constant" and any(entry.t.data_type in _FLOAT_TYPES for entry in node.attribute):
            found.add(node.output[0])
    return found


def check_target(model: onnx.ModelProto, target: Target, where: str) -> None:
    """Check a quantized model against a target profile.

    Args:
        model: with QuantizeLinear and DequantizeLinear.
        target: the profile.
        where: the file or stage, for messages.

    Raises:
        CheckError: names the nodes, what was found, what is allowed, and the rewrite that would help.
    """
    opset = opset_of(model)
    low, high = target.opsets
    if not low <= opset <= high:
        text = f"{where}: is written in opset {opset}, target {target.name} allows {low} to {high}"
        raise CheckError(text, hint=f"write it again with `opset: {min(max(opset, low), high)}`")
    if not any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        raise CheckError(
            f"{where}: is not a quantized model (no QuantizeLinear), which target {target.name} is about",
            hint=f"quantize it first: `imgc quantize --target {target.name}`",
        )
    _check_floats(model, target, where)
    if target.integer_ends:
        _check_ends(model, target, where)
    if target.activation_fixed:
        _check_activations(model, target, where)


def _check_floats(model: onnx.ModelProto, target: Target, where: str) -> None:
    allowed = target.float_ops
    if allowed is None:
        return
    bad = [node for node in float_nodes(model) if node.op_type not in allowed]
    if bad:
        helps = dict.fromkeys(f"{node.op_type}: {_help(node.op_type)}" for node in bad)
        raise CheckError(
            f"{where}: {_named(bad)} compute{'s' if len(bad) == 1 else ''} in float; target {target.name} allows "
            + (f"that of {', '.join(sorted(allowed))}" if allowed else "no float op"),
            hint="\n".join(helps),
        )


def _help(op_type: str) -> str:
    return OPERATORS[op_type].to_integers or _OTHER_HELP if op_type in OPERATORS else _OTHER_HELP


def _check_ends(model: onnx.ModelProto, target: Target, where: str) -> None:
    """Check that the image is quantized at once, and the logits come from integers."""
    makers = makers_of(model.graph)
    source, logits = model.graph.input[0].name, model.graph.output[0].name
    readers = [node for node in model.graph.node if source in node.input]
    early = [node for node in readers if node.op_type != "QuantizeLinear"]
    if early or not readers:
        raise CheckError(
            f"{where}: the image '{source}' is read in float by {_named(early)}; target {target.name} takes integers",
            hint="put a QuantizeLinear right behind the image, or quantize with `imgc quantize`",
        )
    if _maker(logits, makers) != "DequantizeLinear":
        last = [makers[logits]] if logits in makers else []
        raise CheckError(
            f"{where}: the logits '{logits}' are made in float by {_named(last)}; target {target.name} gives integers",
            hint="put QuantizeLinear and DequantizeLinear right before the output, or quantize with `imgc quantize`",
        )


def _check_activations(model: onnx.ModelProto, target: Target, where: str) -> None:
    types = {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    quantize = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    unlike = [
        node
        for node in quantize
        if len(node.input) > 2 and _TYPE.get(types.get(node.input[2], 0), target.activation) != target.activation
    ]
    if unlike:
        raise CheckError(
            f"{where}: {len(unlike)} of {len(quantize)} activations are not {target.activation}, which target "
            f"{target.name} needs to be fast: {_named(unlike)}",
            hint=f"quantize it with `activation: {target.activation}`, or leave that out beside `target`",
        )


def _named(nodes: list[onnx.NodeProto]) -> str:
    return few([f"{node.name or node.output[0]} ({node.op_type})" for node in nodes], _MOST_NAMED) or "nothing"


def _maker(name: str, makers: Mapping[str, onnx.NodeProto]) -> str:
    """Return the operator that made a tensor, looking through those that int8 kernels fuse or that move elements."""
    while name in makers and makers[name].op_type in PASSING:
        name = makers[name].input[0]
    return makers[name].op_type if name in makers else ""


def _readers(name: str, readers: Consumers) -> set[str]:
    """Return the operators that read a tensor, looking through as `_maker` does."""
    found: set[str] = set()
    for node in readers.get(name, ()):
        found |= _readers(node.output[0], readers) if node.op_type in PASSING else {node.op_type}
    return found
