"""The graph as integer arithmetic will compute it: every range group has a quantizer, every weight is rounded."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from torch import Tensor, nn

from compress.quantize.fake_quant import ActivationQuantizer, Grid, quantize_weight
from compress.quantize.points import RangeGroup
from compress.quantize.qdq import write_qdq
from compress.quantize.torch_graph import TorchGraph


class QuantGraph(TorchGraph):
    """A float ONNX graph with fake quantization; trainable, and writable as the QDQ model it simulates."""

    def __init__(self, model: onnx.ModelProto, grids: Mapping[RangeGroup, Grid]) -> None:
        """Start from calibrated grids; those of fixed ranges are not learned."""
        super().__init__(model)
        self.quantizers = nn.ModuleList(ActivationQuantizer(grid, learned=not g.unit) for g, grid in grids.items())
        self._index = {name: index for index, group in enumerate(grids) for name in group.tensors}

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Return logits [N, K] on the output's grid for images [N, 3, H, W]."""
        return self.run(images_NCHW, self._quantize, lambda name, weight: quantize_weight(weight))

    def _quantize(self, name: str, value: Tensor) -> Tensor:
        index = self._index.get(name)
        if index is None:
            return value
        quantized: Tensor = self.quantizers[index](value)
        return quantized

    def grids(self) -> dict[str, Grid]:
        """Return the grid of every quantized tensor by its name."""
        quantizers = [quantizer for quantizer in self.quantizers if isinstance(quantizer, ActivationQuantizer)]
        return {name: quantizers[index].grid() for name, index in self._index.items()}

    def to_qdq(self, model: onnx.ModelProto, activation: str) -> onnx.ModelProto:
        """Return the QDQ model: the graph `model` this was made from, with the ranges and weights as they stand."""
        return write_qdq(model, self.learned(), self.grids(), activation)
