"""Training a detector: images with boxes and an architecture in, one self-describing `model.safetensors` out."""

from __future__ import annotations

from compress.core.artifact import StageOutput
from compress.core.stage import RunContext
from compress.data.dataset import Dataset
from compress.engine.detection.losses import detection_loss
from compress.engine.detection.setup import detect_setup
from compress.engine.fit import fit
from compress.engine.options import FitOptions
from compress.errors import UsageError
from compress.models.build import build_model
from compress.models.detector_weights import HEADS, load_detector
from compress.models.detectors import new_detector_spec
from compress.train.config import TrainConfig
from compress.train.outcome import trained

LR = 4e-3
_OF_CLASSIFIERS = (
    *("progressive_px", "crop_scale_min", "crop_ratio", "flip", "color_jitter", "randaugment", "mixup", "cutmix"),
    "label_smoothing",
)


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
    model = build_model(spec, seed=ctx.seed)
    ctx.reporter.info(f"{config.arch}: starts from {load_detector(model, config.arch, config.weights)}")
    given = config.fit.model_dump(exclude={"lr"}) | {"lr": config.fit.lr or LR}
    setup = detect_setup(dataset, spec, FitOptions(**given), config.detect, ctx)
    result = fit(model, setup, detection_loss(config.detect), head=HEADS)
    return trained(model, spec, result, setup.metric, ctx)


def _refuse_options_of_classifiers(config: TrainConfig) -> None:
    given = [name for name in ("resize_px", "interpolation", "mean", "std") if getattr(config, name) is not None]
    if given:
        raise UsageError(
            f"{given[0]}: the images of {config.arch} are stretched to its square as its weights expect",
            hint=f"leave {given[0]} out; input_px sets the side",
        )
    fields = type(config.fit).model_fields
    for name in _OF_CLASSIFIERS:  # by value: a resolved recipe names the defaults too
        if getattr(config.fit, name) != fields[name].default:
            raise UsageError(
                f"fit.{name}: is for classifiers, and {config.arch} finds boxes",
                hint="leave it out; `detect:` has the augmentation and the loss of detectors",
            )
