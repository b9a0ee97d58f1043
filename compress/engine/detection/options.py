"""`DetectOptions`: the `detect:` block of a stage that trains a detector. Light: pydantic only."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from compress.engine.options import FitOptions
from compress.errors import UsageError

Chance = Annotated[float, Field(ge=0.0, le=1.0)]


_OF_CLASSIFIERS = (
    *("progressive_px", "crop_scale_min", "crop_ratio", "flip", "color_jitter", "randaugment", "mixup", "cutmix"),
    "label_smoothing",
)


class DetectOptions(BaseModel):
    """How a detector learns, beside what `fit:` says: its augmentation, and what its loss weighs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    iou_crop: Chance = Field(
        default=0.8,
        description="Share of the images that are cut so that a box stays with some least overlap (Liu et al. 2016, "
        "SSD, section 2.2), 0..1.",
    )
    zoom_out: Chance = Field(
        default=0.3, description="Share of the images that are laid on a larger grey canvas, 0..1: boxes get smaller."
    )
    zoom_out_most: float = Field(
        default=2.0, ge=1.0, le=4.0, description="Largest side of that canvas, in sides of the image."
    )
    photometric: Chance = Field(
        default=0.5, description="Chance of each change of brightness, contrast, saturation and hue, 0..1."
    )
    flip: Literal["none", "horizontal"] = Field(
        default="none", description="Mirrored images, only where left and right mean the same: `horizontal` or `none`."
    )
    loss: Literal["multibox", "focal"] = Field(
        default="multibox",
        description="What the scores learn by: cross entropy on the hardest background (`multibox`), or a `focal` loss "
        "over all of it.",
    )
    hard_negatives: float = Field(
        default=3.0, gt=0.0, le=100.0, description="Anchors of background that learn, for each that finds a box."
    )
    focal_gamma: float = Field(default=2.0, ge=0.0, le=10.0, description="Exponent of the focal loss.")
    focal_alpha: float = Field(default=0.25, gt=0.0, lt=1.0, description="Weight of the focal loss's boxes, 0..1.")


def refuse_fit_of_classifiers(fit: FitOptions, block: str, arch: str) -> None:
    """Raise UsageError where a block of fit options of a detector has one that only classifiers know."""
    fields = type(fit).model_fields
    for name in _OF_CLASSIFIERS:  # by value: a resolved recipe names the defaults too
        if getattr(fit, name) != fields[name].default:
            raise UsageError(
                f"{block}.{name}: is for classifiers, and {arch} finds boxes",
                hint="leave it out; `detect:` has the augmentation and the loss of detectors",
            )
