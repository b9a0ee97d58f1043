from __future__ import annotations

import math

import pytest
import torch

from compress.engine.losses import cross_entropy, dkd_loss, kd_loss

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


@pytest.mark.parametrize(
    ("temperature", "alpha", "beta"), [(1.0, 0.5, 1.0), (2.0, 0.9, 8.0), (4.0, 1.0, 0.5), (3.0, 0.0, 2.0)]
)
def test_decoupled_is_the_papers_formula(temperature, alpha, beta):
    loss = dkd_loss(STUDENT, TEACHER, TARGETS, temperature=temperature, alpha=alpha, beta=beta)
    assert float(loss) == pytest.approx(_decoupled_by_hand(temperature, alpha, beta), rel=1e-5)


@pytest.mark.parametrize("row", [0, 1])
def test_decoupled_with_the_rest_of_the_probability_as_beta_is_plain_distillation(row):
    student, teacher, targets = (tensor[row : row + 1] for tensor in (STUDENT, TEACHER, TARGETS))
    beta = 1.0 - float((teacher / 2.0).softmax(1)[targets.bool()])
    plain = kd_loss(student, teacher, targets, temperature=2.0, alpha=0.7)
    assert float(dkd_loss(student, teacher, targets, temperature=2.0, alpha=0.7, beta=beta)) == pytest.approx(
        float(plain), rel=1e-5
    )


def test_decoupled_takes_the_larger_share_of_mixed_labels_as_the_target():
    mixed = torch.tensor([[0.7, 0.3, 0.0], [0.4, 0.6, 0.0]])
    options = {"temperature": 2.0, "alpha": 1.0, "beta": 4.0}
    assert torch.equal(dkd_loss(STUDENT, TEACHER, mixed, **options), dkd_loss(STUDENT, TEACHER, TARGETS, **options))


def test_decoupled_stays_finite_where_both_are_sure():
    sure = torch.tensor([[200.0, 0.0, -1.0]], requires_grad=True)
    loss = dkd_loss(sure, sure.detach() * 0.9, TARGETS[:1], temperature=1.0, alpha=1.0, beta=1.0)
    loss.backward()
    assert loss.isfinite()
    assert sure.grad.isfinite().all()


def test_decoupled_gives_no_gradient_to_the_teacher():
    student, teacher = STUDENT.clone().requires_grad_(), TEACHER.clone().requires_grad_()
    dkd_loss(student, teacher, TARGETS, temperature=2.0, alpha=0.9, beta=2.0).backward()
    assert teacher.grad is None
    assert student.grad is not None
