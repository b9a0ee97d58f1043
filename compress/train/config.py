"""Options of the train stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from compress.core.formats import Format
from compress.core.preprocess import Interpolation
from compress.core.stage import StageConfig, Training
from compress.engine.detection.options import DetectOptions
from compress.engine.options import FitOptions
from compress.models.arch_names import known_trainable, known_weights, weight_files

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Channels = tuple[Unit, Unit, Unit]
Side = Annotated[int, Field(ge=16, le=2048)]


class TrainOptions(FitOptions):
    """A fit whose learning rate is found where it is not given: `compress.engine.rate` says how."""

    lr: float | None = Field(  # type: ignore[assignment]  # the stage puts a number there before the fit sees it
        default=None,
        gt=0.0,
        le=10.0,
        description="Highest learning rate, at the end of the warm-up. Default: 2e-3 from scratch; from weights 1e-3 "
        "for up to 100 steps, falling with their square root to 5e-4 at 400, half of that without batch norm; a "
        "detector's 4e-3.",
    )


class TrainConfig(StageConfig):
    """Train a classifier, or a detector where the images have boxes; its classes are those of the images."""

    consumes: ClassVar[frozenset[Format]] = frozenset()
    entry_point: ClassVar[str] = "compress.train.stage:run"
    version: ClassVar[int] = 2
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm")
    knobs: ClassVar[tuple[str, ...]] = ("arch", "weights", "fit.epochs", "input_px", "fit.lr")

    kind: Literal["train"] = Field(default="train", description="Kind of the stage: `train`.")
    arch: str = Field(
        default="mobilenet_v3_small",
        description="Name of an architecture, such as mobilenet_v3_small; with boxes a detector's, such as "
        "ssdlite_mobilenet_v3_small.",
    )
    weights: str = Field(
        default="imagenet",
        description="Weights to start from: `imagenet` (downloaded), `none` (from scratch), or a .safetensors or .pth"
        " file.",
    )
    input_px: Side | None = Field(
        default=None, description="Side of the square that the network sees, in pixels; default the architecture's own."
    )
    resize_px: Side | None = Field(
        default=None,
        description="Short side before the centre crop in evaluation, in pixels; default the architecture's.",
    )
    interpolation: Interpolation | None = Field(
        default=None, description="Filter of the resize; default the architecture's."
    )
    mean: Channels | None = Field(
        default=None, description="Mean of each channel, of values in 0..1; default the architecture's."
    )
    std: Channels | None = Field(
        default=None, description="Standard deviation of each channel, of values in 0..1; default the architecture's."
    )
    fit: TrainOptions = Field(default=TrainOptions(), description="Options of the training loop.")
    anchors: Literal["default", "fit"] = Field(
        default="default",
        description="Anchors of a detector: SSDLite's own (`default`), or of the sizes that the training boxes have "
        "(`fit`).",
    )
    detect: DetectOptions = Field(
        default=DetectOptions(), description="What a detector has beside: its augmentation and its loss."
    )

    @field_validator("arch")
    @classmethod
    def _arch_exists(cls, value: str) -> str:
        return known_trainable(value)

    @field_validator("weights")
    @classmethod
    def _weights_are_known(cls, value: str) -> str:
        return known_weights(value)

    @property
    def produces(self) -> Format:
        """Return TORCH."""
        return Format.TORCH

    @property
    def training(self) -> Training:
        """Return the epochs, the options and the weights that the network starts from."""
        return Training(self.fit.epochs, weights=self.weights, fit=self.fit.model_dump(exclude_none=True))

    def files(self) -> dict[str, Path]:
        """Return the weights file, where a file is given."""
        return weight_files(self.weights)
