from __future__ import annotations

import pytest
import torch
from torch import nn

from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from compress.distill.teacher import Teacher
from compress.errors import StageError

IMAGENET = Preprocess(resize_px=32, crop_px=32, mean=IMAGENET_MEAN, std=IMAGENET_STD)
HALF = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _normalised(raw: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (preprocess.mean, preprocess.std))
    return (raw - mean) / std


def _raw() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_teacher_sees_the_pictures_in_its_own_normalisation():
    teacher = Teacher(nn.Flatten(), IMAGENET, HALF)
    torch.testing.assert_close(teacher.view(_normalised(_raw(), HALF)), _normalised(_raw(), IMAGENET))


def test_equal_preprocessing_passes_the_very_values():
    images = _normalised(_raw(), HALF)
    assert torch.equal(Teacher(nn.Flatten(), HALF, HALF).view(images), images)


def test_the_teacher_sees_the_pictures_at_its_own_size():
    large = HALF.model_copy(update={"resize_px": 64, "crop_px": 48})
    view = Teacher(nn.Flatten(), large, HALF).view(_normalised(_raw(), HALF))
    assert view.shape == (2, 3, 48, 48)
    torch.testing.assert_close(view.mean(), _normalised(_raw(), HALF).mean(), atol=0.01, rtol=0)


def test_the_teacher_is_frozen_and_in_eval_mode():
    model = nn.Sequential(nn.Conv2d(3, 4, 32), nn.BatchNorm2d(4), nn.Flatten())
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    logits = Teacher(model, HALF, HALF).logits(_raw())
    assert not logits.requires_grad
    assert not model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_teacher_without_finite_logits_is_an_error(bad):
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    with torch.no_grad():
        model[1].bias[1] = bad
    with pytest.raises(StageError, match="not finite"):
        Teacher(model, HALF, HALF).logits(_raw())
