"""How much each layer costs when it alone is rounded to int8, everything else float.

What the answers are worth is for a `Reference` to say. Shape suffixes: N images, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import Tensor

from compress.core.stage import Reporter
from compress.quantize.accuracy.reference import AnswerLoss, Outputs, Reference
from compress.quantize.qdq.fake_quant import Grid
from compress.quantize.qdq.layers import Layer, parts_of
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import RangeGroup

MAX_IMAGES = 64  # enough to rank layers by; one forward pass a layer


@dataclass(frozen=True)
class LayerLoss:
    """What rounding one layer alone does to the answers."""

    layer: Layer
    loss: AnswerLoss


@dataclass(frozen=True)
class LayerSensitivity:
    """All layers, the dearest first.

    Attributes:
        ranked: by `kl`, the largest first.
        images: number of images.
        judged_on: what they are.
        metric: what accuracy is, "top1" or "map".
        float_pct: accuracy of the float model on them; None without labels.
    """

    ranked: tuple[LayerLoss, ...]
    images: int
    judged_on: str
    metric: str
    float_pct: float | None

    def as_json(self) -> dict[str, object]:
        """Return it as JSON data; `exclude` takes the names of `nodes`."""
        rows = [
            {
                "layer": one.layer.name,
                "ops": one.layer.ops,
                "nodes": list(one.layer.nodes),
                "kl": one.loss.kl,
                "sqnr_db": one.loss.sqnr_db,
                "agreement_pct": one.loss.agreement_pct,
                f"{self.metric}_pct": one.loss.accuracy_pct,
            }
            for one in self.ranked
        ]
        about = {"images": self.images, "judged_on": self.judged_on, f"float_{self.metric}_pct": self.float_pct}
        return {**about, "layers": rows}


def measure_sensitivity(
    rewritten: onnx.ModelProto,
    grids: Mapping[RangeGroup, Grid],
    layers: Sequence[Layer],
    batches: Sequence[Tensor],
    reference: Reference,
    reporter: Reporter,
) -> LayerSensitivity:
    """Round one layer at a time: its weights, and what its nodes make.

    Args:
        rewritten: the float graph as it will be quantized.
        grids: calibrated, by `range_groups(rewritten)`.
        layers: of the graph before it was rewritten.
        batches: images [N, 3, H, W]; `MAX_IMAGES` in all suffice.
        reference: on these images; says what answers are worth.
        reporter: shows progress.
    """
    graph = QuantGraph(rewritten, grids).eval()
    wanted = _outputs(graph, frozenset(), frozenset(), batches)
    found: list[LayerLoss] = []
    with reporter.progress("sensitivity", len(layers)) as advance:
        for layer, (tensors, weights) in parts_of(layers, rewritten).items():
            answers = _outputs(graph, tensors, weights, batches)
            found.append(LayerLoss(layer, reference.compare(wanted, answers)))
            advance(1, layer.name)
    ranked = sorted(found, key=lambda one: (-one.loss.kl, one.loss.sqnr_db))
    float_pct = reference.compare(wanted, wanted).accuracy_pct
    return LayerSensitivity(tuple(ranked), len(wanted[0]), reference.what, reference.metric, float_pct)


def _outputs(graph: QuantGraph, tensors: frozenset[str], weights: frozenset[str], batches: Sequence[Tensor]) -> Outputs:
    """Return all outputs with only these tensors and weights rounded."""

    def on_tensor(name: str, value: Tensor) -> Tensor:
        return graph.quantize(name, value) if name in tensors else value

    def on_weight(name: str, value: Tensor) -> Tensor:
        return graph.quantize_weight(name, value) if name in weights else value

    with torch.inference_mode():
        parts = [
            [graph.as_logits(output).numpy() for output in graph.run(images_NCHW, on_tensor, on_weight)]
            for images_NCHW in batches
        ]
    return tuple(np.concatenate(pieces) for pieces in zip(*parts, strict=True))
