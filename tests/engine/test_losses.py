from __future__ import annotations

import math

import pytest
import torch

from compress.engine.losses import cross_entropy, kd_loss

STUDENT = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])
TEACHER = torch.tensor([[1.0, 1.0, 0.0], [0.0, 3.0, -2.0]])
TARGETS = torch.eye(3)[[0, 1]]


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


@pytest.mark.parametrize(("temperature", "alpha"), [(1.0, 0.5), (2.0, 0.9), (4.0, 1.0), (3.0, 0.0)])
def test_is_the_papers_formula(temperature, alpha):
    loss = kd_loss(STUDENT, TEACHER, TARGETS, temperature=temperature, alpha=alpha)
    assert float(loss) == pytest.approx(_by_hand(temperature, alpha), rel=1e-5)


def test_equal_logits_leave_only_the_labels():
    loss = kd_loss(STUDENT, STUDENT, TARGETS, temperature=2.0, alpha=0.9)
    assert float(loss) == pytest.approx(0.1 * float(cross_entropy(STUDENT, TARGETS)), rel=1e-5)


def test_no_gradient_reaches_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    kd_loss(student, teacher, TARGETS, temperature=2.0, alpha=0.9).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_the_soft_gradient_keeps_its_size_over_temperatures():
    """T^2 in the loss: for large T the gradient tends to (student - teacher) / (N * K) whatever T is."""
    sizes = []
    for temperature in (20.0, 40.0):
        student = (STUDENT / 10).clone().requires_grad_()
        kd_loss(student, TEACHER / 10, TARGETS, temperature=temperature, alpha=1.0).backward()
        sizes.append(float(student.grad.norm()))
    assert sizes[0] == pytest.approx(sizes[1], rel=0.02)


def test_cross_entropy_smooths_and_takes_soft_targets():
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.0, 1.0, 0.0]])
    expected = -((mixed * 0.9 + 0.1 / 3) * STUDENT.log_softmax(1)).sum(1).mean()
    assert float(cross_entropy(STUDENT, mixed, 0.1)) == pytest.approx(float(expected), rel=1e-6)
