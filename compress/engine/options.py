"""`FitOptions`: the `fit:` block of every stage that trains. Light: pydantic only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Epochs = Annotated[int, Field(ge=0, le=100_000)]


class FitOptions(BaseModel):
    """How a model is fitted to images.

    Attributes:
        epochs: passes over the training split, the frozen ones included.
        batch_size: images a step, of all processes together; a last batch of one image is dropped (BatchNorm has no
            variance of one value).
        optimizer: `adamw`, or `sgd` with Nesterov momentum.
        lr: the highest learning rate, at the end of the warm-up.
        lr_final: learning rate of the last step as a fraction of `lr`.
        weight_decay: decoupled for AdamW; never on biases and normalisation.
        momentum: of SGD.
        clip_norm: largest gradient norm; 0 leaves gradients alone.
        warmup_epochs: linear from 0 to `lr`, after the frozen epochs; may be a fraction; at most half of what is left.
        schedule: after the warm-up, a cosine down to `lr * lr_final`, or constant.
        label_smoothing: probability mass spread over all classes.
        ema_decay: of the exponential moving average of the weights (the average is then what is validated and kept);
            0 is off. It is warmed up as min(decay, (1 + step) / (10 + step)).
        patience: epochs without a better validation accuracy before stopping; None never stops early.
        keep: `best` keeps the weights of the epoch with the best validation accuracy, `last` those of the last epoch.
        freeze_epochs: first epochs in which only the head learns, at `lr`; frozen BatchNorm keeps its statistics.
        progressive_px: side of the training images in the first epoch; it grows in steps of 32 to the full side at
            70 % of the epochs (Tan & Le 2021, EfficientNetV2, section 4.2: small images first are
            faster). None: full.
        crop_scale_min: smallest share of the area a random crop has; 1 with `crop_ratio` 1: a full square.
        crop_ratio: random crops have a width/height between 1/crop_ratio and crop_ratio.
        flip: mirror images: `horizontal`, `both` (surfaces: all mirrors and quarter turns) or `none`.
        color_jitter: brightness, contrast and saturation factors are drawn from 1 - j .. 1 + j.
        randaugment: RandAugment's magnitude, 0..30; 0 is off.
        mixup: alpha of the Beta distribution; 0 is off.
        cutmix: alpha of the Beta distribution; 0 is off. With both, each batch draws one of the two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Epochs = 6
    batch_size: Annotated[int, Field(ge=2, le=4096)] = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: Annotated[float, Field(gt=0.0, le=10.0)] = 2e-3
    lr_final: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0.0, le=1.0)] = 0.01
    momentum: Share = 0.9
    clip_norm: Annotated[float, Field(ge=0.0)] = 0.0
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: Share = 0.1
    ema_decay: Share = 0.0
    patience: Annotated[int, Field(ge=1)] | None = None
    keep: Literal["best", "last"] = "best"
    freeze_epochs: Epochs = 0
    progressive_px: Annotated[int, Field(ge=32, le=2048)] | None = None
    crop_scale_min: Annotated[float, Field(gt=0.0, le=1.0)] = 0.35
    crop_ratio: Annotated[float, Field(ge=1.0, le=4.0)] = 4 / 3
    flip: Literal["none", "horizontal", "both"] = "horizontal"
    color_jitter: Share = 0.0
    randaugment: Annotated[int, Field(ge=0, le=30)] = 0
    mixup: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0
    cutmix: Annotated[float, Field(ge=0.0, le=10.0)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> FitOptions:
        if self.freeze_epochs > self.epochs:
            raise ValueError(f"freeze_epochs must be at most epochs ({self.epochs}), found {self.freeze_epochs}")
        return self

    @property
    def is_deterministic(self) -> bool:
        """Return whether every epoch shows the same: nothing is drawn, for a square image, and no size changes.

        Of any other the largest square is cut at a random place, whatever `crop_scale_min` and `crop_ratio` are.
        """
        drawn = (self.color_jitter, self.randaugment, self.mixup, self.cutmix, self.progressive_px)
        return (self.crop_scale_min, self.crop_ratio, self.flip) == (1.0, 1.0, "none") and not any(drawn)
