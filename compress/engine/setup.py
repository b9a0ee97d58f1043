"""`FitSetup`: what a network is trained on, how and where; each stage that trains makes one with `fit_setup`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from compress.core.preprocess import Preprocess
from compress.core.spec import ModelSpec
from compress.core.stage import Reporter, RunContext, SilentReporter
from compress.data.dataset import Dataset
from compress.engine.batches import TrainSet, ValSet
from compress.engine.options import FitOptions
from compress.engine.sets import training_sets


@dataclass(frozen=True)
class FitSetup:
    """All that a fit needs but the network and its loss.

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
