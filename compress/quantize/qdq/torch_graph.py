"""The float ONNX graph run by torch: same nodes, same tensor names, weights as parameters.

Shapes: N batch, C channels, H height, W width, K classes, O output and I input channels of a layer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from compress.core.outputs import LEAST_SHARE
from compress.errors import StageError
from compress.graph.bounds import node_bounds
from compress.graph.operators import CLIP, WEIGHTED
from compress.graph.proto import attributes_of, constants_of, output_kind
from compress.quantize.qdq.torch_ops import OPS, Inputs

Hook = Callable[[str, Tensor], Tensor]
Outputs = tuple[Tensor, ...]


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
        self._kind = output_kind(model)
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

    def forward(self, images_NCHW: Tensor) -> Tensor | Outputs:
        """Return logits [N, K] for images [N, 3, H, W]; all outputs where there are several, as a detector's."""
        return answers(self.run(images_NCHW, _unchanged, _unchanged))

    def as_logits(self, outputs_NK: Tensor) -> Tensor:
        """Return logits [N, K] that mean what this graph's outputs mean, for losses: see `compress.core.outputs`."""
        if self._kind == "logits":
            return outputs_NK
        logs_NK = outputs_NK.clamp(LEAST_SHARE, 1.0).log()
        if self._kind == "scores":
            logs_NK = logs_NK - (-outputs_NK.clamp(0.0, 1.0 - LEAST_SHARE)).log1p()
        return logs_NK

    def run(self, images_NCHW: Tensor, on_tensor: Hook, on_weight: Hook) -> Outputs:
        """Return all outputs of a graph with one input; see `run_all`."""
        return self.run_all((images_NCHW,), on_tensor, on_weight)

    def run_all(self, inputs: Inputs, on_tensor: Hook, on_weight: Hook) -> Outputs:
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


def answers(outputs: Outputs) -> Tensor | Outputs:
    """Return a network's outputs as its module would: the one, or all of several."""
    return outputs[0] if len(outputs) == 1 else outputs


def _unchanged(name: str, value: Tensor) -> Tensor:
    return value
