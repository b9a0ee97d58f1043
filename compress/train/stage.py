"""The train stage: images and an architecture in, one self-describing `model.safetensors` out."""

from __future__ import annotations

from compress.core.artifact import StageOutput
from compress.core.formats import Format
from compress.core.stage import RunContext, StageInputs
from compress.data.dataset import load_dataset
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.fit import fit
from compress.engine.initial_weights import start_model
from compress.engine.losses import label_loss
from compress.engine.setup import fit_setup
from compress.errors import UsageError
from compress.models.build import arch_info, new_spec
from compress.models.weights import save_model
from compress.train.config import TrainConfig

FILE_NAME = "model.safetensors"


def run(config: TrainConfig, inputs: StageInputs, ctx: RunContext) -> StageOutput:
    """Train and return the model with the best validation accuracy.

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
    dataset = load_dataset(ctx.data, seed=ctx.seed, reporter=ctx.reporter)
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
    setup = fit_setup(dataset, spec, config.fit, ctx)
    result = fit(model, setup, label_loss(config.fit.label_smoothing), head=(arch_info(spec.arch).head,))
    spec = save_model(ctx.stage_dir / FILE_NAME, model, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=FILE_NAME,
        format=Format.TORCH,
        spec=spec,
        metrics={
            "top1_pct": result.best_val_top1_pct,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "params": spec.params,
            "macs": spec.macs,
        },
    )
