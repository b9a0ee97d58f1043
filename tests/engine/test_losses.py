from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from compress.engine.batches import Batch
from compress.engine.losses import (
    cross_entropy,
    decoupled_divergence,
    distillation_loss,
    kl_divergence,
    label_loss,
    teacher_loss,
)

STUDENT = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])
TEACHER = torch.tensor([[1.0, 1.0, 0.0], [0.0, 3.0, -2.0]])
TARGETS = torch.eye(3)[[0, 1]]


def _decoupled_loss(*logits_and_targets, beta: float, **options) -> torch.Tensor:
    return distillation_loss(*logits_and_targets, divergence=partial(decoupled_divergence, beta=beta), **options)


def _softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(value / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def _by_hand(temperature: float, alpha: float) -> float:
    total = 0.0
    for student, teacher, target in zip(STUDENT.tolist(), TEACHER.tolist(), TARGETS.tolist(), strict=True):
        p, q = _softmax(teacher, temperature), _softmax(student, temperature)
        soft = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
        hard = -sum(t * math.log(s) for t, s in zip(target, _softmax(student, 1.0), strict=True))
        total += alpha * temperature**2 * soft + (1 - alpha) * hard
    return total / len(STUDENT)


def _decoupled_by_hand(temperature: float, alpha: float, beta: float) -> float:
    """Zhao et al. 2022, eq. 3, 4 and 7, class by class in plain Python."""
    total = 0.0
    for student, teacher, target in zip(STUDENT.tolist(), TEACHER.tolist(), TARGETS.tolist(), strict=True):
        p, q = _softmax(teacher, temperature), _softmax(student, temperature)
        t = target.index(1.0)
        tckd = p[t] * math.log(p[t] / q[t]) + (1 - p[t]) * math.log((1 - p[t]) / (1 - q[t]))
        hats = [(p[i] / (1 - p[t]), q[i] / (1 - q[t])) for i in range(len(p)) if i != t]
        nckd = sum(a * math.log(a / b) for a, b in hats)
        hard = -math.log(_softmax(student, 1.0)[t])
        total += alpha * temperature**2 * (tckd + beta * nckd) + (1 - alpha) * hard
    return total / len(STUDENT)


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.5), (2.0, 0.9), (4.0, 1.0), (3.0, 0.0)])
def test_is_the_papers_formula(temperature, alpha):
    loss = distillation_loss(STUDENT, TEACHER, TARGETS, temperature=temperature, alpha=alpha)
    assert float(loss) == pytest.approx(_by_hand(temperature, alpha), rel=1e-5)


def test_equal_logits_leave_only_the_labels():
    loss = distillation_loss(STUDENT, STUDENT, TARGETS, temperature=2.0, alpha=0.9)
    assert float(loss) == pytest.approx(0.1 * float(cross_entropy(STUDENT, TARGETS)), rel=1e-5)


def test_no_gradient_reaches_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    distillation_loss(student, teacher, TARGETS, temperature=2.0, alpha=0.9).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_the_soft_gradient_keeps_its_size_over_temperatures():
    """T^2 in the loss: for large T the gradient tends to (student - teacher) / (N * K) whatever T is."""
    sizes = []
    for temperature in (20.0, 40.0):
        student = (STUDENT / 10).clone().requires_grad_()
        distillation_loss(student, TEACHER / 10, TARGETS, temperature=temperature, alpha=1.0).backward()
        sizes.append(float(student.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_cross_entropy_smooths_and_takes_soft_targets():
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0]])
    expected = -((mixed * 0.9 + 0.1 / 3) * STUDENT.log_softmax(1)).sum(1).mean()
    assert float(cross_entropy(STUDENT, mixed, 0.1)) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize(
    ("temperature", "alpha", "beta"), [(1.0, 0.5, 1.0), (2.0, 0.9, 8.0), (4.0, 1.0, 0.5), (3.0, 0.0, 2.0)]
)
def test_decoupled_is_the_papers_formula(temperature, alpha, beta):
    loss = _decoupled_loss(STUDENT, TEACHER, TARGETS, temperature=temperature, alpha=alpha, beta=beta)
    assert float(loss) == pytest.approx(_decoupled_by_hand(temperature, alpha, beta), rel=1e-5)


@pytest.mark.parametrize("row", [0, 1])
def test_decoupled_with_the_rest_of_the_probability_as_beta_is_plain_distillation(row):
    student, teacher, targets = (tensor[row : row + 1] for tensor in (STUDENT, TEACHER, TARGETS))
    beta = 1.0 - float((teacher / 2.0).softmax(1)[targets.bool()])
    plain = distillation_loss(student, teacher, targets, temperature=2.0, alpha=0.7)
    assert float(_decoupled_loss(student, teacher, targets, temperature=2.0, alpha=0.7, beta=beta)) == pytest.approx(
        float(plain), rel=1e-5
    )


def test_decoupled_takes_the_larger_share_of_mixed_labels_as_the_target():
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0]])
    options = {"temperature": 2.0, "alpha": 1.0, "beta": 4.0}
    assert torch.equal(
        _decoupled_loss(STUDENT, TEACHER, mixed, **options), _decoupled_loss(STUDENT, TEACHER, TARGETS, **options)
    )


def test_decoupled_stays_finite_where_both_are_sure():
    sure = torch.tensor([[200.0, 0.0, -1.0]], requires_grad=True)
    loss = _decoupled_loss(sure, sure.detach() * 0.9, TARGETS[:1], temperature=1.0, alpha=1.0, beta=1.0)
    loss.backward()
    assert loss.isfinite()
    assert sure.grad.isfinite().all()


def test_decoupled_gives_no_gradient_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    _decoupled_loss(student, teacher, TARGETS, temperature=2.0, alpha=0.9, beta=2.0).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_the_divergence_is_that_of_the_answers():
    p, q = TEACHER.softmax(1), STUDENT.softmax(1)
    assert float(kl_divergence(STUDENT, TEACHER)) == pytest.approx(float((p * (p / q).log()).sum(1).mean()), rel=1e-5)
    assert float(kl_divergence(STUDENT, STUDENT)) == pytest.approx(0.0, abs=1e-7)


class _Teacher(nn.Module):
    """Answers with the images' first values, and counts how often it was asked and how."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[bool] = []

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        self.asked.append(torch.is_grad_enabled())
        return images_NCHW[:, :, 0, 0]


BATCH = Batch(TEACHER[:, :, None, None], TARGETS, np.arange(2))


def test_the_label_loss_is_smoothed_cross_entropy():
    assert torch.equal(label_loss(0.1)(STUDENT, BATCH), cross_entropy(STUDENT, TARGETS, 0.1))


def test_the_teacher_loss_is_distillation_from_its_answers_to_the_batch():
    teacher = _Teacher()
    loss = teacher_loss(teacher, temperature=3.0, alpha=0.7, label_smoothing=0.1)
    expected = distillation_loss(STUDENT, TEACHER, TARGETS, temperature=3.0, alpha=0.7, label_smoothing=0.1)
    assert torch.equal(loss(STUDENT, BATCH), expected)
    assert teacher.asked == [False], "once, without gradients"


def test_a_teacher_without_a_share_is_not_asked():
    teacher = _Teacher()
    loss = teacher_loss(teacher, temperature=3.0, alpha=0.0, label_smoothing=0.1)
    assert torch.equal(loss(STUDENT, BATCH), cross_entropy(STUDENT, TARGETS, 0.1))
    assert teacher.asked == []
