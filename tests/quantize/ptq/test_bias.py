from __future__ import annotations

import torch

from compress.quantize.ptq.bias import correct_biases
from compress.quantize.ptq.calibrate import calibrate
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import range_groups
from compress.quantize.qdq.torch_graph import TorchGraph


def _channel_errors(quantized: QuantGraph, teacher: TorchGraph, images_NCHW: torch.Tensor, name: str) -> torch.Tensor:
    """Return the mean error of each channel of a layer's output before it is rounded."""
    seen: list[torch.Tensor] = []

    def see(graph_rounds):
        def hook(tensor_name, value):
            if tensor_name == name:
                seen.append(value.mean(dim=(0, 2, 3)))
            return graph_rounds(tensor_name, value)

        return hook

    with torch.no_grad():
        teacher.run(images_NCHW, see(lambda n, value: value), lambda n, weight: weight)
        quantized.run(images_NCHW, see(quantized.quantize), quantized.quantize_weight)
    return seen[1] - seen[0]


def test_the_mean_output_of_every_channel_becomes_the_float_graphs(float_model, images_NCHW):
    images = torch.from_numpy(images_NCHW)
    teacher = TorchGraph(float_model)
    grids = calibrate(float_model, range_groups(float_model), lambda: [images])
    quantized = QuantGraph(float_model, grids)
    weight = quantized.weights[quantized._key["wp"]]
    weight.data += 0.05  # weights whose rounding was biased
    before = _channel_errors(quantized, teacher, images, "cp").abs()
    assert before.max() > 0.01
    correct_biases(quantized, teacher, images)
    after = _channel_errors(quantized, teacher, images, "cp").abs()
    assert after.max() < 1e-4
    assert _channel_errors(quantized, teacher, images, "cb").abs().max() < 1e-4  # behind it, too
