"""The float ONNX graph run by torch: same nodes, same tensor names, weights as parameters.

Shapes: N batch, C channels, H height, W width, K classes, O output and I input channels of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name
from torch import Tensor, nn

from compress.core.outputs import LEAST_SHARE, kind_of
from compress.errors import StageError
from compress.graph.bounds import node_bounds
from compress.graph.operators import CLIP, HARD_SIGMOID, HARD_SWISH, RELU, WEIGHTED
from compress.graph.proto import attributes_of, constants_of

Attributes = dict[str, Any]
Inputs = Sequence[Tensor]
Hook = Callable[[str, Tensor], Tensor]


def _pad(x_NCHW: Tensor, pads: list[int], value: float = 0.0) -> Tensor:
    top, left, bottom, right = pads
    return F.pad(x_NCHW, (left, right, top, bottom), value=value)


def _conv(inputs: Inputs, a: Attributes) -> Tensor:
    x_NCHW, weight_OIHW = inputs[0], inputs[1]
    bias_O = inputs[2] if len(inputs) > 2 else None
    pads = a.get("pads", [0, 0, 0, 0])
    symmetric = pads[:2] == pads[2:]
    if not symmetric:
        x_NCHW = _pad(x_NCHW, pads)
    padding = tuple(pads[:2]) if symmetric else (0, 0)
    strides, dilations = tuple(a.get("strides", (1, 1))), tuple(a.get("dilations", (1, 1)))
    return F.conv2d(x_NCHW, weight_OIHW, bias_O, strides, padding, dilations, a.get("group", 1))


def _gemm(inputs: Inputs, a: Attributes) -> Tensor:
    if a.get("transA", 0) or a.get("alpha", 1.0) != 1.0 or a.get("beta", 1.0) != 1.0 or not a.get("transB", 0):
        raise StageError(f"Gemm is supported as x @ W.T + b only, found attributes {a}")
    return F.linear(inputs[0], inputs[1], inputs[2] if len(inputs) > 2 else None)


def _max_pool(inputs: Inputs, a: Attributes) -> Tensor:
    x_NCHW = _pad(inputs[0], a.get("pads", [0, 0, 0, 0]), float("-inf"))
    ceil = bool(a.get("ceil_mode", 0))
    return F.max_pool2d(x_NCHW, tuple(a["kernel_shape"]), tuple(a.get("strides", (1, 1))), ceil_mode=ceil)


def _average_pool(inputs: Inputs, a: Attributes) -> Tensor:
    pads = a.get("pads", [0, 0, 0, 0])
    if pads[:2] != pads[2:]:
        return _average_pool_of_padded(inputs[0], a)
    return F.avg_pool2d(
        inputs[0],
        tuple(a["kernel_shape"]),
        tuple(a.get("strides", (1, 1))),
        tuple(pads[:2]),
        bool(a.get("ceil_mode", 0)),
        bool(a.get("count_include_pad", 0)),
    )


def _average_pool_of_padded(x_NCHW: Tensor, a: Attributes) -> Tensor:
    """Return the average pool with pads that differ between sides, which torch's own does not know."""
    pads = a["pads"]
    unpadded = {**a, "pads": [0, 0, 0, 0]}
    mean_NCHW = _average_pool([_pad(x_NCHW, pads)], unpadded)
    if a.get("count_include_pad", 0):
        return mean_NCHW
    return mean_NCHW / _average_pool([_pad(torch.ones_like(x_NCHW[:1, :1]), pads)], unpadded)


def _reshape(inputs: Inputs, a: Attributes) -> Tensor:
    x = inputs[0]
    shape = [x.shape[i] if size == 0 else int(size) for i, size in enumerate(inputs[1].tolist())]
    return x.reshape(shape)


def _reduce_mean(inputs: Inputs, a: Attributes) -> Tensor:
    axes = [int(axis) for axis in (inputs[1].tolist() if len(inputs) > 1 else a["axes"])]
    return inputs[0].mean(dim=axes, keepdim=bool(a.get("keepdims", 1)))


def _clip(inputs: Inputs, a: Attributes) -> Tensor:
    low, high = a["bounds"]
    return inputs[0].clamp(low, high)


def _pad_of(inputs: Inputs, a: Attributes) -> Tensor:
    """Return a padded tensor; constant mode alone, whose fill is 0 where none is given."""
    x = inputs[0]
    given = [int(size) for size in (inputs[1].tolist() if len(inputs) > 1 else a["pads"])]
    axes = [int(axis) % x.ndim for axis in inputs[3].tolist()] if len(inputs) > 3 else list(range(x.ndim))
    if a.get("mode", "constant") != "constant":
        raise StageError(f"Pad is supported in mode 'constant' only, found '{a['mode']}'")
    amounts = [(0, 0)] * x.ndim
    for place, axis in enumerate(axes):
        amounts[axis] = (given[place], given[place + len(axes)])
    fill = float(inputs[2]) if len(inputs) > 2 else float(a.get("value", 0.0))
    return F.pad(x, [size for pair in reversed(amounts) for size in pair], value=fill)


def _squeeze(inputs: Inputs, a: Attributes) -> Tensor:
    axes = inputs[1].tolist() if len(inputs) > 1 else a.get("axes")
    return inputs[0].squeeze() if axes is None else inputs[0].squeeze(tuple(int(axis) for axis in axes))


def _unsqueeze(inputs: Inputs, a: Attributes) -> Tensor:
    axes = inputs[1].tolist() if len(inputs) > 1 else a["axes"]
    rank = inputs[0].ndim + len(axes)
    x = inputs[0]
    for axis in sorted(int(axis) % rank for axis in axes):
        x = x.unsqueeze(axis)
    return x


def _transpose(inputs: Inputs, a: Attributes) -> Tensor:
    return inputs[0].permute(a.get("perm", tuple(range(inputs[0].ndim))[::-1]))


def _cast(inputs: Inputs, a: Attributes) -> Tensor:
    if a["to"] != onnx.TensorProto.FLOAT:
        kind = onnx.TensorProto.DataType.Name(a["to"])
        raise StageError(f"Cast is supported to FLOAT only, found {kind}")
    return inputs[0].float()


def _hard_sigmoid(inputs: Inputs, a: Attributes) -> Tensor:
    alpha: float = a.get("alpha", 0.2)
    beta: float = a.get("beta", 0.5)
    return (inputs[0] * alpha + beta).clamp(0.0, 1.0)


def _flatten(inputs: Inputs, a: Attributes) -> Tensor:
    axis: int = a.get("axis", 1)
    return inputs[0].flatten(axis)


OPS: dict[str, Callable[[Inputs, Attributes], Tensor]] = {
    "Add": lambda x, a: x[0] + x[1],
    "AveragePool": _average_pool,
    "Cast": _cast,
    CLIP: _clip,
    "Concat": lambda x, a: torch.cat(list(x), dim=a["axis"]),
    "Conv": _conv,
    "Div": lambda x, a: x[0] / x[1],
    "Dropout": lambda x, a: x[0],
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": lambda x, a: x[0].mean(dim=(2, 3), keepdim=True),
    HARD_SIGMOID: _hard_sigmoid,
    HARD_SWISH: lambda x, a: F.hardswish(x[0]),
    "Identity": lambda x, a: x[0],
    "MatMul": lambda x, a: x[0] @ x[1],
    "MaxPool": _max_pool,
    "Mul": lambda x, a: x[0] * x[1],
    "Pad": _pad_of,
    "ReduceMean": _reduce_mean,
    RELU: lambda x, a: F.relu(x[0]),
    "Reshape": _reshape,
    "Sigmoid": lambda x, a: torch.sigmoid(x[0]),
    "Softmax": lambda x, a: torch.softmax(x[0], dim=a.get("axis", -1)),
    "Squeeze": _squeeze,
    "Sub": lambda x, a: x[0] - x[1],
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


class TorchGraph(nn.Module):
    """Runs a float ONNX graph; weights and biases of Conv and Gemm are parameters, so the graph can be trained."""

    def __init__(self, model: onnx.ModelProto) -> None:
        """Take the graph over.

        Raises:
            StageError: a node's op is not in `OPS`.
        """
        super().__init__()
        graph = model.graph
        self.inputs = tuple(value.name for value in graph.input)
        self.outputs = tuple(value.name for value in graph.output)
        self.nodes = [node for node in graph.node if node.op_type != "Constant"]
        self._check_ops()
        constants = constants_of(graph)
        self._attributes = [
            {"bounds": node_bounds(node, constants)} if node.op_type == CLIP else attributes_of(node)
            for node in self.nodes
        ]
        makers = {node.output[0]: (node.op_type, node.input[0]) for node in self.nodes if node.input}
        self._kind = kind_of(self.outputs[0], makers)
        self._constants: dict[str, Tensor] = {}
        self._key: dict[str, str] = {}
        self.weights = nn.ParameterDict()
        learned = {name for node in self.nodes if node.op_type in WEIGHTED for name in node.input[1:] if name}
        for index, (name, array) in enumerate(constants.items()):
            value = torch.from_numpy(np.array(array))
            if name in learned:
                self._key[name] = f"p{index}"  # parameter names may not hold dots
                layout = torch.channels_last if value.ndim == 4 else torch.contiguous_format
                self.weights[f"p{index}"] = nn.Parameter(value.contiguous(memory_format=layout))
            else:
                self._constants[name] = value

    def _check_ops(self) -> None:
        for node in self.nodes:
            if node.op_type not in OPS or node.domain not in ("", "ai.onnx"):
                op = f"{node.domain or 'ai.onnx'}.{node.op_type}"
                raise StageError(
                    f"node '{node.name}': the op {op} is not among those that can be int8",
                    hint=f"allowed: {', '.join(OPS)}",
                )

    def learned(self) -> dict[str, np.ndarray]:
        """Return the weights and biases as they stand, by the name of their ONNX initializer."""
        return {name: self.weights[key].detach().numpy().copy() for name, key in self._key.items()}

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits [N, K] for images [N, 3, H, W]."""
        return self.run(images_NCHW, _unchanged, _unchanged)

    def as_logits(self, outputs_NK: Tensor) -> Tensor:
        """Return logits [N, K] that mean what this graph's outputs mean, for losses: see `compress.core.outputs`."""
        if self._kind == "logits":
            return outputs_NK
        logs_NK = outputs_NK.clamp(LEAST_SHARE, 1.0).log()
        if self._kind == "scores":
            logs_NK = logs_NK - (-outputs_NK.clamp(0.0, 1.0 - LEAST_SHARE)).log1p()
        return logs_NK

    def run(self, images_NCHW: Tensor, on_tensor: Hook, on_weight: Hook) -> Tensor:
        """Return logits [N, K] of a graph with one input and one output; see `run_all`."""
        (logits_NK,) = self.run_all((images_NCHW,), on_tensor, on_weight)
        return logits_NK

    def run_all(self, inputs: Inputs, on_tensor: Hook, on_weight: Hook) -> tuple[Tensor, ...]:
        """Return all outputs, passing every value through a hook that returns what the graph goes on with.

        `on_tensor(name, value)` sees each input and every node's output, `on_weight(name, value)` every layer's weight.

        Args:
            inputs: one tensor for each of the graph's inputs, in their order.
            on_tensor: called with the name and value of each activation.
            on_weight: called with the name and value of each layer's weight.
        """
        named = zip(self.inputs, inputs, strict=True)
        values: dict[str, Tensor] = {name: on_tensor(name, value) for name, value in named}
        for node, attributes in zip(self.nodes, self._attributes, strict=True):
            inputs = [self._value(name, values) for name in node.input if name]
            if node.op_type in WEIGHTED:
                inputs[1] = on_weight(node.input[1], inputs[1])
            name = node.output[0]
            values[name] = on_tensor(name, OPS[node.op_type](inputs, attributes))
        return tuple(values[name] for name in self.outputs)

    def _value(self, name: str, values: dict[str, Tensor]) -> Tensor:
        if name in values:
            return values[name]
        if name in self._key:
            weight: Tensor = self.weights[self._key[name]]
            return weight
        return self._constants[name]


def _unchanged(name: str, value: Tensor) -> Tensor:
    return value
