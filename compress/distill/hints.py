"""Feature hints: the student's feature maps are drawn towards the teacher's at the same depth (FitNets).

Legend: N images, S and T channels of student and teacher, H and W positions of a feature map.

Two networks of any make are compared where both halve the image: a level is log2(input side / map side), and each
network stands at a level for the last feature map it computes there. In an inverted residual that is the expansion of
the block that halves it next, the widest map of the level.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import nn

from compress.engine.randomness import Purpose, seeded_torch
from compress.errors import StageError
from compress.models.build import pass_blank_image

REGRESSORS = "regressors"  # module name in `HintedStudent`
STUDENT = "student"


@dataclass(frozen=True)
class FeatureMap:
    """A module's output: the module's name and the number of its channels."""

    name: str
    channels: int


@dataclass(frozen=True)
class HintPair:
    """Two feature maps at the same level."""

    student: FeatureMap
    teacher: FeatureMap


@dataclass(frozen=True)
class Hinted:
    """What a student in training gives: logits [N, K], and its features in the teacher's widths [N, T, H, W]."""

    logits_NK: torch.Tensor
    features: tuple[torch.Tensor, ...]


class HintedStudent(nn.Module):
    """A student with a learned 1x1 convolution a pair to the teacher's width; in eval mode it is the student alone.

    The convolutions are trained and checkpointed with the student and are no part of what is saved of it.
    """

    def __init__(self, student: nn.Module, pairs: Sequence[HintPair], seed: int) -> None:
        """Wrap the student, which stays the same object; fresh weights depend on `seed` alone."""
        super().__init__()
        self.student = student
        self._names = tuple(pair.student.name for pair in pairs)
        with seeded_torch(seed, Purpose.HEAD):
            self.regressors = nn.ModuleList(
                nn.Conv2d(pair.student.channels, pair.teacher.channels, 1) for pair in pairs
            )

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor | Hinted:
        """Return logits [N, K] in eval mode, and `Hinted` where the regressors are in training mode."""
        if not self.regressors.training:  # they train in the frozen epochs too, when the wrapper itself does not
            logits_NK: torch.Tensor = self.student(images_NCHW)
            return logits_NK
        with captured(self.student, self._names) as features:
            logits_NK = self.student(images_NCHW)
        regressed = zip(self.regressors, self._names, strict=True)
        return Hinted(logits_NK, tuple(regressor(features[name]) for regressor, name in regressed))


def hint_loss(student_features: Sequence[torch.Tensor], teacher_features: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean over pairs of half the squared distance of an element, a scalar >= 0.

    Romero et al. 2015, FitNets, eq. 3, as a mean instead of a sum, so that it depends neither on the size of a map nor
    on the number of pairs. A pair of unequal sizes is compared at the smaller height and width, by average pooling.

    Args:
        student_features: regressed to the teacher's widths, [N, T, H, W] each.
        teacher_features: for the same images, in the same order.
    """
    terms = []
    for student_NTHW, teacher_NTHW in zip(student_features, teacher_features, strict=True):
        height, width = (min(pair) for pair in zip(student_NTHW.shape[2:], teacher_NTHW.shape[2:], strict=True))
        mean = F.mse_loss(_pooled(student_NTHW, height, width), _pooled(teacher_NTHW.detach(), height, width))
        terms.append(0.5 * mean)
    return torch.stack(terms).mean()


def hint_pairs(student: nn.Module, student_px: int, teacher: nn.Module, teacher_px: int) -> tuple[HintPair, ...]:
    """Return the feature maps to compare, from the largest to the smallest.

    Args:
        student: takes images [N, 3, student_px, student_px].
        student_px: side of its input.
        teacher: takes images [N, 3, teacher_px, teacher_px].
        teacher_px: side of its input.

    Raises:
        StageError: there is no level at which both have a feature map.
    """
    own, others = stage_ends(student, student_px), stage_ends(teacher, teacher_px)
    shared = sorted(own.keys() & others.keys())
    if not shared:
        raise StageError(
            f"no hints: student and teacher have no feature maps at the same depth (input side over map side: "
            f"{_sides(own)} and {_sides(others)})",
            hint="set hints to 0, or take a convolutional teacher",
        )
    return tuple(HintPair(own[level], others[level]) for level in shared)


def stage_ends(model: nn.Module, input_px: int) -> dict[int, FeatureMap]:
    """Return level -> the last square feature map of that level, level 1 (half the input's side) and deeper.

    Found by a pass of one blank image. A module that is called more than once has no one output and is not taken;
    maps of a single position are what pooling leaves.
    """
    seen: list[tuple[str, torch.Tensor]] = []

    def see(name: str, module: nn.Module, inputs: object, output: object) -> None:
        seen.append((name, output if isinstance(output, torch.Tensor) else torch.empty(0)))

    hooks = [module.register_forward_hook(partial(see, name)) for name, module in model.named_modules() if name]
    pass_blank_image(model, (3, input_px, input_px), hooks)
    calls = Counter(name for name, _ in seen)
    ends: dict[int, FeatureMap] = {}
    for name, output in seen:
        if output.ndim == 4 and output.shape[2] == output.shape[3] > 1 and calls[name] == 1:
            ends[round(math.log2(input_px / output.shape[2]))] = FeatureMap(name, output.shape[1])
    return {level: feature_map for level, feature_map in ends.items() if level >= 1}


@contextmanager
def captured(model: nn.Module, names: Sequence[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Fill a dict with the outputs of these modules in each pass inside the block."""
    features: dict[str, torch.Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        features[name] = output

    hooks = [model.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names]
    try:
        yield features
    finally:
        for hook in hooks:
            hook.remove()


def _pooled(features_NTHW: torch.Tensor, height: int, width: int) -> torch.Tensor:
    is_that_size = features_NTHW.shape[2:] == (height, width)
    return features_NTHW if is_that_size else F.adaptive_avg_pool2d(features_NTHW, (height, width))


def _sides(ends: dict[int, FeatureMap]) -> str:
    return ", ".join(str(2**level) for level in sorted(ends)) or "none"
