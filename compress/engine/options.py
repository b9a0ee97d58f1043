"""`FitOptions`: the `fit:` block of every stage that trains. Light: pydantic only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Epochs = Annotated[int, Field(ge=0, le=100_000)]


class FitOptions(BaseModel):
    """How a model is fitted to images."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: Epochs = Field(default=6, description="Passes over the training split, the frozen ones included.")
    batch_size: int = Field(
        default=32,
        ge=2,
        le=4096,
        description="Images in a step, of all processes together; a last batch of one image is dropped (BatchNorm has"
        " no variance of one value).",
    )
    optimizer: Literal["adamw", "sgd"] = Field(
        default="adamw", description="Optimizer: `adamw`, or `sgd` with Nesterov momentum."
    )
    lr: float = Field(default=2e-3, gt=0.0, le=10.0, description="Highest learning rate, at the end of the warm-up.")
    lr_final: float = Field(
        default=0.01, ge=0.0, le=1.0, description="Learning rate of the last step as a fraction of `lr`."
    )
    weight_decay: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description="Weight decay, decoupled for AdamW; never on biases and normalisation.",
    )
    momentum: Share = Field(default=0.9, description="Momentum of SGD.")
    clip_norm: float = Field(default=0.0, ge=0.0, description="Largest norm of the gradient; 0 leaves gradients alone.")
    warmup_epochs: float = Field(
        default=1.0,
        ge=0.0,
        description="Epochs in which the learning rate grows linearly from 0 to `lr`, after the frozen epochs; may be"
        " a fraction; at most half of what is left.",
    )
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine",
        description="Learning rate after the warm-up: a `cosine` down to `lr * lr_final`, or `constant`.",
    )
    label_smoothing: Share = Field(default=0.1, description="Probability mass spread over all classes, 0..1.")
    ema_decay: Share = Field(
        default=0.0,
        description="Decay of the exponential moving average of the weights (the average is then what is validated "
        "and kept); 0 is off. It is warmed up as min(decay, (1 + step) / (10 + step)).",
    )
    patience: Annotated[int, Field(ge=1)] | None = Field(
        default=None,
        description="Epochs without a better validation accuracy before training stops. Default: it never stops early.",
    )
    keep: Literal["best", "last"] = Field(
        default="best",
        description="Weights to keep: of the epoch with the `best` validation accuracy, or of the `last` epoch.",
    )
    freeze_epochs: Epochs = Field(
        default=0,
        description="First epochs in which only the head learns, at `lr`; frozen BatchNorm keeps its statistics.",
    )
    progressive_px: Annotated[int, Field(ge=32, le=2048)] | None = Field(
        default=None,
        description="Side of the training images in the first epoch, in pixels; it grows in steps of 32 to the full "
        "side at 70 % of the epochs (Tan & Le 2021, EfficientNetV2, section 4.2: small images first are "
        "faster). Default: always the full side.",
    )
    crop_scale_min: float = Field(
        default=0.35,
        gt=0.0,
        le=1.0,
        description="Smallest share of the area that a random crop has, 0..1; 1 with `crop_ratio` 1 is a full square.",
    )
    crop_ratio: float = Field(
        default=4 / 3,
        ge=1.0,
        le=4.0,
        description="Random crops have a width/height between 1/crop_ratio and crop_ratio.",
    )
    flip: Literal["none", "horizontal", "both"] = Field(
        default="horizontal",
        description="Mirrored images: `horizontal`, `both` (surfaces: all mirrors and quarter turns) or `none`.",
    )
    color_jitter: Share = Field(
        default=0.0,
        description="Strength j of the colour jitter: brightness, contrast and saturation factors are drawn from 1 - "
        "j .. 1 + j.",
    )
    randaugment: int = Field(default=0, ge=0, le=30, description="Magnitude of RandAugment, 0..30; 0 is off.")
    mixup: float = Field(default=0.0, ge=0.0, le=10.0, description="Alpha of MixUp's Beta distribution; 0 is off.")
    cutmix: float = Field(
        default=0.0,
        ge=0.0,
        le=10.0,
        description="Alpha of CutMix's Beta distribution; 0 is off. With both, each batch draws one of the two.",
    )

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
