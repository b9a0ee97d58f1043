from __future__ import annotations

import torch

from compress.core.boxes import ssd_coding
from compress.engine.detection.losses import imitation_loss
from compress.quantize.ptq.divergence import of_boxes, of_classes
from compress.quantize.qdq.torch_graph import TorchGraph

CODING = ssd_coding(((2, 2),))


def answers(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(2, CODING.anchors, size, generator=generator) for size in (4, 3))


def test_of_a_detector_both_outputs_count():
    found, wanted = answers(0), answers(1)
    divergence = of_boxes(CODING)
    torch.testing.assert_close(divergence(found, wanted), imitation_loss(found, wanted, CODING))
    assert divergence(wanted, wanted) == 0
    assert divergence((found[0], wanted[1]), wanted) > 0
    assert divergence((wanted[0], found[1]), wanted) > 0


def test_of_a_classifier_its_one_output_counts(float_model):
    divergence = of_classes(TorchGraph(float_model))
    wanted = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).log()
    uniform = torch.zeros(2, 3)
    entropies = -(wanted.exp() * wanted).sum(dim=1)
    expected = (torch.log(torch.tensor(3.0)) - entropies).mean()
    torch.testing.assert_close(divergence((uniform,), (wanted,)), expected)
    assert abs(float(divergence((wanted,), (wanted,)))) < 1e-6
