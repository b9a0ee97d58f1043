"""`DataConfig`: the recipe's `data:` block, where the images are and how strict to be about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

_MANIFEST_SUFFIXES = (".csv", ".tsv")

Task = Literal["classify", "detect"]
Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]


def is_manifest(path: Path) -> bool:
    """Return whether a path names a table of images rather than a folder of them."""
    return path.suffix.lower() in _MANIFEST_SUFFIXES


class SplitFractions(BaseModel):
    """Share of the images kept for validation and test where the data has no such folders."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    val: Fraction = Field(default=0.15, description="Share of the images kept for validation, 0..1.")
    test: Fraction = Field(default=0.15, description="Share of the images kept for the test, 0..1.")


class _DataBase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    on_bad_image: Literal["error", "skip"] = Field(
        default="error", description="What a damaged image is: an `error` that lists the files, or left out (`skip`)."
    )
    on_leak: Literal["error", "drop"] = Field(
        default="error",
        description=(
            "What the same file in two splits is: an `error`, or dropped from the training side (`drop`). Images that "
            "are nearly the same are warned of, and dropped likewise."
        ),
    )
    split: SplitFractions = Field(
        default=SplitFractions(), description="Shares for validation and test where the data has no such folders."
    )


class FolderData(_DataBase):
    """One folder per class, below train/ val/ test/ or directly below `path`."""

    kind: Literal["folder"] = Field(
        default="folder", description="Where the images are: `folder`, one folder for each class."
    )
    path: Path = Field(
        description="The folder of images: class folders, directly or below train/ val/ test/. Relative to the recipe."
    )


class CsvData(_DataBase):
    """A manifest with the columns path,label and optionally split; paths are relative to the manifest."""

    kind: Literal["csv"] = Field(description="Where the images are: `csv`, a manifest.")
    path: Path = Field(
        description="The manifest, with the columns path, label and optionally split. Relative to the recipe."
    )


class BoxesData(_DataBase):
    """Images with labelled boxes, as annotation tools write them."""

    kind: Literal["coco", "voc", "yolo"] = Field(
        description="Where the images are, labelled with boxes: `coco` (images/ and train.json, val.json, test.json), "
        "`voc` (an XML file for each image) or `yolo` (data.yaml and text files)."
    )
    path: Path = Field(description="The folder that holds them. Relative to the recipe.")


class TorchvisionData(_DataBase):
    """A set that torchvision knows how to download."""

    kind: Literal["torchvision"] = Field(description="Where the images are: `torchvision`, a set that it downloads.")
    name: Literal["cifar10", "fashion_mnist", "flowers102", "oxford_iiit_pet", "imagenette"] = Field(
        description="Name of the set."
    )
    download: bool = Field(default=False, description="Whether it may be downloaded where it is absent.")
    root: Path | None = Field(
        default=None, description="Folder where it lies or is to be put; default the cache folder."
    )


class DefectsData(_DataBase):
    """The bundled generator of surface-inspection images; needs no network."""

    kind: Literal["defects"] = Field(description="Where the images are: `defects`, the bundled generator.")
    task: Task = Field(
        default="classify", description="What the images are for: `classify` (one flaw or none) or `detect` (boxes)."
    )
    size_px: int = Field(default=96, ge=64, le=256, description="Side of the square images, in pixels.")
    train: int = Field(default=2800, ge=7, le=100_000, description="Images in the training split, over all classes.")
    val: int = Field(default=350, ge=7, le=100_000, description="Images in the validation split, over all classes.")
    test: int = Field(default=700, ge=7, le=100_000, description="Images in the test split, over all classes.")
    seed: int = Field(default=0, description="Same seed, same images.")


def task_of(data: FolderData | CsvData | BoxesData | TorchvisionData | DefectsData) -> Task:
    """Return what a network learns from such data: to name images, or to find boxes in them."""
    if isinstance(data, DefectsData):
        return data.task
    return "detect" if isinstance(data, BoxesData) else "classify"


DataConfig = Annotated[FolderData | CsvData | BoxesData | TorchvisionData | DefectsData, Field(discriminator="kind")]
