"""`Preprocess`: how an image becomes the tensor a model was trained on, as data.

It travels inside every artifact. The arithmetic is in `compress.data.transforms`, once.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation = Literal["bilinear", "bicubic"]


class Preprocess(BaseModel):
    """Resize the short side, crop the centre, scale to 0..1, subtract the mean, divide by the standard deviation.

    The colour channels are red, green, blue in this order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize_px: int = Field(description="Length of the short side after resizing, in pixels.")
    crop_px: int = Field(description="Side of the square centre crop, in pixels; at most `resize_px`.")
    interpolation: Interpolation = Field(
        default="bilinear", description="Filter of the resize (Pillow's), always antialiased where it shrinks."
    )
    mean: tuple[float, float, float] = Field(
        default=IMAGENET_MEAN, description="Mean that is subtracted, for each channel, of values in 0..1."
    )
    std: tuple[float, float, float] = Field(
        default=IMAGENET_STD, description="Standard deviation to divide by, for each channel, of values in 0..1."
    )

    @model_validator(mode="before")
    @classmethod
    def _without_channel_order(cls, given: object) -> object:
        """Read older files too, which name the one order there is."""
        if not isinstance(given, dict):
            return given
        kept = {name: value for name, value in given.items() if (name, value) != ("channel_order", "RGB")}
        # strict JSON takes a list for a tuple, but not once a validator such as this one has had it in its hands
        return {name: tuple(value) if isinstance(value, list) else value for name, value in kept.items()}

    @model_validator(mode="after")
    def _check(self) -> Preprocess:
        if not 16 <= self.crop_px <= self.resize_px <= 2048:
            raise ValueError(f"need 16 <= crop_px <= resize_px <= 2048, found {self.crop_px} and {self.resize_px}")
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {self.std}")
        return self
