"""Training after a cut: the pruned network learns from the labels and from the answers of the network it was."""

from __future__ import annotations

import copy
from pathlib import Path

import torch
from torch import Tensor, nn

from compress.core.spec import ModelSpec
from compress.core.stage import Reporter
from compress.engine.batches import Batch, TrainSet, ValSet
from compress.engine.fit import fit
from compress.engine.losses import cross_entropy, kd_loss
from compress.engine.options import FitOptions
from compress.models.build import arch_info


def recover(
    model: nn.Module,
    spec: ModelSpec,
    *,
    teacher: nn.Module,
    alpha: float,
    temperature: float,
    train: TrainSet,
    val: ValSet,
    options: FitOptions,
    work_dir: Path,
    seed: int,
    device: str,
    reporter: Reporter,
) -> float:
    """Train in place and return the best validation top-1 in percent.

    Args:
        model: the pruned network.
        spec: its classes and preprocessing, which are the teacher's too.
        teacher: not changed; it answers in eval mode.
        alpha: share of its answers in the loss, 0..1; at 0 it is not asked.
        temperature: of the answers, see `kd_loss`.
        train: training images.
        val: validation images.
        options: the training loop.
        work_dir: of the checkpoint.
        seed: of all randomness.
        device: "cpu" or "cuda".
        reporter: hears a line an epoch.
    """
    teacher = copy.deepcopy(teacher).to(device).to(memory_format=torch.channels_last).eval().requires_grad_(False)

    def loss(logits_NK: Tensor, batch: Batch) -> Tensor:
        if alpha == 0.0:
            return cross_entropy(logits_NK, batch.targets_NK, options.label_smoothing)
        with torch.no_grad():
            teacher_NK = teacher(batch.images_NCHW)
        return kd_loss(
            logits_NK,
            teacher_NK,
            batch.targets_NK,
            temperature=temperature,
            alpha=alpha,
            label_smoothing=options.label_smoothing,
        )

    result = fit(
        model,
        train=train,
        val=val,
        num_classes=spec.num_classes,
        preprocess=spec.preprocess,
        options=options,
        loss=loss,
        work_dir=work_dir,
        seed=seed,
        device=device,
        reporter=reporter,
        head=(arch_info(spec.arch).head,),
    )
    return result.best_val_top1_pct
