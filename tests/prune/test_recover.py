from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from compress.core.stage import RunContext
from compress.engine.batches import TrainSet, ValSet
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup
from compress.prune import datasets
from compress.prune.datasets import PruneDatasets
from compress.prune.recover import recover

pytestmark = pytest.mark.slow  # the file as a whole, see pyproject.toml

OPTIONS = FitOptions(epochs=2, batch_size=8, lr=5e-3, warmup_epochs=0, flip="none", crop_scale_min=1.0, crop_ratio=1.0)


ASKED = []  # how teachers were asked: in training mode, with gradients


class _Teacher(nn.Module):
    """Always answers one class, and says how it was asked."""

    def __init__(self, answer):
        super().__init__()
        self.norm = nn.BatchNorm2d(3)
        self.answer = answer

    def forward(self, images_NCHW):
        ASKED.append((self.training, torch.is_grad_enabled()))
        logits_NK = torch.zeros(len(images_NCHW), 3)
        logits_NK[:, self.answer] = 9.0
        return logits_NK + 0 * self.norm(images_NCHW).mean()


def _sets(count=24, side=48):
    rng = np.random.default_rng(0)
    labels_N = np.arange(count, dtype=np.int64) % 3
    pixels = rng.integers(0, 90, (count, side, side, 3))
    pixels[np.arange(count), :, :, labels_N] += 120
    pixels = pixels.astype(np.uint8)
    return TrainSet(pixels, np.ones(count), labels_N), ValSet(pixels, labels_N)


def _recover(lively, folder, teacher, **changes):
    model, spec = lively("tiny", 48)
    model = copy.deepcopy(model)
    options = changes.pop("options", OPTIONS)
    wanted = {"teacher": teacher, "alpha": 0.0, "temperature": 4.0, "device": "cpu"} | changes
    images = PruneDatasets(None, spec, RunContext(folder, seed=0, data=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "fit_setup", _setup_by_hand)
        return model, recover(model, spec, images, options, **wanted)


def _setup_by_hand(dataset, spec, options, ctx):
    train, val = _sets()
    return FitSetup(train, val, spec.num_classes, spec.preprocess, options, ctx.stage_dir, seed=ctx.seed)


def _state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def _equal(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


class _NeverAskedError(Exception):
    pass


class _Silent(nn.Module):
    def forward(self, images_NCHW):
        raise _NeverAskedError


def test_without_a_share_the_teacher_is_not_asked_and_changes_nothing(lively, tmp_path):
    one, top1 = _recover(lively, tmp_path / "a", _Silent())
    other, _ = _recover(lively, tmp_path / "b", _Teacher(1))
    assert _equal(_state(one), _state(other))
    assert top1 > 60
    with pytest.raises(_NeverAskedError):
        _recover(lively, tmp_path / "c", _Silent(), alpha=0.1)


def test_with_all_of_the_share_the_labels_are_not_read(lively, tmp_path):
    """A teacher that always says 2, against labels of three classes: the network learns to say 2."""
    options = OPTIONS.model_copy(update={"epochs": 4, "keep": "last"})
    model, _ = _recover(lively, tmp_path, _Teacher(2), alpha=1.0, options=options)
    _, val = _sets()
    images_NCHW = torch.from_numpy(val.pixels_NHWC.transpose(0, 3, 1, 2) / 255.0).float()
    with torch.no_grad():
        assert model((images_NCHW - 0.5) / 0.25).argmax(1).tolist() == [2] * 24


def test_the_teacher_answers_in_eval_mode_without_gradients_and_is_left_alone(lively, tmp_path):
    ASKED.clear()
    teacher = _Teacher(0).train()
    before = _state(teacher)
    _recover(lively, tmp_path, teacher, alpha=0.5)
    assert set(ASKED) == {(False, False)}
    assert len(ASKED) == 2 * 24 // 8
    assert _equal(before, _state(teacher))
    assert teacher.training
    assert all(parameter.requires_grad for parameter in teacher.parameters())


def test_a_real_teacher_keeps_its_memory_layout(lively, tmp_path):
    teacher, _ = lively("tiny", 48)
    teacher = copy.deepcopy(teacher)
    strides = {name: tensor.stride() for name, tensor in teacher.state_dict().items()}
    model, _ = _recover(lively, tmp_path, teacher, alpha=0.9)
    assert {name: tensor.stride() for name, tensor in teacher.state_dict().items()} == strides
    assert not model.training
    assert (tmp_path / "checkpoint.safetensors").is_file(), "the caller removes it once all is saved"
