from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from compress.data.transforms import normalize
from compress.distill.teacher import FileTeacher, Teacher, mean_answer
from compress.errors import StageError
from compress.models.build import build_model, new_spec

IMAGENET = Preprocess(resize_px=32, crop_px=32, mean=IMAGENET_MEAN, std=IMAGENET_STD)
HALF = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def _normalised(raw: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (preprocess.mean, preprocess.std))
    return (raw - mean) / std


def _raw() -> torch.Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_the_teacher_sees_the_images_in_its_own_normalisation():
    teacher = Teacher(nn.Flatten(), IMAGENET, HALF)
    torch.testing.assert_close(teacher.convert(_normalised(_raw(), HALF)), _normalised(_raw(), IMAGENET))


@pytest.mark.parametrize("side", [20, 32, 48])
def test_the_teacher_gets_what_its_own_preprocessing_makes_of_the_same_pixels(side):
    """Against Pillow and the one preprocessing; Pillow rounds to whole levels of 255, twice when it resizes."""
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    own = IMAGENET.model_copy(update={"resize_px": side, "crop_px": side})
    resized = [np.asarray(Image.fromarray(one).resize((side, side), Image.Resampling.BILINEAR)) for one in pixels_NHWC]
    direct = torch.from_numpy(normalize(np.stack(resized), own))
    view = Teacher(nn.Flatten(), own, HALF).convert(torch.from_numpy(normalize(pixels_NHWC, HALF)))
    rounding = 0.0 if side == 32 else 1.0 / 255.0 / min(IMAGENET_STD)
    torch.testing.assert_close(view, direct, atol=rounding + 1e-5, rtol=0)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_the_teacher_sees_the_channels_in_its_own_order(order):
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), dtype=np.uint8)
    turned = IMAGENET.model_copy(update={"channel_order": "BGR"})
    own, student = (turned, HALF) if order == "BGR" else (HALF, turned)
    pixels = {"RGB": pixels_NHWC, "BGR": pixels_NHWC[..., ::-1]}
    view = Teacher(nn.Flatten(), own, student).convert(
        torch.from_numpy(normalize(pixels[student.channel_order], student))
    )
    direct = torch.from_numpy(normalize(pixels[own.channel_order], own))
    torch.testing.assert_close(view, direct, atol=1e-5, rtol=0)


def test_equal_preprocessing_passes_the_very_values():
    images = _normalised(_raw(), HALF)
    assert torch.equal(Teacher(nn.Flatten(), HALF, HALF).convert(images), images)


def test_the_teacher_sees_the_images_at_its_own_size():
    large = HALF.model_copy(update={"resize_px": 64, "crop_px": 48})
    view = Teacher(nn.Flatten(), large, HALF).convert(_normalised(_raw(), HALF))
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


def test_a_teacher_without_finite_logits_cannot_be_judged_either():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))
    with torch.no_grad():
        model[1].weight[0, 0] = torch.nan
    with pytest.raises(StageError, match="not finite"):
        Teacher(model, HALF, HALF).evaluate(np.zeros((1, 32, 32, 3), dtype=np.uint8))


def test_bfloat16_gives_float32_logits_near_those_of_float32():
    model = build_model(new_spec("tiny", ["a", "b", "c"], 32)).train()
    for _ in range(3):
        model(torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0)))  # statistics that fit
    exact = Teacher(model, HALF, IMAGENET).logits(_raw())
    rounded = Teacher(model, HALF, IMAGENET, bf16=True).logits(_raw())
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, atol=0.05 * float(exact.abs().max()), rtol=0)  # 8 bits, 20 layers


def test_features_come_from_the_same_pass_as_the_logits():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    teacher = Teacher(model, IMAGENET, HALF)
    images = _normalised(_raw(), HALF)
    logits, features = teacher.logits_and_features(images, ["0"])
    torch.testing.assert_close(features[0].mean(dim=(2, 3)), logits)
    torch.testing.assert_close(logits, teacher.logits(images))
    assert not features[0].requires_grad
    assert not model[0]._forward_hooks


class _MeanColour:
    """Stands for an opened file: answers the mean of each channel it is given."""

    path = Path("file.onnx")
    spec = SimpleNamespace(preprocess=IMAGENET, num_classes=3, outputs="logits")

    def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
        assert images_NCHW.flags.c_contiguous
        return images_NCHW.mean(axis=(2, 3))


def test_a_file_sees_the_images_in_its_own_normalisation_too():
    teacher = FileTeacher(_MeanColour(), HALF)
    expected = _normalised(_raw(), IMAGENET).mean(dim=(2, 3))
    torch.testing.assert_close(teacher.logits(_normalised(_raw(), HALF)), expected)
    pixels_NHWC = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    np.testing.assert_allclose(teacher.evaluate(pixels_NHWC), normalize(pixels_NHWC, IMAGENET).mean(axis=(2, 3)))


def test_a_file_without_finite_logits_is_an_error():
    teacher = FileTeacher(_MeanColour(), HALF)
    with pytest.raises(StageError, match="not finite"):
        teacher.logits(torch.full((1, 3, 32, 32), torch.nan))


def test_the_mean_answer_has_the_mean_of_the_softened_probabilities():
    logits = 3.0 * torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
    for temperature in (1.0, 4.0):
        mean = (logits / temperature).softmax(2).mean(0)
        torch.testing.assert_close((mean_answer(logits, temperature) / temperature).softmax(1), mean)


def test_the_mean_answer_of_one_is_its_own():
    logits = torch.randn(1, 5, 4)
    assert torch.equal(mean_answer(logits, 2.0), logits[0])
