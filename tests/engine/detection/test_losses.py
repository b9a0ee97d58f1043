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
from compress.engine.detection.losses import box_loss, detection_loss, focal_loss, multibox_loss
from compress.engine.detection.options import DetectOptions
from tests.detect.test_boxes import boxes

CODING = ssd_coding(((5, 5), (3, 3)))
CLASSES = 3
HARD = 3.0
RNG = np.random.default_rng(3)
KNOWN = [(boxes(count, seed=count), RNG.integers(0, CLASSES, count)) for count in (1, 4, 2)]


def _outputs(images: int = len(KNOWN), spread: float = 2.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
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
