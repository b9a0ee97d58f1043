"""Losses that more than one room uses. N pictures, K classes; targets are always class probabilities [N, K]."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it


def cross_entropy(logits_NK: torch.Tensor, targets_NK: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Return the mean cross entropy, a scalar >= 0, against soft targets (one-hot, mixup or cutmix).

    Label smoothing as in Szegedy et al. 2016, section 7: targets * (1 - s) + s / K.
    """
    return F.cross_entropy(logits_NK, targets_NK, label_smoothing=label_smoothing)


def kd_loss(
    student_logits_NK: torch.Tensor,
    teacher_logits_NK: torch.Tensor,
    targets_NK: torch.Tensor,
    *,
    temperature: float,
    alpha: float,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the distillation loss, a scalar: alpha * T^2 * KL(teacher_T || student_T) + (1 - alpha) * CE.

    Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, section 2: softmax(z / T) on both
    sides, the soft term times T^2 so that its gradient keeps its size when T changes. KL differs from the paper's
    cross entropy by the teacher's entropy, which has no gradient in the student. No gradient reaches the teacher.

    Args:
        student_logits_NK: raw scores of the student.
        teacher_logits_NK: raw scores of the teacher for the same pictures.
        targets_NK: class probabilities of the labels.
        temperature: T > 0.
        alpha: share of the soft term, 0..1; at 1 the labels are not used.
        label_smoothing: of the hard term.
    """
    soft = F.kl_div(
        F.log_softmax(student_logits_NK / temperature, dim=1),
        F.log_softmax(teacher_logits_NK.detach() / temperature, dim=1),
        reduction="batchmean",
        log_target=True,
    )
    loss = alpha * temperature**2 * soft
    if alpha < 1.0:
        loss = loss + (1.0 - alpha) * cross_entropy(student_logits_NK, targets_NK, label_smoothing)
    return loss
