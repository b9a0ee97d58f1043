from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.distill.hints import Hinted, captured, hint_loss
from compress.distill.objective import Hints, Objective, Ramp, answers
from compress.distill.teacher import Teacher
from compress.engine.batches import Batch, TrainSet, ValSet, train_batches
from compress.engine.losses import decoupled_divergence, distillation_loss, kl_divergence
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup

HALF = Preprocess(resize_px=16, crop_px=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
OPTIONS = FitOptions(epochs=5, batch_size=8, label_smoothing=0.1)
_VAL = ValSet(np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, np.int64))
PLAIN = OPTIONS.model_copy(update={"crop_scale_min": 1.0, "crop_ratio": 1.0, "flip": "none"})


class Asked(Teacher):
    """A teacher that counts the images it is shown."""

    images = 0

    def logits(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        self.images += len(images_NCHW)
        return super().logits(images_NCHW)


def _teacher(seed: int = 0) -> Asked:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Asked(nn.Sequential(model, nn.Linear(4, 3)), HALF, HALF)


def _batch(n: int = 6) -> Batch:
    torch.manual_seed(9)
    return Batch(torch.randn(n, 3, 16, 16), torch.eye(3)[torch.arange(n) % 3], np.arange(n))


def _objective(teachers: list[Teacher], divergence=kl_divergence, **changes) -> Objective:
    arguments = {"alpha": Ramp(0.9), "temperature": Ramp(2.0), "options": OPTIONS}
    return Objective(teachers, divergence, **(arguments | changes))


@pytest.mark.parametrize(
    ("final", "epochs", "expected"),
    [(None, 5, [4, 4, 4, 4, 4]), (1.0, 4, [4, 3, 2, 1]), (8.0, 3, [4, 6, 8]), (1.0, 1, [4])],
)
def test_a_ramp_is_linear_from_the_first_epoch_to_the_last(final, epochs, expected):
    assert [Ramp(4.0, final).at(epoch, epochs) for epoch in range(epochs)] == pytest.approx(expected)


def test_alpha_and_temperature_follow_the_epoch_alone():
    teacher, batch = _teacher(), _batch()
    objective = _objective([teacher], alpha=Ramp(1.0, 0.2), temperature=Ramp(4.0, 2.0))
    student = torch.randn(6, 3)
    for epoch in (0, 4, 2, 1, 3):  # a resumed run begins anywhere
        objective.on_epoch(epoch, nn.Identity())
        expected = distillation_loss(
            student, teacher.logits(batch.images_NCHW), batch.targets_NK,
            temperature=4.0 - 0.5 * epoch, alpha=1.0 - 0.2 * epoch, label_smoothing=0.1,
        )  # fmt: skip
        torch.testing.assert_close(objective.loss(student, batch), expected)


def test_the_decoupled_loss_takes_the_place_of_the_plain_one():
    teacher, batch, student = _teacher(), _batch(), torch.randn(6, 3)
    expected = distillation_loss(
        student, teacher.logits(batch.images_NCHW), batch.targets_NK,
        temperature=2.0, alpha=0.9, label_smoothing=0.1, divergence=partial(decoupled_divergence, beta=4.0),
    )  # fmt: skip
    found = _objective([teacher], partial(decoupled_divergence, beta=4.0)).loss(student, batch)
    torch.testing.assert_close(found, expected)


def test_several_teachers_teach_their_mean_softened_answer():
    teachers, batch, student = [_teacher(0), _teacher(1)], _batch(), torch.randn(6, 3)
    target = torch.stack([(t.logits(batch.images_NCHW) / 2.0).softmax(1) for t in teachers]).mean(0)
    soft = nn.functional.kl_div((student / 2.0).log_softmax(1), target, reduction="batchmean")
    found = _objective(teachers, alpha=Ramp(1.0)).loss(student, batch)
    torch.testing.assert_close(found, 4.0 * soft)


def test_hints_are_added_from_the_teacher_they_are_asked_of():
    teachers, batch = [_teacher(0), _teacher(1)], _batch()
    features = (torch.randn(6, 4, 7, 7),)
    logits = torch.randn(6, 3)
    with torch.no_grad(), captured(teachers[1].model, ["0.0"]) as seen:
        teachers[1].model(batch.images_NCHW)
    objective = _objective(teachers, hints=Hints(0.5, 1, ("0.0",)))
    expected = _objective(teachers).loss(logits, batch) + 0.5 * hint_loss(features, [seen["0.0"]])
    torch.testing.assert_close(objective.loss(Hinted(logits, features), batch), expected)


def _train_set(n: int = 21) -> TrainSet:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 20, 20, 3), dtype=np.uint8)
    return TrainSet(pixels, np.ones(n, dtype=np.float32), np.arange(n) % 3)


def test_answers_given_once_are_those_given_every_time(tmp_path):
    train, teachers = _train_set(), [_teacher(0), _teacher(1)]
    known = answers(teachers, FitSetup(train, _VAL, 3, HALF, PLAIN, tmp_path, seed=0))
    assert known.shape == (2, 21, 3)
    assert known.dtype == torch.float32
    assert [teacher.images for teacher in teachers] == [21, 21]
    looked_up, asked = _objective(teachers, answers_MNK=known), _objective([_teacher(0), _teacher(1)])
    for epoch in range(2):
        for batch in train_batches(train, 3, HALF, PLAIN, seed=0, epoch=epoch, device=torch.device("cpu")):
            student = torch.randn(len(batch.index_N), 3)
            torch.testing.assert_close(looked_up.loss(student, batch), asked.loss(student, batch))
    assert [teacher.images for teacher in teachers] == [21, 21], "once an image, however many epochs"
