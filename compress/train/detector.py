"""Training a detector: images with boxes and an architecture in, one self-describing `model.safetensors` out."""

from __future__ import annotations

import numpy as np

from compress.core.artifact import StageOutput
from compress.core.names import few
from compress.core.spec import ModelSpec
from compress.core.stage import RunContext
from compress.data.dataset import Dataset
from compress.detect.fit_anchors import fitted_anchors
from compress.engine.detection.losses import detection_loss
from compress.engine.detection.options import refuse_fit_of_classifiers
from compress.engine.detection.setup import detect_setup, in_shares
from compress.engine.fit import fit
from compress.engine.options import FitOptions
from compress.errors import UsageError
from compress.models.build import build_model, head_modules
from compress.models.detector_weights import load_detector
from compress.models.detectors import new_detector_spec
from compress.train.config import TrainConfig
from compress.train.outcome import trained

LR = 4e-3


def train_detector(config: TrainConfig, dataset: Dataset, ctx: RunContext) -> StageOutput:
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
    if config.anchors == "fit":
        spec = _fitted(spec, dataset, ctx)
    model = build_model(spec, seed=ctx.seed)
    ctx.reporter.info(f"{config.arch}: starts from {load_detector(model, config.arch, config.weights)}")
    given = config.fit.model_dump(exclude={"lr"}) | {"lr": config.fit.lr or LR}
    setup = detect_setup(dataset, spec, FitOptions(**given), config.detect, ctx)
    result = fit(model, setup, detection_loss(config.detect), head=head_modules(spec))
    return trained(model, spec, result, setup.metric, ctx)


def _fitted(spec: ModelSpec, dataset: Dataset, ctx: RunContext) -> ModelSpec:
    """Return the spec with anchors of the sizes that the training boxes have."""
    assert spec.boxes is not None
    sides = [
        known.corners_B4[:, 2:] - known.corners_B4[:, :2] for known in map(in_shares, dataset.splits["train"].boxes_N)
    ]
    coding = fitted_anchors(spec.boxes, np.concatenate(sides).astype(np.float64))
    sizes = [f"{width:.2f}x{height:.2f}" for one in coding.maps for width, height in one.sizes]
    ctx.reporter.info(f"anchors fitted to {sum(map(len, sides))} boxes: {few(sizes, 12)}")
    return spec.model_copy(update={"boxes": coding})


def _refuse_options_of_classifiers(config: TrainConfig) -> None:
    given = [name for name in ("resize_px", "interpolation", "mean", "std") if getattr(config, name) is not None]
    if given:
        raise UsageError(
            f"{given[0]}: the images of {config.arch} are stretched to its square as its weights expect",
            hint=f"leave {given[0]} out; input_px sets the side",
        )
    refuse_fit_of_classifiers(config.fit, "fit", config.arch)
