"""Options of the train stage."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from compress.core.formats import Format
from compress.core.preprocess import Interpolation
from compress.core.stage import StageConfig, Training
from compress.engine.options import FitOptions
from compress.models.arch_names import known_arch, known_weights, weight_files

Unit = Annotated[float, Field(ge=0.0, le=1.0)]
Channels = tuple[Unit, Unit, Unit]
Side = Annotated[int, Field(ge=16, le=2048)]


class TrainConfig(StageConfig):
    """Train a classifier; its classes are those of the images.

    Attributes:
        arch: one of `compress.models.arch_names.ARCH_NAMES`.
        weights: `imagenet` (downloaded), `none` (from scratch), or a .safetensors or .pth file.
        input_px: side of the square input; default the architecture's own.
        resize_px: short side before the centre crop in evaluation; default from the architecture.
        interpolation: filter of the resize; default the architecture's.
        mean: per channel of values in 0..1; default the architecture's.
        std: per channel of values in 0..1; default the architecture's.
        fit: the training loop.
    """

    consumes: ClassVar[frozenset[Format]] = frozenset()
    entry_point: ClassVar[str] = "compress.train.stage:run"
    version: ClassVar[int] = 1
    backends: ClassVar[tuple[str, ...]] = ("torch", "torchvision", "timm")

    kind: Literal["train"] = "train"
    arch: str = "mobilenet_v3_small"
    weights: str = "imagenet"
    input_px: Side | None = None
    resize_px: Side | None = None
    interpolation: Interpolation | None = None
    mean: Channels | None = None
    std: Channels | None = None
    fit: FitOptions = FitOptions()

    @field_validator("arch")
    @classmethod
    def _arch_exists(cls, value: str) -> str:
        return known_arch(value)

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
        return Training(self.fit.epochs, weights=self.weights, fit=self.fit.model_dump())

    def files(self) -> dict[str, Path]:
        """Return the weights file, where a file is given."""
        return weight_files(self.weights)
