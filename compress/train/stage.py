"""The train stage: images and an architecture in, one self-describing `model.safetensors` out."""

from __future__ import annotations

from math import ceil

from torch import nn

from compress.core.artifact import StageOutput
from compress.core.dataset import Task
from compress.core.stage import Reporter, RunContext, StageInputs
from compress.data.dataset import Dataset, load_dataset
from compress.engine.fit import fit
from compress.engine.initial_weights import say_averages, start_model
from compress.engine.losses import label_loss
from compress.engine.options import FitOptions
from compress.engine.rate import fine_tuning_rate
from compress.engine.setup import fit_setup
from compress.errors import UsageError
from compress.models.arch_names import DETECTOR_NAMES, FRESH
from compress.models.build import arch_info, new_spec
from compress.train.config import TrainConfig
from compress.train.detector import train_detector
from compress.train.outcome import trained


def run(config: TrainConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Train and return the model with the best validation accuracy; see `train_detector` for images with boxes.

    Metrics: top1_pct (validation), best_epoch, epochs, params, macs.

    Raises:
        UsageError: the recipe has no data.
        DataError: the images cannot be used, or the weights cannot be downloaded.
        ModelFileError: the weights file is damaged or of another architecture.
        StageError: the training diverged.
    """
    del inputs  # the first stage of a chain
    if ctx.data is None:
        raise UsageError("training needs images, and the recipe has no `data:` block")
    task: Task = "detect" if config.arch in DETECTOR_NAMES else "classify"
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter, task=task)
    say_averages(config.weights, ctx.reporter)
    return _OF_TASK[task](config, dataset, ctx)


def _train_classifier(config: TrainConfig, dataset: Dataset, ctx: RunContext) -> StageOutput:
    spec = new_spec(
        config.arch,
        dataset.labels,
        config.input_px,
        resize_px=config.resize_px,
        interpolation=config.interpolation,
        mean=config.mean,
        std=config.std,
    )
    model = start_model(spec, config.weights, ctx.seed)
    options = _with_rate(config, model, len(dataset.splits["train"]), ctx.reporter)
    setup = fit_setup(dataset, spec, options, ctx)
    result = fit(model, setup, label_loss(options.label_smoothing), head=(arch_info(spec.arch).head,))
    return trained(model, spec, result, setup.metric, ctx)


_OF_TASK = {"classify": _train_classifier, "detect": train_detector}


def _with_rate(config: TrainConfig, model: nn.Module, n_train: int, reporter: Reporter) -> FitOptions:
    """Return the options of the fit, with a learning rate where none is given."""
    options, given = config.fit, config.fit.lr
    if given is None and config.weights != FRESH:
        given = fine_tuning_rate(model, options.epochs * ceil(n_train / options.batch_size))
        reporter.info(f"learning rate {given:.2g}, by the number of steps (fit.lr sets another)")
    rate = {} if given is None else {"lr": given}
    return FitOptions(**(options.model_dump(exclude={"lr"}) | rate))
