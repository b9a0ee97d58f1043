"""Losses that more than one room uses. N images, K classes; targets are always class probabilities [N, K]."""

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
        teacher_logits_NK: raw scores of the teacher for the same images.
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


def dkd_loss(
    student_logits_NK: torch.Tensor,
    teacher_logits_NK: torch.Tensor,
    targets_NK: torch.Tensor,
    *,
    temperature: float,
    alpha: float,
    beta: float,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the decoupled loss, a scalar: alpha * T^2 * (TCKD + beta * NCKD) + (1 - alpha) * CE.

    Zhao et al. 2022, Decoupled Knowledge Distillation, eq. 7, with the paper's weight of TCKD at 1 and `alpha` as in
    `kd_loss`. TCKD is the divergence of (target class, all others), NCKD that among the other classes alone. Plain KD
    is TCKD + (1 - p_target) * NCKD (eq. 6): where the teacher is sure it hides what it knows of the other classes.

    Args:
        student_logits_NK: raw scores of the student, K >= 2.
        teacher_logits_NK: raw scores of the teacher for the same images.
        targets_NK: class probabilities; of mixed labels (mixup, cutmix) the largest share is the target class.
        temperature: T > 0.
        alpha: share of the soft terms, 0..1; at 1 the labels only say which class is the target.
        beta: weight of NCKD.
        label_smoothing: of the hard term.
    """
    is_target_NK = F.one_hot(targets_NK.argmax(dim=1), targets_NK.shape[1]).bool()
    student_N2, student_NJ = _decoupled(student_logits_NK / temperature, is_target_NK)
    teacher_N2, teacher_NJ = _decoupled(teacher_logits_NK.detach() / temperature, is_target_NK)
    tckd = F.kl_div(student_N2, teacher_N2, reduction="batchmean", log_target=True)
    nckd = F.kl_div(student_NJ, teacher_NJ, reduction="batchmean", log_target=True)
    loss = alpha * temperature**2 * (tckd + beta * nckd)
    if alpha < 1.0:
        loss = loss + (1.0 - alpha) * cross_entropy(student_logits_NK, targets_NK, label_smoothing)
    return loss


def _decoupled(logits_NK: torch.Tensor, is_target_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities of (target, all others) [N, 2] and of the J = K - 1 others among themselves [N, J].

    From the logits, not from probabilities: 1 - p of a sure answer is zero in float32, and its logarithm infinite.
    """
    others_NJ = logits_NK[~is_target_NK].reshape(len(logits_NK), -1)
    pair_N2 = torch.stack([logits_NK[is_target_NK], others_NJ.logsumexp(dim=1)], dim=1)
    return F.log_softmax(pair_N2, dim=1), F.log_softmax(others_NJ, dim=1)
