"""Quantization-aware training: the rounded graph learns its weights and ranges from the float model's answers."""

from __future__ import annotations

from torch import Tensor, nn

from compress.engine.batches import Batch
from compress.engine.fit import FitResult, fit
from compress.engine.losses import Loss, teacher_loss
from compress.engine.setup import Setup
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.torch_graph import TorchGraph


def train_quantized(quantized: QuantGraph, setup: Setup, loss: Loss, *, freeze_ranges_at: float) -> FitResult:
    """Train the quantized graph in place, by a loss that asks the float graph: `classes_loss`, or `teacher_box_loss`.

    The batch norms are folded into the convolutions already, so that what is trained is what is shipped, and there are
    no statistics to freeze or to estimate again. Ranges are learned until `freeze_ranges_at` of the epochs, 0..1; the
    weights then settle on grids that move no more. Where no epoch is better on the validation images than the rounded
    graph was before, that one is kept.
    """

    def freeze_ranges(epoch: int, model: nn.Module) -> None:
        if epoch >= freeze_ranges_at * setup.options.epochs:
            quantized.quantizers.requires_grad_(False)

    # no amp: bfloat16 has fewer steps than the int8 grids that are learned
    return fit(quantized, setup, loss, on_epoch=freeze_ranges, amp=False, judge_start=True)


def classes_loss(teacher: TorchGraph, *, temperature: float, alpha: float, label_smoothing: float) -> Loss:
    """Return a classifier's loss against the float graph it was made from, at the same input; see `teacher_loss`."""
    of_logits = teacher_loss(
        lambda images_NCHW: teacher.as_logits(teacher(images_NCHW)),
        temperature=temperature,
        alpha=alpha,
        label_smoothing=label_smoothing,
    )

    def loss(outputs_NK: Tensor, batch: Batch) -> Tensor:
        return of_logits(teacher.as_logits(outputs_NK), batch)

    return loss
