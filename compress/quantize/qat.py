"""Quantization-aware training: the rounded graph learns its weights and ranges from the float model's soft labels."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from compress.core.preprocess import Preprocess
from compress.core.stage import Reporter
from compress.engine.batches import Batch, TrainSet, ValSet
from compress.engine.fit import FitResult, fit
from compress.engine.losses import kd_loss
from compress.engine.options import FitOptions
from compress.quantize.qdq.quant_graph import QuantGraph
from compress.quantize.qdq.torch_graph import TorchGraph


def train_quantized(
    quantized: QuantGraph,
    teacher: TorchGraph,
    *,
    train: TrainSet,
    val: ValSet,
    num_classes: int,
    preprocess: Preprocess,
    options: FitOptions,
    temperature: float,
    alpha: float,
    freeze_ranges_at: float,
    work_dir: Path,
    seed: int,
    device: str,
    reporter: Reporter,
) -> FitResult:
    """Train the quantized graph in place; the teacher is the float graph it was made from, at the same input.

    The batch norms are folded into the convolutions already, so that what is trained is what is shipped, and there are
    no statistics to freeze or to estimate again. Ranges are learned until `freeze_ranges_at` of the epochs, 0..1; the
    weights then settle on grids that move no more.
    """
    teacher.to(device).eval().requires_grad_(False)

    def loss(student_NK: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            teacher_NK = teacher(batch.images_NCHW)
        return kd_loss(
            student_NK,
            teacher_NK,
            batch.targets_NK,
            temperature=temperature,
            alpha=alpha,
            label_smoothing=options.label_smoothing,
        )

    def freeze_ranges(epoch: int, model: nn.Module) -> None:
        if epoch >= freeze_ranges_at * options.epochs:
            quantized.quantizers.requires_grad_(False)

    return fit(
        quantized,
        train=train,
        val=val,
        num_classes=num_classes,
        preprocess=preprocess,
        options=options,
        loss=loss,
        work_dir=work_dir,
        seed=seed,
        device=device,
        reporter=reporter,
        on_epoch=freeze_ranges,
        amp=False,  # bfloat16 has fewer steps than the int8 grids that are learned
    )
