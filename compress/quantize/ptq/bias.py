"""Sequential bias correction: each layer's mean output is brought back to the float graph's, from the input on."""

from __future__ import annotations

import torch
from torch import Tensor

from compress.graph.operators import WEIGHTED
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.torch_graph import TorchGraph


def correct_biases(quantized: QuantGraph, teacher: TorchGraph, images_NCHW: Tensor) -> None:
    """Move the biases of the quantized graph so that the mean of each output channel is the float graph's.

    One pass: a layer is corrected before the layers behind it see its output (Nagel et al. 2019, section 4.2, the
    empirical form, sequentially).

    Args:
        quantized: the rounded graph; its biases change in place.
        teacher: the float graph, with the same tensor names.
        images_NCHW: images, all in one batch.
    """
    layers = {node.output[0]: node.input[2] for node in quantized.nodes if _has_bias(node.op_type, len(node.input))}
    means: dict[str, Tensor] = {}

    def measure(name: str, value: Tensor) -> Tensor:
        if name in layers:
            means[name] = _channel_means(value)
        return value

    def correct(name: str, value: Tensor) -> Tensor:
        if name in layers:
            shift_O = means[name] - _channel_means(value)
            quantized.bias(layers[name]).data += shift_O
            value = value + shift_O.reshape(1, -1, *[1] * (value.ndim - 2))
        return quantized.quantize(name, value)

    with torch.no_grad():
        teacher.run(images_NCHW, measure, lambda name, weight: weight)
        quantized.run(images_NCHW, correct, quantized.quantize_weight)


def _has_bias(op_type: str, inputs: int) -> bool:
    return op_type in WEIGHTED and inputs > 2


def _channel_means(value: Tensor) -> Tensor:
    """Return the mean of each channel [C] of [N, C, ...]."""
    return value.mean(dim=[0, *range(2, value.ndim)])
