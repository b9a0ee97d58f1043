"""`PruneImages`: the images that pruning looks at, of either task, and what a network's answers to them are worth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from compress.engine.losses import Loss
from compress.engine.options import FitOptions
from compress.engine.setup import Setup

Batches = Iterable[tuple[Tensor, Any]]  # images_NCHW, and what a loss compares the answers with


class PruneImages(Protocol):
    """The images of one data set as one network sees them: to score channels, to judge, and to train."""

    @property
    def metric(self) -> Literal["top1", "map"]:
        """Return what accuracy is."""

    def scoring(self) -> Batches:
        """Return batches of training images without augmentation, for importance."""

    def loss(self, outputs: Any, targets: Any) -> Tensor:  # noqa: ANN401 - each task has its own
        """Return the mean loss of one of these batches."""

    def judge(self, model: nn.Module) -> tuple[float, float]:
        """Return accuracy in percent and mean loss on a fixed subset of the training images.

        The validation images stay for judging what is made in the end.
        """

    @property
    def judged(self) -> int:
        """Return the number of those images."""

    def accuracy_pct(self, model: nn.Module) -> float:
        """Return validation accuracy in percent."""

    def recovery(
        self, options: FitOptions, teacher: nn.Module, *, alpha: float, temperature: float
    ) -> tuple[Setup, Loss]:
        """Return the setup of the training after a cut, and its loss.

        Args:
            options: of the training loop.
            teacher: the network before the cut; it answers in eval mode.
            alpha: share of its answers in the loss; at 0 it is not asked.
            temperature: of the answers.
        """
