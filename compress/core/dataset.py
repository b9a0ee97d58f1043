"""`DataConfig`: the recipe's `data:` block, where the images are and how strict to be about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


class SplitFractions(BaseModel):
    """Share of the images kept for validation and test where the data has no such folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    val: Fraction = 0.15
    test: Fraction = 0.15


class _DataBase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    on_bad_image: Literal["error", "skip"] = "error"
    on_leak: Literal["error", "drop"] = "error"  # same file in two splits: refuse, or drop it from the training side
    split: SplitFractions = SplitFractions()


class FolderData(_DataBase):
    """One folder per class, below train/ val/ test/ or directly below `path`."""

    kind: Literal["folder"] = "folder"
    path: Path


class CsvData(_DataBase):
    """A manifest with the columns path,label and optionally split; paths are relative to the manifest."""

    kind: Literal["csv"]
    path: Path


class TorchvisionData(_DataBase):
    """A set that torchvision knows how to download."""

    kind: Literal["torchvision"]
    name: Literal["cifar10", "fashion_mnist", "flowers102", "oxford_iiit_pet", "imagenette"]
    download: bool = False
    root: Path | None = None  # where it lies or is to be put; default the cache folder


class DefectsData(_DataBase):
    """The bundled generator of surface-inspection images; needs no network."""

    kind: Literal["defects"]
    size_px: Annotated[int, Field(ge=64, le=256)] = 96
    train: Annotated[int, Field(ge=7, le=100_000)] = 2800  # images in the split, over all classes
    val: Annotated[int, Field(ge=7, le=100_000)] = 350
    test: Annotated[int, Field(ge=7, le=100_000)] = 700
    seed: int = 0


DataConfig = Annotated[FolderData | CsvData | TorchvisionData | DefectsData, Field(discriminator="kind")]
