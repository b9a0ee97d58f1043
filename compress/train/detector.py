"""Training a detector: images with boxes and an architecture in, one self-describing `model.safetensors` out."""

from __future__ import annotations

from compress.core.artifact import StageOutput
from compress.core.formats import Format
from compress.core.stage import RunContext
from compress.data.dataset import Dataset
from compress.engine.checkpoint import remove_checkpoint
from compress.engine.detection.losses import detection_loss
from compress.engine.detection.setup import detect_setup
from compress.engine.fit import fit
from compress.engine.options import FitOptions
from compress.errors import UsageError
from compress.models.build import build_model
from compress.models.detector_weights import HEADS, load_detector
from compress.models.detectors import new_detector_spec
from compress.models.weights import save_model
from compress.train.config import TrainConfig

LR = 2e-3


def train_detector(config: TrainConfig, dataset: Dataset, ctx: RunContext, file_name: str) -> StageOutput:
    """Train and return the detector with the best validation mAP.

    Metrics: map_pct (validation), best_epoch, epochs, params, macs.

    Raises:
        UsageError: an option that only a classifier has.
        DataError: the weights cannot be downloaded.
        ModelFileError: the weights file is damaged or of another backbone.
        StageError: the training diverged.
    """
    _refuse_options_of_classifiers(config)
    spec = new_detector_spec(config.arch, dataset.labels, config.input_px)
    model = build_model(spec, seed=ctx.seed)
    ctx.reporter.info(f"{config.arch}: starts from {load_detector(model, config.arch, config.weights)}")
    given = config.fit.model_dump(exclude={"lr"}) | {"lr": config.fit.lr or LR}
    setup = detect_setup(dataset, spec, FitOptions(**given), config.detect, ctx)
    result = fit(model, setup, detection_loss(config.detect), head=HEADS)
    spec = save_model(ctx.stage_dir / file_name, model, spec)
    remove_checkpoint(ctx.stage_dir)
    return StageOutput(
        file_name=file_name,
        format=Format.TORCH,
        spec=spec,
        metrics={
            "map_pct": result.best_val_pct,
            "best_epoch": result.best_epoch,
            "epochs": len(result.history),
            "params": spec.params,
            "macs": spec.macs,
        },
    )


def _refuse_options_of_classifiers(config: TrainConfig) -> None:
    given = [name for name in ("resize_px", "interpolation", "mean", "std") if getattr(config, name) is not None]
    if given:
        raise UsageError(
            f"{given[0]}: the images of {config.arch} are stretched to its square as its weights expect",
            hint=f"leave {given[0]} out; input_px sets the side",
        )
