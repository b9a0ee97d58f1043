"""What a network is trained on, how and where: `Setup` is what the loop asks, `FitSetup` the answer for classifiers.

Each stage that trains one makes it with `fit_setup`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from compress.core.digest import sha256_bytes
from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, SilentReporter
from compress.data.dataset import Dataset
from compress.engine.batches import Batch, TrainSet, ValSet, train_batches
from compress.engine.evaluate import shared_top1_pct
from compress.engine.options import FitOptions
from compress.engine.sets import training_sets


class Learned(Protocol):
    """One batch, whatever else it holds for the loss."""

    @property
    def images_NCHW(self) -> torch.Tensor:  # noqa: N802 - tensors carry their axes
        """Return float32 images, normalised, channels_last."""

    @property
    def index_N(self) -> np.ndarray:  # noqa: N802
        """Return the images' places in the training set."""


class Setup(Protocol):
    """All that a fit needs but the network and its loss."""

    metric: ClassVar[str]  # what validation measures, "top1" or "map", in percent

    @property
    def options(self) -> FitOptions:
        """Return the recipe's `fit:` block."""

    @property
    def work_dir(self) -> Path:
        """Return the folder of the checkpoint and of `tensorboard/`."""

    @property
    def seed(self) -> int:
        """Return the seed of all randomness."""

    @property
    def device(self) -> str:
        """Return "cpu" or "cuda"."""

    @property
    def reporter(self) -> Reporter:
        """Return what hears a bar and one line an epoch."""

    @property
    def n_train(self) -> int:
        """Return the number of training images."""

    @property
    def n_val(self) -> int:
        """Return the number of validation images."""

    def batches(self, epoch: int, device: torch.device) -> Generator[Learned, None, None]:
        """Yield the batches of an epoch; among several processes, this one's share of each."""

    def judged_pct(self, model: nn.Module) -> float | None:
        """Return the metric of the model on the validation images, 0..100; None where an answer is not finite."""

    def digests(self) -> list[str]:
        """Return what the images and what is known of them come to, so that two fits can be told apart."""


@dataclass(frozen=True)
class FitSetup:
    """All that a classifier's fit needs but the network and its loss.

    Attributes:
        train: training images.
        val: validation images; they choose the epoch that is kept (`options.keep`) and the early stop.
        num_classes: K.
        preprocess: crop side, mean and standard deviation of the network.
        options: the recipe's `fit:` block.
        work_dir: of the checkpoint and `tensorboard/`; a checkpoint of the same fit found there is continued.
        seed: of all randomness.
        device: "cpu" or "cuda".
        reporter: hears a bar and one line an epoch.
    """

    train: TrainSet
    val: ValSet
    num_classes: int
    preprocess: Preprocess
    options: FitOptions
    work_dir: Path
    seed: int
    device: str = "cpu"
    reporter: Reporter = field(default_factory=SilentReporter)

    metric: ClassVar[str] = "top1"

    @property
    def n_train(self) -> int:
        """Return the number of training images."""
        return len(self.train.labels_N)

    @property
    def n_val(self) -> int:
        """Return the number of validation images."""
        return len(self.val.labels_N)

    def batches(self, epoch: int, device: torch.device) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch; see `train_batches`."""
        return train_batches(
            self.train, self.num_classes, self.preprocess, self.options, seed=self.seed, epoch=epoch, device=device
        )

    def judged_pct(self, model: nn.Module) -> float | None:
        """Return the top-1 of the model on the validation images, 0..100; None where a logit is not finite."""
        return shared_top1_pct(model, self.val.pixels_NHWC, self.val.labels_N, self.preprocess)

    def digests(self) -> list[str]:
        """Return a digest of the labels of each set, and the shapes of the images."""
        shapes = [list(self.train.pixels_NSSC.shape), list(self.val.pixels_NHWC.shape)]
        return [*(sha256_bytes(labels.tobytes()) for labels in (self.train.labels_N, self.val.labels_N)), str(shapes)]


def fit_setup(dataset: Dataset, spec: ModelSpec, options: FitOptions, ctx: RunContext, folder: str = "") -> FitSetup:
    """Return the setup of a stage's fit; the images are decoded where that was not done before.

    Args:
        dataset: with the splits train and val.
        spec: of the network, for its classes and preprocessing.
        options: the recipe's `fit:` block.
        ctx: of the stage.
        folder: in the stage's folder, where the checkpoint is kept; empty: that folder itself.
    """
    train, val = training_sets(dataset, spec.preprocess, ctx.reporter)
    return FitSetup(
        train=train,
        val=val,
        num_classes=spec.num_classes,
        preprocess=spec.preprocess,
        options=options,
        work_dir=ctx.stage_dir / folder,
        seed=ctx.seed,
        device=ctx.device,
        reporter=ctx.reporter,
    )
