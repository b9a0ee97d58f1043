"""`Preprocess`: how an image becomes the tensor a model was trained on, as data.

It travels inside every artifact. The arithmetic is in `compress.data.transforms`, once.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation = Literal["bilinear", "bicubic"]
ChannelOrder = Literal["RGB", "BGR"]
Fit = Literal["crop", "stretch", "letterbox"]


class Preset(NamedTuple):
    """How a family of models has its images prepared: the crop is `crop_share` of the resized short side."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crop_share: float
    channel_order: ChannelOrder = "RGB"


_HALVES = (0.5, 0.5, 0.5)
PRESETS = {
    "imagenet": Preset(IMAGENET_MEAN, IMAGENET_STD, 0.875),  # torchvision, most of timm
    "tf": Preset(_HALVES, _HALVES, 0.875),  # -1..1: Keras's MobileNets
    "unit": Preset((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 1.0),  # 0..1
    # 0..255 less the mean of ImageNet: Keras's and Caffe's ResNets and VGGs
    "caffe": Preset((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255, 1 / 255, 1 / 255), 0.875, "BGR"),
    "raw": Preset((0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255), 1.0),  # 0..255: the network scales them itself
}


class Preprocess(BaseModel):
    """Fit the image into a square, scale to 0..1, subtract the mean, divide by the standard deviation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resize_px: int = Field(
        description="Length of the short side after resizing, in pixels; without a crop the same as `crop_px`."
    )
    crop_px: int = Field(description="Side of the square that the network sees, in pixels; at most `resize_px`.")
    fit: Fit = Field(
        default="crop",
        description="How an image becomes a square: the short side is resized and the centre kept (`crop`), the whole "
        "image is resized to it (`stretch`), or resized as it is with grey bars (`letterbox`).",
    )
    interpolation: Interpolation = Field(
        default="bilinear", description="Filter of the resize (Pillow's), always antialiased where it shrinks."
    )
    mean: tuple[float, float, float] = Field(
        default=IMAGENET_MEAN,
        description="Mean that is subtracted, of values in 0..1, for each channel in `channel_order`.",
    )
    std: tuple[float, float, float] = Field(
        default=IMAGENET_STD,
        description="Standard deviation to divide by, of values in 0..1, for each channel in `channel_order`.",
    )
    channel_order: ChannelOrder = Field(
        default="RGB", description="Order of the colour channels in the tensor: red or blue first."
    )

    @model_validator(mode="after")
    def _check(self) -> Preprocess:
        if not 16 <= self.crop_px <= self.resize_px <= 2048:
            raise ValueError(f"need 16 <= crop_px <= resize_px <= 2048, found {self.crop_px} and {self.resize_px}")
        if self.fit != "crop" and self.resize_px != self.crop_px:
            raise ValueError(
                f"with fit '{self.fit}' resize_px and crop_px are the same, found {self.resize_px} and {self.crop_px}"
            )
        if min(self.std) <= 0:
            raise ValueError(f"std must be positive, found {self.std}")
        return self


def preset(text: str, px: int | None = None) -> Preprocess | None:
    """Return the preprocessing that a preset's name stands for, None where the text is no name.

    Args:
        text: "imagenet", "tf", "unit", "caffe" or "raw", with or without a side as in "tf:224".
        px: side of the model's input, for a name without one.

    Raises:
        ValueError: no such preset, no side is known, or it is no number.
    """
    name, colon, side = text.partition(":")
    if name not in PRESETS:
        if name.isalpha():
            raise ValueError(f"no preset is called so; there are {', '.join(PRESETS)}")
        return None
    if colon and not (side.isascii() and side.isdigit()):
        raise ValueError(f"the side of {name} is a number of pixels, found {side[:20]!r}")
    crop_px = int(side) if colon else px
    if crop_px is None:
        raise ValueError(f"say the side of the model's input: {name}:224")
    mean, std, crop_share, channel_order = PRESETS[name]
    resize_px = round(crop_px / crop_share)
    return Preprocess(resize_px=resize_px, crop_px=crop_px, mean=mean, std=std, channel_order=channel_order)
