"""How far the answers of a rounded graph are from the float graph's, as a loss; nobody labelled the images."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from compress.core.boxes import BoxCoding
from compress.engine.detection.losses import imitation_loss
from compress.engine.losses import kl_divergence
from compress.quantize.qdq.torch_graph import Outputs, TorchGraph

Divergence = Callable[[Outputs, Outputs], Tensor]  # of a graph, of the float graph -> scalar


def of_classes(graph: TorchGraph) -> Divergence:
    """Return the divergence of a classifier's one output, which means what `graph`'s means."""

    def divergence(found: Outputs, wanted: Outputs) -> Tensor:
        return kl_divergence(graph.as_logits(found[0]), graph.as_logits(wanted[0]))

    return divergence


def of_boxes(coding: BoxCoding) -> Divergence:
    """Return the divergence of a detector's boxes and logits."""

    def divergence(found: Outputs, wanted: Outputs) -> Tensor:
        return imitation_loss((found[0], found[1]), (wanted[0], wanted[1]), coding)

    return divergence
