"""Training after a cut: the pruned network learns from the labels and from the answers of the network it was."""

from __future__ import annotations

import copy

import torch
from torch import nn

from compress.core.spec import ModelSpec
from compress.engine.fit import fit
from compress.engine.options import FitOptions
from compress.models.build import head_modules
from compress.prune.images import PruneImages


def recover(
    model: nn.Module,
    spec: ModelSpec,
    images: PruneImages,
    options: FitOptions,
    *,
    teacher: nn.Module,
    alpha: float,
    temperature: float,
    device: str,
) -> float:
    """Train in place and return the best validation accuracy in percent.

    Args:
        model: the pruned network.
        spec: what it is.
        images: on which it is trained; its classes and preprocessing are the teacher's too.
        options: of the training loop.
        teacher: not changed; it answers in eval mode.
        alpha: share of its answers in the loss, 0..1; at 0 it is not asked.
        temperature: of the answers, see `distillation_loss`.
        device: where both compute.
    """
    teacher = copy.deepcopy(teacher).to(device).to(memory_format=torch.channels_last)
    teacher.eval().requires_grad_(False)
    setup, loss = images.recovery(options, teacher, alpha=alpha, temperature=temperature)
    return fit(model, setup, loss, head=head_modules(spec)).best_val_pct
