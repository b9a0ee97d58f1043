from __future__ import annotations

import copy

import pytest
import timm
import torch
from torch import nn

from compress.distill.hints import (
    FeatureMap,
    Hinted,
    HintedStudent,
    HintPair,
    captured,
    hint_loss,
    hint_pairs,
    stage_ends,
)
from compress.engine.freeze import freeze_all_but
from compress.errors import StageError
from compress.models.build import build_model, new_spec

LABELS = ("a", "b", "c")


class Halving(nn.Module):
    """Halves the image twice; one activation is called after each convolution, so it has no one output."""

    def __init__(self, widths: tuple[int, int]) -> None:
        super().__init__()
        self.full = nn.Conv2d(3, 4, 1)
        self.first = nn.Conv2d(4, widths[0], 3, stride=2, padding=1)
        self.same = nn.Conv2d(widths[0], widths[0], 1)
        self.second = nn.Conv2d(widths[0], widths[1], 3, stride=2, padding=1)
        self.act = nn.ReLU()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[1], 3)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        x = self.act(self.first(self.full(images_NCHW)))
        x = self.act(self.second(self.act(self.same(x))))
        return self.head(self.pool(x).flatten(1))


def _hinted(seed: int = 0) -> tuple[HintedStudent, nn.Module, tuple[HintPair, ...]]:
    torch.manual_seed(0)
    student, teacher = Halving((4, 6)), Halving((8, 10))
    pairs = hint_pairs(student, 16, teacher, 32)
    return HintedStudent(student, pairs, seed), teacher, pairs


def test_a_stage_ends_with_its_last_map_of_a_module_called_once():
    assert stage_ends(Halving((4, 6)), 16) == {1: FeatureMap("same", 4), 2: FeatureMap("second", 6)}


def test_looking_for_stage_ends_leaves_the_network_as_it_was():
    model = build_model(new_spec("tiny", LABELS, 32))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stage_ends(model, 32)
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_networks_of_any_make_and_input_size_meet_at_the_same_depth():
    student, teacher = build_model(new_spec("tiny", LABELS, 64)), timm.create_model("test_resnet", num_classes=3)
    pairs = hint_pairs(student, 64, teacher, 96)
    with torch.no_grad(), captured(student.eval(), [p.student.name for p in pairs]) as own:
        student(torch.zeros(1, 3, 64, 64))
    with torch.no_grad(), captured(teacher.eval(), [p.teacher.name for p in pairs]) as others:
        teacher(torch.zeros(1, 3, 96, 96))
    sides = [(own[p.student.name].shape[2], others[p.teacher.name].shape[2]) for p in pairs]
    assert sides == [(32, 48), (16, 24), (8, 12), (4, 6)][-len(sides) :]
    assert len(sides) >= 3
    assert all(own[p.student.name].shape[1] == p.student.channels for p in pairs)


def test_without_a_common_depth_it_says_what_there_is():
    flat = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with pytest.raises(StageError, match="input side over map side: 2, 4 and none"):
        hint_pairs(Halving((4, 6)), 16, flat, 16)


def test_the_loss_is_half_the_mean_squared_distance_at_the_smaller_size():
    student = torch.randn(2, 5, 4, 4, generator=torch.Generator().manual_seed(0))
    teacher = torch.randn(2, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    pooled = teacher.reshape(2, 5, 4, 2, 4, 2).mean(dim=(3, 5))
    half = 0.5 * ((student - pooled) ** 2).mean()
    torch.testing.assert_close(hint_loss([student], [teacher]), half)
    torch.testing.assert_close(hint_loss([teacher], [student]), half)  # whichever is larger is pooled
    torch.testing.assert_close(hint_loss([student, student], [teacher, student]), half / 2)


def test_no_gradient_of_the_hints_reaches_the_teacher():
    student, teacher = torch.zeros(1, 2, 2, 2, requires_grad=True), torch.ones(1, 2, 2, 2, requires_grad=True)
    hint_loss([student], [teacher]).backward()
    assert teacher.grad is None
    assert student.grad is not None


def test_a_hinted_student_gives_its_features_in_the_teachers_widths_when_it_learns():
    hinted, teacher, pairs = _hinted()
    images = torch.rand(2, 3, 16, 16)
    outputs = hinted(images)
    assert isinstance(outputs, Hinted)
    with torch.no_grad(), captured(teacher, [pair.teacher.name for pair in pairs]) as features:
        teacher(torch.rand(2, 3, 32, 32))
    assert [f.shape[:2] for f in outputs.features] == [features[pair.teacher.name].shape[:2] for pair in pairs]
    with captured(hinted.student, ["same"]) as own:
        torch.testing.assert_close(hinted.student(images), outputs.logits_NK)
    torch.testing.assert_close(outputs.features[0], hinted.regressors[0](own["same"]))


def test_a_hinted_student_in_eval_mode_is_the_student():
    hinted, _, _ = _hinted()
    hinted.eval()
    images = torch.rand(2, 3, 16, 16)
    assert torch.equal(hinted(images), hinted.student(images))


def test_the_regressors_learn_while_the_rest_is_frozen():
    hinted, _, _ = _hinted()
    freeze_all_but(hinted, ("student.head", "regressors"))
    assert isinstance(hinted(torch.rand(2, 3, 16, 16)), Hinted)


def test_a_copy_reads_its_own_features():
    """The average of the weights is a deep copy: were a hook bound to the original, it would read the wrong maps."""
    hinted, _, _ = _hinted()
    other = copy.deepcopy(hinted)
    with torch.no_grad():
        other.student.same.weight.add_(1.0)
    images = torch.rand(2, 3, 16, 16)
    before = hinted(images).features[0]
    assert not torch.equal(other(images).features[0], before)
    assert torch.equal(hinted(images).features[0], before)


def test_the_regressors_depend_on_the_seed_alone():
    (first, _, _), (again, _, _), (other, _, _) = _hinted(3), _hinted(3), _hinted(4)
    assert torch.equal(first.regressors[0].weight, again.regressors[0].weight)
    assert not torch.equal(first.regressors[0].weight, other.regressors[0].weight)


def test_hints_teach_what_the_teacher_sees():
    """The distance of the feature maps falls when it alone is descended."""
    hinted, teacher, pairs = _hinted()
    teacher.eval()
    images, large = torch.rand(8, 3, 16, 16), torch.rand(8, 3, 32, 32)
    with torch.no_grad(), captured(teacher, [pair.teacher.name for pair in pairs]) as features:
        teacher(large)
    targets = [features[pair.teacher.name] for pair in pairs]
    optimizer = torch.optim.SGD(hinted.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = hint_loss(hinted(images).features, targets)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    assert hinted.student.same.weight.grad is not None
