"""How much each layer costs when it alone is rounded to int8, everything else float.

Shape suffixes: N images, C channels, H height, W width, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from compress.core.stage import Reporter
from compress.engine.evaluate import top1_pct
from compress.quantize.accuracy.float_reference import sqnr_db
from compress.quantize.qdq.fake_quant import Grid
from compress.quantize.qdq.layers import Layer, parts_of
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.quantizer_setup import RangeGroup
from compress.runtime.evaluate import agreement_pct

MAX_IMAGES = 64  # enough to rank layers by; one forward pass a layer


@dataclass(frozen=True)
class LayerLoss:
    """What rounding one layer alone does to the answers.

    Attributes:
        layer: which.
        sqnr_db: of the logits, see `judge.sqnr_db`; high is good.
        kl: mean divergence of the softmax from the float model's, in nats; 0 is equal.
        agreement_pct: same top-1 answer as the float model, 0..100.
        top1_pct: 0..100; None without labels.
    """

    layer: Layer
    sqnr_db: float
    kl: float
    agreement_pct: float
    top1_pct: float | None


@dataclass(frozen=True)
class LayerSensitivity:
    """All layers, the dearest first.

    Attributes:
        ranked: by `kl`, the largest first.
        images: number of images.
        float_top1_pct: of the float model on them; None without labels.
    """

    ranked: tuple[LayerLoss, ...]
    images: int
    float_top1_pct: float | None

    def as_json(self, judged_on: str) -> dict[str, object]:
        """Return it as JSON data; `exclude` takes the names of `nodes`."""
        rows = [
            {
                "layer": loss.layer.name,
                "ops": loss.layer.ops,
                "nodes": list(loss.layer.nodes),
                "kl": loss.kl,
                "sqnr_db": loss.sqnr_db,
                "agreement_pct": loss.agreement_pct,
                "top1_pct": loss.top1_pct,
            }
            for loss in self.ranked
        ]
        about = {"images": self.images, "judged_on": judged_on, "float_top1_pct": self.float_top1_pct}
        return {**about, "layers": rows}


def measure_sensitivity(
    rewritten: onnx.ModelProto,
    grids: Mapping[RangeGroup, Grid],
    layers: Sequence[Layer],
    batches: Sequence[Tensor],
    labels_N: Sequence[int] | None,
    reporter: Reporter,
) -> LayerSensitivity:
    """Round one layer at a time: its weights, and what its nodes make.

    Args:
        rewritten: the float graph as it will be quantized.
        grids: calibrated, by `range_groups(rewritten)`.
        layers: of the graph before it was rewritten.
        batches: images [N, 3, H, W]; `MAX_IMAGES` in all suffice.
        labels_N: class of each image, where it is known.
        reporter: shows progress.
    """
    graph = QuantGraph(rewritten, grids).eval()
    float_NK = _logits(graph, frozenset(), frozenset(), batches)
    found: list[LayerLoss] = []
    with reporter.progress("sensitivity", len(layers)) as advance:
        for layer, (tensors, weights) in parts_of(layers, rewritten).items():
            answers_NK = _logits(graph, tensors, weights, batches)
            found.append(_loss(layer, float_NK, answers_NK, labels_N))
            advance(1, layer.name)
    ranked = sorted(found, key=lambda loss: (-loss.kl, loss.sqnr_db))
    labels = None if labels_N is None else np.asarray(labels_N)
    return LayerSensitivity(tuple(ranked), len(float_NK), None if labels is None else top1_pct(float_NK, labels))


def softmax_kl(float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32]) -> float:
    """Return the mean over images of KL(softmax(float) || softmax(answers)), in nats."""
    p_NK, q_NK = _log_softmax(float_NK), _log_softmax(answers_NK)
    return max(0.0, float(np.mean((np.exp(p_NK) * (p_NK - q_NK)).sum(axis=1))))


def _logits(
    graph: QuantGraph, tensors: frozenset[str], weights: frozenset[str], batches: Sequence[Tensor]
) -> NDArray[np.float32]:
    """Return logits [N, K] with only these tensors and weights rounded."""

    def on_tensor(name: str, value: Tensor) -> Tensor:
        return graph.quantize(name, value) if name in tensors else value

    def on_weight(name: str, value: Tensor) -> Tensor:
        return graph.quantize_weight(name, value) if name in weights else value

    with torch.inference_mode():
        parts = [graph.as_logits(graph.run(images_NCHW, on_tensor, on_weight)).numpy() for images_NCHW in batches]
    return np.concatenate(parts)


def _loss(
    layer: Layer, float_NK: NDArray[np.float32], answers_NK: NDArray[np.float32], labels_N: Sequence[int] | None
) -> LayerLoss:
    return LayerLoss(
        layer=layer,
        sqnr_db=sqnr_db(float_NK, answers_NK),
        kl=softmax_kl(float_NK, answers_NK),
        agreement_pct=agreement_pct(float_NK, answers_NK),
        top1_pct=None if labels_N is None else top1_pct(answers_NK, np.asarray(labels_N)),
    )


def _log_softmax(logits_NK: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted_NK = logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True)
    normalised: NDArray[np.float64] = shifted_NK - np.log(np.exp(shifted_NK).sum(axis=1, keepdims=True))
    return normalised
