"""Losses that more than one room uses. N images, K classes; targets are always class probabilities [N, K].

There is one distillation loss. What differs is how far the student is from the teacher (`kl_divergence`,
`decoupled_divergence`) and who answers: one network (`teacher_loss`), or several that are weighed (distill/objective).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from compress.engine.batches import Batch

Loss = Callable[[Any, Any], torch.Tensor]  # (outputs of the model, batch) -> scalar, as `fit` takes it
Divergence = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]  # student, teacher, targets -> scalar


def cross_entropy(logits_NK: torch.Tensor, targets_NK: torch.Tensor, label_smoothing: float = 0.0) -> torch.Tensor:
    """Return the mean cross entropy, a scalar >= 0, against soft targets (one-hot, mixup or cutmix).

    Label smoothing as in Szegedy et al. 2016, section 7: targets * (1 - s) + s / K.
    """
    return F.cross_entropy(logits_NK, targets_NK, label_smoothing=label_smoothing)


def distillation_loss(
    student_logits_NK: torch.Tensor,
    teacher_logits_NK: torch.Tensor,
    targets_NK: torch.Tensor,
    *,
    temperature: float,
    alpha: float,
    label_smoothing: float = 0.0,
    divergence: Divergence | None = None,
) -> torch.Tensor:
    """Return the distillation loss, a scalar: alpha * T^2 * divergence_T + (1 - alpha) * CE.

    Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network, section 2: logits / T on both sides, the
    soft term times T^2 so that its gradient keeps its size when T changes. KL differs from the paper's cross entropy
    by the teacher's entropy, which has no gradient in the student. No gradient reaches the teacher.

    Args:
        student_logits_NK: raw scores of the student.
        teacher_logits_NK: raw scores of the teacher for the same images.
        targets_NK: class probabilities of the labels.
        temperature: T > 0.
        alpha: share of the soft term, 0..1; at 1 the labels are not learned.
        label_smoothing: of the hard term.
        divergence: of the softened logits; default `kl_divergence`.
    """
    soft = (divergence or kl_divergence)(
        student_logits_NK / temperature, teacher_logits_NK.detach() / temperature, targets_NK
    )
    loss = alpha * temperature**2 * soft
    if alpha < 1.0:
        loss = loss + (1.0 - alpha) * cross_entropy(student_logits_NK, targets_NK, label_smoothing)
    return loss


def kl_divergence(
    student_NK: torch.Tensor, teacher_NK: torch.Tensor, targets_NK: torch.Tensor | None = None
) -> torch.Tensor:
    """Return the mean over images of KL(softmax(teacher) || softmax(student)), a scalar >= 0.

    Args:
        student_NK: logits.
        teacher_NK: logits.
        targets_NK: not looked at; `decoupled_divergence` needs them.
    """
    del targets_NK
    return _kl(F.log_softmax(student_NK, dim=1), F.log_softmax(teacher_NK, dim=1))


def decoupled_divergence(
    student_NK: torch.Tensor, teacher_NK: torch.Tensor, targets_NK: torch.Tensor, *, beta: float
) -> torch.Tensor:
    """Return TCKD + beta * NCKD, a scalar >= 0.

    Zhao et al. 2022, Decoupled Knowledge Distillation, eq. 7, with the paper's weight of TCKD at 1. TCKD is the
    divergence of (target class, all others), NCKD that among the other classes alone. Plain KL is TCKD +
    (1 - p_target) * NCKD (eq. 6): where the teacher is sure it hides what it knows of the other classes.

    Args:
        student_NK: logits, K >= 2.
        teacher_NK: logits.
        targets_NK: class probabilities; of mixed labels (mixup, cutmix) the largest share is the target class.
        beta: weight of NCKD.
    """
    is_target_NK = F.one_hot(targets_NK.argmax(dim=1), targets_NK.shape[1]).bool()
    student_N2, student_NJ = _decoupled(student_NK, is_target_NK)
    teacher_N2, teacher_NJ = _decoupled(teacher_NK, is_target_NK)
    return _kl(student_N2, teacher_N2) + beta * _kl(student_NJ, teacher_NJ)


def label_loss(label_smoothing: float) -> Loss:
    """Return the loss for `fit` that learns from the labels alone."""

    def loss(logits_NK: torch.Tensor, batch: Batch) -> torch.Tensor:
        return cross_entropy(logits_NK, batch.targets_NK, label_smoothing)

    return loss


def teacher_loss(
    teacher: Callable[[torch.Tensor], torch.Tensor], *, temperature: float, alpha: float, label_smoothing: float
) -> Loss:
    """Return the loss for `fit` that learns from a teacher's answers to the same images, and from the labels.

    Args:
        teacher: on the device of the fit, in eval mode; it answers without gradients.
        temperature: of the answers, see `distillation_loss`.
        alpha: share of the answers, 0..1; at 0 the teacher is not asked.
        label_smoothing: of the labels.
    """
    if alpha == 0.0:
        return label_loss(label_smoothing)

    def loss(student_NK: torch.Tensor, batch: Batch) -> torch.Tensor:
        with torch.no_grad():
            teacher_NK = teacher(batch.images_NCHW)
        return distillation_loss(
            student_NK,
            teacher_NK,
            batch.targets_NK,
            temperature=temperature,
            alpha=alpha,
            label_smoothing=label_smoothing,
        )

    return loss


def _kl(student_log: torch.Tensor, teacher_log: torch.Tensor) -> torch.Tensor:
    return F.kl_div(student_log, teacher_log, reduction="batchmean", log_target=True)


def _decoupled(logits_NK: torch.Tensor, is_target_NK: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return log-probabilities of (target, all others) [N, 2] and of the J = K - 1 others among themselves [N, J].

    From the logits, not from probabilities: 1 - p of a sure answer is zero in float32, and its logarithm infinite.
    """
    others_NJ = logits_NK[~is_target_NK].reshape(len(logits_NK), -1)
    pair_N2 = torch.stack([logits_NK[is_target_NK], others_NJ.logsumexp(dim=1)], dim=1)
    return F.log_softmax(pair_N2, dim=1), F.log_softmax(others_NJ, dim=1)
