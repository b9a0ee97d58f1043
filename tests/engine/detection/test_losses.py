"""Against torchvision's SSD where it has the same loss, by hand where it has not."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.ssd import SSD

from compress.core.boxes import ssd_coding
from compress.detect.coding import anchors_of, corners
from compress.detect.match import anchor_targets
from compress.engine.detection.batches import BACKGROUND, BoxBatch, targets_of
from compress.engine.detection.losses import (
    box_loss,
    detection_loss,
    focal_loss,
    foreground,
    imitation_loss,
    multibox_loss,
    score_divergence,
    teacher_box_loss,
)
from compress.engine.detection.options import DetectOptions
from tests.detect.test_boxes import boxes

CODING = ssd_coding(((5, 5), (3, 3)))
CLASSES = 3
HARD = 3.0
RNG = np.random.default_rng(3)
KNOWN = [(boxes(count, seed=count), RNG.integers(0, CLASSES, count)) for count in (1, 4, 2)]


def _outputs(images: int = len(KNOWN), spread: float = 2.0, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    raw_NA4 = spread * torch.randn(images, CODING.anchors, 4, generator=generator)
    return raw_NA4, spread * torch.randn(images, CODING.anchors, CLASSES + 1, generator=generator)


def _batch(known: list[tuple[np.ndarray, np.ndarray]]) -> BoxBatch:
    raw_NA4, classes_NA = (
        torch.from_numpy(np.stack(part)) for part in zip(*(targets_of(*one, CODING) for one in known), strict=True)
    )
    return BoxBatch(torch.zeros(len(known), 3, 8, 8), raw_NA4, classes_NA, np.arange(len(known)))


def _torchvisions(outputs: tuple[Tensor, Tensor], hard_negatives: float) -> dict[str, Tensor]:
    reference = torch.from_numpy(corners(anchors_of(CODING)))
    ssd = SimpleNamespace(box_coder=BoxCoder(weights=CODING.scales), neg_to_pos_ratio=hard_negatives)
    return SSD.compute_loss(
        ssd,
        [{"boxes": torch.from_numpy(wanted), "labels": torch.from_numpy(index + 1)} for wanted, index in KNOWN],
        {"bbox_regression": outputs[0], "cls_logits": outputs[1]},
        [reference] * len(KNOWN),
        [torch.from_numpy(anchor_targets(wanted, CODING)) for wanted, _ in KNOWN],
    )


def _cross_entropies(logits_NAK: Tensor, targets_NA: Tensor) -> np.ndarray:
    logits = logits_NAK.double().numpy()
    logs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    return -np.take_along_axis(logs, targets_NA.numpy()[..., None], axis=-1)[..., 0]


@pytest.mark.parametrize("hard_negatives", [1.0, HARD, 10.0])
def test_boxes_and_hard_background_are_torchvisions(hard_negatives):
    outputs, batch = _outputs(), _batch(KNOWN)
    expected = _torchvisions(outputs, hard_negatives)
    found = (batch.classes_NA != BACKGROUND).sum()
    positions = box_loss(outputs[0], batch.raw_NA4, batch.classes_NA != BACKGROUND) / found
    scores = multibox_loss(outputs[1], batch.classes_NA + 1, hard_negatives) / found
    torch.testing.assert_close(positions, expected["bbox_regression"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(scores, expected["classification"])
    both = detection_loss(DetectOptions(hard_negatives=hard_negatives))(outputs, batch)
    torch.testing.assert_close(both, sum(expected.values()), rtol=1e-4, atol=1e-4)
    assert found > len(KNOWN)


def test_gradients_are_torchvisions():
    outputs, again = (tuple(part.requires_grad_() for part in _outputs()) for _ in range(2))
    detection_loss(DetectOptions())(outputs, _batch(KNOWN)).backward()
    sum(_torchvisions(again, HARD).values()).backward()
    for own, expected in zip(outputs, again, strict=True):
        torch.testing.assert_close(own.grad, expected.grad, rtol=1e-4, atol=1e-4)
        assert own.grad.abs().sum() > 0


def test_an_image_without_boxes_teaches_its_hardest_background():
    logits_NAK, targets_NA = _outputs(2)[1], torch.zeros(2, CODING.anchors, dtype=torch.int64)
    hardest = np.sort(_cross_entropies(logits_NAK, targets_NA), axis=1)[:, -3:]
    assert float(multibox_loss(logits_NAK, targets_NA, HARD)) == pytest.approx(hardest.sum(), rel=1e-5)


def test_each_image_has_its_own_hard_background():
    logits_NAK = torch.zeros(2, CODING.anchors, CLASSES + 1)
    logits_NAK[0, :, 1] = 9  # all its background is harder than that of the other image
    targets_NA = torch.zeros(2, CODING.anchors, dtype=torch.int64)
    expected = 3 * (np.log(np.exp(9) + 3) + np.log(4))
    assert float(multibox_loss(logits_NAK, targets_NA, HARD)) == pytest.approx(expected, rel=1e-5)


def test_where_there_is_less_background_than_is_wanted_each_anchor_counts_once():
    logits_NAK = _outputs(1)[1]
    targets_NA = torch.ones(1, CODING.anchors, dtype=torch.int64)
    targets_NA[0, :4] = 0
    expected = _cross_entropies(logits_NAK, targets_NA).sum()
    assert float(multibox_loss(logits_NAK, targets_NA, HARD)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("ratio", "count"), [(0.1, 0), (1.4, 1), (2.6, 3)])
def test_a_ratio_that_is_no_whole_number_is_rounded(ratio, count):
    logits_NAK, targets_NA = _outputs(1)[1], torch.zeros(1, CODING.anchors, dtype=torch.int64)
    hardest = np.sort(_cross_entropies(logits_NAK, targets_NA)[0])[::-1][:count]
    assert float(multibox_loss(logits_NAK, targets_NA, ratio)) == pytest.approx(hardest.sum(), rel=1e-5)


def test_boxes_are_learned_by_the_anchors_that_find_one_alone():
    raw_NA4, wanted_NA4 = torch.zeros(1, 3, 4), torch.zeros(1, 3, 4)
    raw_NA4[0, 0] = torch.tensor([0.5, -2.0, 0.0, 0.0])
    raw_NA4[0, 1] = 100.0
    finds_NA = torch.tensor([[True, False, True]])
    assert float(box_loss(raw_NA4, wanted_NA4, finds_NA)) == pytest.approx(0.5 * 0.25 + (2 - 0.5))
    assert float(box_loss(raw_NA4, wanted_NA4, torch.zeros(1, 3, dtype=torch.bool))) == 0.0


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (1.5, 0.9)])
def test_the_focal_loss_is_what_its_formula_says(gamma, alpha):
    logits_NAK, targets_NA = _outputs()[1], _batch(KNOWN).classes_NA + 1
    losses = _cross_entropies(logits_NAK, targets_NA)
    weights = np.where(targets_NA.numpy() > 0, alpha, 1 - alpha)
    expected = (weights * (1 - np.exp(-losses)) ** gamma * losses).sum()
    assert float(focal_loss(logits_NAK, targets_NA, gamma, alpha)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    "gamma",
    [
        0.0,
        0.5,
        1.0,
        2.0,
    ],
)
def test_an_anchor_that_is_sure_and_right_has_a_gradient_that_is_a_number(gamma):
    logits_NAK = torch.tensor([[[90.0, 0.0], [0.0, 90.0]]], requires_grad=True)
    focal_loss(logits_NAK, torch.tensor([[0, 1]]), gamma, 0.25).backward()
    assert logits_NAK.grad.isfinite().all()


def test_the_options_choose_the_loss_of_the_scores():
    outputs, batch = _outputs(), _batch(KNOWN)
    finds_NA = batch.classes_NA != BACKGROUND
    options = DetectOptions(loss="focal", focal_gamma=1.2, focal_alpha=0.4)
    scores = focal_loss(outputs[1], batch.classes_NA + 1, 1.2, 0.4)
    expected = (box_loss(outputs[0], batch.raw_NA4, finds_NA) + scores) / finds_NA.sum()
    torch.testing.assert_close(detection_loss(options)(outputs, batch), expected)


@pytest.mark.parametrize("name", ["multibox", "focal"])
def test_a_batch_without_boxes_has_a_loss_that_learns(name):
    raw_NA4, logits_NAK = (part.requires_grad_() for part in _outputs(2))
    nothing = (np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    value = detection_loss(DetectOptions(loss=name))((raw_NA4, logits_NAK), _batch([nothing] * 2))
    value.backward()
    assert value.isfinite()
    assert value > 0
    assert not raw_NA4.grad.any()
    assert logits_NAK.grad.any()


@pytest.mark.parametrize("name", ["multibox", "focal"])
def test_answers_of_half_precision_are_added_up_in_whole(name):
    outputs, batch, loss = _outputs(), _batch(KNOWN), detection_loss(DetectOptions(loss=name))
    halves = tuple(part.bfloat16() for part in outputs)
    value = loss(halves, batch)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(tuple(part.float() for part in halves), batch), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["multibox", "focal"])
def test_a_right_answer_costs_less_than_a_wrong_one(name):
    batch, loss = _batch(KNOWN), detection_loss(DetectOptions(loss=name))
    logits_NAK = 8.0 * torch.nn.functional.one_hot(batch.classes_NA + 1, CLASSES + 1)
    right = loss((batch.raw_NA4, logits_NAK), batch)
    assert right < 0.01
    assert right < loss((batch.raw_NA4 + 1, logits_NAK), batch)
    assert right < loss((batch.raw_NA4, logits_NAK.roll(1, dims=-1)), batch)


SIGMOID = CODING.model_copy(update={"activation": "sigmoid"})
OWN, TEACHERS = _outputs(seed=1), _outputs(seed=2)


def _shares(logits_NAK: Tensor, temperature: float = 1.0) -> np.ndarray:
    powers = np.exp(logits_NAK.double().numpy() / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def _divergences(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    return (teacher * np.log(teacher / student)).sum(axis=-1)


def test_the_divergence_of_shares_is_what_its_formula_says():
    expected = _divergences(_shares(TEACHERS[1]), _shares(OWN[1]))
    torch.testing.assert_close(score_divergence(OWN[1], TEACHERS[1], CODING).numpy(), np.float32(expected))


def test_the_divergence_of_classes_that_are_each_a_yes_or_no_is_what_its_formula_says():
    wanted, found = (1 / (1 + np.exp(-part[1].double().numpy())) for part in (TEACHERS, OWN))
    expected = _divergences(wanted, found) + _divergences(1 - wanted, 1 - found)
    torch.testing.assert_close(score_divergence(OWN[1], TEACHERS[1], SIGMOID).numpy(), np.float32(expected))


@pytest.mark.parametrize("coding", [CODING, SIGMOID], ids=["softmax", "sigmoid"])
def test_scores_far_out_have_a_divergence_and_a_slope_that_are_numbers(coding):
    student = torch.tensor([[[300.0, -300.0], [-300.0, 300.0]]], requires_grad=True)
    found = score_divergence(student, -student.detach(), coding)
    found.sum().backward()
    assert found.isfinite().all()
    assert (found > 100).all()
    assert student.grad.isfinite().all()


@pytest.mark.parametrize(
    ("activation", "background", "expected"),
    [("softmax", "first", 0.4), ("softmax", "none", 0.6), ("sigmoid", "first", 0.3), ("sigmoid", "none", 0.6)],
)
def test_what_is_seen_is_all_but_the_background_or_else_the_best_class(activation, background, expected):
    shares = torch.tensor([[[0.6, 0.1, 0.3]]])
    logits_NAK = shares.log() if activation == "softmax" else shares.logit()
    coding = CODING.model_copy(update={"activation": activation, "background": background})
    assert foreground(logits_NAK, coding).tolist() == [[pytest.approx(expected)]]


@pytest.mark.parametrize("coding", [CODING, SIGMOID], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_who_answers_as_the_teacher_has_nothing_to_learn(coding, temperature):
    assert float(imitation_loss(TEACHERS, TEACHERS, coding, temperature)) == pytest.approx(0, abs=1e-6)
    for other in ((OWN[0], TEACHERS[1]), (TEACHERS[0], OWN[1])):
        assert float(imitation_loss(other, TEACHERS, coding, temperature)) > 0.5


@pytest.mark.parametrize(("shares", "loss"), [((0, 1, 0), 1.625), ((0, 0, 1), 0), ((0, 0.5, 1), 0.5 * 1.625 / 1.5)])
def test_a_box_counts_as_far_as_the_teacher_sees_something(shares, loss):
    seen = torch.tensor(shares, dtype=torch.float64)
    logits_NAK = torch.stack([1 - seen, seen], dim=1).clamp(min=1e-12).log()[None]
    raw_NA4 = torch.zeros(1, 3, 4, dtype=torch.float64)
    raw_NA4[0, 0], raw_NA4[0, 1] = 100.0, torch.tensor([0.5, -2.0, 0.0, 0.0])
    found = imitation_loss((raw_NA4, logits_NAK), (torch.zeros_like(raw_NA4), logits_NAK), CODING)
    assert float(found) == pytest.approx(loss, abs=1e-8)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_a_temperature_softens_the_scores_and_is_made_up_for_by_its_square(temperature):
    total = _divergences(_shares(TEACHERS[1], temperature), _shares(OWN[1], temperature)).sum()
    expected = temperature**2 * total / (1 - _shares(TEACHERS[1])[..., 0]).sum()
    found = imitation_loss((TEACHERS[0], OWN[1]), TEACHERS, CODING, temperature)
    assert float(found) == pytest.approx(expected, rel=1e-4)


def test_where_the_teacher_sees_nothing_the_scores_are_learned_all_the_same():
    nothing = torch.tensor([[[40.0, 0.0]] * 3])
    student = torch.zeros(1, 3, 2)
    found = imitation_loss((torch.ones(1, 3, 4), student), (torch.zeros(1, 3, 4), nothing), CODING)
    assert float(found) == pytest.approx(3 * np.log(2), rel=1e-5)


@pytest.mark.parametrize(("alpha", "times"), [(0.0, 0), (0.3, 1), (1.0, 1)])
def test_alpha_is_the_share_of_the_teacher(alpha, times):
    batch, options, asked = _batch(KNOWN), DetectOptions(loss="focal"), []

    def teacher(images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        asked.append(images_NCHW)
        return TEACHERS

    loss = teacher_box_loss(teacher, CODING, options, temperature=2.0, alpha=alpha)
    by_boxes, imitation = detection_loss(options)(OWN, batch), imitation_loss(OWN, TEACHERS, CODING, 2.0)
    torch.testing.assert_close(loss(OWN, batch), alpha * imitation + (1 - alpha) * by_boxes)
    assert [one is batch.images_NCHW for one in asked] == [True] * times


def test_the_teacher_alone_asks_for_no_known_boxes():
    loss = teacher_box_loss(lambda _: TEACHERS, CODING, DetectOptions(), temperature=1.0, alpha=1.0)
    images_alone = SimpleNamespace(images_NCHW=_batch(KNOWN).images_NCHW)
    torch.testing.assert_close(loss(OWN, images_alone), loss(OWN, _batch(KNOWN)), rtol=0, atol=0)


def test_the_student_learns_and_the_teacher_does_not():
    student, teachers = (tuple(part.clone().requires_grad_() for part in _outputs(seed=seed)) for seed in (1, 2))
    loss = teacher_box_loss(
        lambda _: tuple(1 * part for part in teachers), CODING, DetectOptions(), temperature=2.0, alpha=0.5
    )
    loss(student, _batch(KNOWN)).backward()
    assert all(part.grad.abs().sum() > 0 for part in student)
    assert all(part.grad is None for part in teachers)
