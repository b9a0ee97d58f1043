"""The loss of a student: its labels, its teachers' soft labels and, where wanted, one teacher's features.

Legend: M teachers, N images, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from compress.distill.hints import Hinted, hint_loss
from compress.distill.teacher import Teacher, Teaches, mean_answer
from compress.engine.batches import Batch, plain_images
from compress.engine.losses import Divergence, distillation_loss
from compress.engine.options import FitOptions
from compress.engine.setup import FitSetup


@dataclass(frozen=True)
class Ramp:
    """A number that moves linearly from the first epoch to the last; it stays where `final` is None."""

    start: float
    final: float | None = None

    def at(self, epoch: int, epochs: int) -> float:
        """Return the value in an epoch, from 0; of a single epoch it is the start."""
        if self.final is None or epochs < 2:
            return self.start
        return self.start + (self.final - self.start) * epoch / (epochs - 1)


@dataclass(frozen=True)
class Hints:
    """How much feature hints count, and whose.

    Attributes:
        weight: of the hint loss.
        place: of the teacher that gives them.
        names: of its modules, in the order of the student's features.
    """

    weight: float
    place: int
    names: tuple[str, ...]


class Objective:
    """A loss for `fit`, with its hook: alpha and temperature depend on the epoch alone, so a resumed run goes on."""

    def __init__(
        self,
        teachers: Sequence[Teaches],
        divergence: Divergence,
        *,
        alpha: Ramp,
        temperature: Ramp,
        options: FitOptions,
        hints: Hints | None = None,
        answers_MNK: torch.Tensor | None = None,
    ) -> None:
        """Take the parts.

        Args:
            teachers: M >= 1 of them.
            divergence: between the student and the mean of the teachers.
            alpha: share of the soft labels.
            temperature: softens both sides.
            options: epochs and label smoothing.
            hints: whose features are hints; the student then gives `Hinted` in training.
            answers_MNK: logits for every training image, from `answers`; without it each batch is asked anew.
        """
        self._teachers = teachers
        self._divergence = divergence
        self._alpha = alpha
        self._temperature = temperature
        self._options = options
        self._hints = hints
        self._answers_MNK = answers_MNK
        self.on_epoch(0, None)

    def on_epoch(self, epoch: int, model: nn.Module | None) -> None:
        """Set alpha and temperature for an epoch, from 0."""
        self.alpha = self._alpha.at(epoch, self._options.epochs)
        self.temperature = self._temperature.at(epoch, self._options.epochs)

    def loss(self, outputs: torch.Tensor | Hinted, batch: Batch) -> torch.Tensor:
        """Return the loss of a batch, a scalar.

        Raises:
            StageError: a teacher gives no finite logits.
        """
        logits_NK = outputs.logits_NK if isinstance(outputs, Hinted) else outputs
        teachers_MNK, features = self._ask(batch)
        loss = distillation_loss(
            logits_NK,
            mean_answer(teachers_MNK, self.temperature),
            batch.targets_NK,
            temperature=self.temperature,
            alpha=self.alpha,
            label_smoothing=self._options.label_smoothing,
            divergence=self._divergence,
        )
        if self._hints and isinstance(outputs, Hinted):
            loss = loss + self._hints.weight * hint_loss(outputs.features, features)
        return loss

    def _ask(self, batch: Batch) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the teachers' logits [M, N, K] for a batch, and the features that are hints."""
        if self._answers_MNK is not None:
            places = torch.from_numpy(batch.index_N)
            return self._answers_MNK[:, places].to(batch.images_NCHW.device), []
        logits: list[torch.Tensor] = []
        hints: list[torch.Tensor] = []
        for place, teacher in enumerate(self._teachers):
            if self._hints and place == self._hints.place:
                assert isinstance(teacher, Teacher), "hints come from a torch teacher"
                logits_NK, hints = teacher.logits_and_features(batch.images_NCHW, self._hints.names)
                logits.append(logits_NK)
            else:
                logits.append(teacher.logits(batch.images_NCHW))
        return torch.stack(logits), hints


def answers(teachers: Sequence[Teaches], setup: FitSetup) -> torch.Tensor:
    """Return the teachers' logits for every training image as training shows it, float32 [M, N, K] on the CPU.

    For an augmentation that draws nothing. In one pass in the order of the set, and not when an image first comes up:
    a killed and resumed run then has the same bits, since logits depend a little on the batch they are computed in.

    Raises:
        StageError: a teacher gives no finite logits.
    """
    batches = plain_images(setup.train, setup.preprocess, setup.options, device=torch.device(setup.device))
    return torch.cat([torch.stack([t.logits(images).cpu() for t in teachers]) for images in batches], dim=1)
