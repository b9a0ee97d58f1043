"""The graph as integer arithmetic will compute it: every range group has a quantizer, every weight is rounded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping

import onnx
from torch import Tensor, nn

from compress.graph.operators import WEIGHTED
from compress.quantize.qdq.fake_quant import ActivationQuantizer, Grid, quantize_weight
from compress.quantize.qdq.quantizer_setup import RangeGroup
from compress.quantize.qdq.torch_graph import Outputs, TorchGraph, answers
from compress.quantize.qdq.writer import write_qdq


class QuantGraph(TorchGraph):
    """A float ONNX graph with fake quantization; trainable, and writable as the QDQ model it simulates."""

    def __init__(self, model: onnx.ModelProto, grids: Mapping[RangeGroup, Grid], floats: Collection[str] = ()) -> None:
        """Start from calibrated grids; those of fixed ranges are not learned.

        Args:
            model: the float model.
            grids: grid of every group of `range_groups(model, floats)`.
            floats: names of the nodes that compute in float, with float weights.
        """
        super().__init__(model)
        self.quantizers = nn.ModuleList(
            ActivationQuantizer(grid, learned=not group.unit, most=group.most) for group, grid in grids.items()
        )
        self._index = {name: index for index, group in enumerate(grids) for name in group.tensors}
        self._floats = frozenset(floats)
        self._float_weights = {name for node in self.nodes if node.name in self._floats for name in node.input[1:2]}

    def forward(self, images_NCHW: Tensor) -> Tensor | Outputs:
        """Return logits [N, K] on the output's grid for images [N, 3, H, W]; all outputs where there are several."""
        return answers(self.run(images_NCHW, self.quantize, self.quantize_weight))

    def watch(self, images_NCHW: Tensor, on_rounded: Callable[[str, Tensor], None]) -> Outputs:
        """Return all outputs, rounded, and show every tensor after it was rounded."""

        def quantize(name: str, value: Tensor) -> Tensor:
            rounded = self.quantize(name, value)
            on_rounded(name, rounded)
            return rounded

        return self.run(images_NCHW, quantize, self.quantize_weight)

    def quantize(self, name: str, value: Tensor) -> Tensor:
        """Return a tensor rounded to its grid; as it is where it has none."""
        index = self._index.get(name)
        if index is None:
            return value
        quantized: Tensor = self.quantizers[index](value)
        return quantized

    def quantize_weight(self, name: str, weight: Tensor) -> Tensor:
        """Return a layer's weight rounded to its grid; as it is where the layer stays float."""
        return weight if name in self._float_weights else quantize_weight(weight)

    def rounded_layers(self) -> Iterator[tuple[nn.Parameter, nn.Parameter | None]]:
        """Yield weight [O, ...] and bias [O] of every layer that is rounded; each weight once."""
        seen: set[str] = set()
        for node in self.nodes:
            if node.op_type in WEIGHTED and node.name not in self._floats and node.input[1] not in seen:
                seen.add(node.input[1])
                keys = [self._key[name] for name in node.input[1:3] if name]
                weight, bias = (*(self.weights[key] for key in keys), None)[:2]
                yield weight, bias

    def bias(self, name: str) -> Tensor:
        """Return the bias [O] of this initializer's name."""
        bias: Tensor = self.weights[self._key[name]]
        return bias

    def grids(self) -> dict[str, Grid]:
        """Return the grid of every quantized tensor by its name."""
        quantizers = [quantizer for quantizer in self.quantizers if isinstance(quantizer, ActivationQuantizer)]
        return {name: quantizers[index].grid() for name, index in self._index.items()}

    def to_qdq(self, model: onnx.ModelProto, activation: str) -> onnx.ModelProto:
        """Return the QDQ model: the graph `model` this was made from, with the ranges and weights as they stand."""
        return write_qdq(model, self.learned(), self.grids(), activation, self._floats)
