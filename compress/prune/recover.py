"""Training after a cut: the pruned network learns from the labels and from the answers of the network it was."""

from __future__ import annotations

import copy

import torch
from torch import nn

from compress.core.spec import ModelSpec
from compress.engine.fit import fit
from compress.engine.losses import teacher_loss
from compress.engine.setup import FitSetup
from compress.models.build import arch_info


def recover(
    model: nn.Module,
    spec: ModelSpec,
    setup: FitSetup,
    *,
    teacher: nn.Module,
    alpha: float,
    temperature: float,
) -> float:
    """Train in place and return the best validation top-1 in percent.

    Args:
        model: the pruned network.
        spec: what it is.
        setup: on what, how and where it is trained; its classes and preprocessing are the teacher's too.
        teacher: not changed; it answers in eval mode.
        alpha: share of its answers in the loss, 0..1; at 0 it is not asked.
        temperature: of the answers, see `distillation_loss`.
    """
    teacher = copy.deepcopy(teacher).to(setup.device).to(memory_format=torch.channels_last)
    teacher.eval().requires_grad_(False)
    smoothing = setup.options.label_smoothing
    loss = teacher_loss(teacher, temperature=temperature, alpha=alpha, label_smoothing=smoothing)
    return fit(model, setup, loss, head=(arch_info(spec.arch).head,)).best_val_pct
