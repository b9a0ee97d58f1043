"""The ONE preprocessing: evaluation, calibration, benchmark and server all come through here, bit for bit.

Shape suffixes: N images, H and W pixels, C = 3 channels in the order that the preprocessing
names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.data.decode import MAX_PIXELS, decode, decode_sized

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_BARS = (114, 114, 114)  # grey of a letterbox, as YOLO's
_DRAFT = 2  # a JPEG is decoded at a reduced scale that keeps at least twice the pixels the resize needs


class Placement(NamedTuple):
    """Where the network's square lies in an upright image.

    Attributes:
        size: width and height of the image, in pixels.
        left: of the square, in pixels of the image, as all that follow; negative where it reaches beyond.
        top: of the square.
        width: of the square.
        height: of the square.
    """

    size: tuple[int, int]
    left: float
    top: float
    width: float
    height: float


def draft_px(preprocess: Preprocess) -> int:
    """Return the side that every decoding for this preprocessing must keep (the `draft_px` of `decode`)."""
    return _DRAFT * preprocess.resize_px


def to_pixels(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the square of an image that the network sees, u8 [crop_px, crop_px, 3].

    A crop is the same as resizing the short side to `resize_px` and cutting `crop_px` from the centre, but only the
    square that is kept is ever computed, so an image of 10000 x 1 costs no more than another.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    square = _letterboxed(rgb, preprocess) if preprocess.fit == "letterbox" else _resized(rgb, preprocess)
    pixels_HWC = np.array(square, dtype=np.uint8)
    return pixels_HWC if preprocess.channel_order == "RGB" else np.ascontiguousarray(pixels_HWC[..., ::-1])


def _resized(rgb: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Return the part of an image that `shown_part` names, at model size."""
    left, top, width, height = shown_part(rgb.size, preprocess)
    box, size = (left, top, left + width, top + height), (preprocess.crop_px, preprocess.crop_px)
    return rgb.resize(size, _FILTERS[preprocess.interpolation], box=box)


def _letterboxed(rgb: Image.Image, preprocess: Preprocess) -> Image.Image:
    """Return the whole image in the middle of a grey square."""
    size = _inner_size(rgb.size, preprocess.crop_px)
    square = Image.new("RGB", (preprocess.crop_px, preprocess.crop_px), _BARS)
    left, top = ((preprocess.crop_px - length) // 2 for length in size)
    square.paste(rgb.resize(size, _FILTERS[preprocess.interpolation]), (left, top))
    return square


def _inner_size(size: tuple[int, int], side_px: int) -> tuple[int, int]:
    """Return width and height of an image whose long side is made `side_px`."""
    width, height = (max(1, round(length * side_px / max(size))) for length in size)
    return width, height


def shown_part(size: tuple[int, int], preprocess: Preprocess) -> tuple[float, float, float, float]:
    """Return what the network's square shows of an image: left, top, width, height in the image's pixels.

    With a letterbox the square reaches beyond the image.

    Args:
        size: width and height of the image, in pixels.
        preprocess: gives the sides, and how the image is fitted.
    """
    width, height = size
    if preprocess.fit == "stretch":
        return 0.0, 0.0, float(width), float(height)
    if preprocess.fit == "crop":
        side = min(size) * preprocess.crop_px / preprocess.resize_px
        return (width - side) / 2, (height - side) / 2, side, side
    inner = _inner_size(size, preprocess.crop_px)
    left, top = (-((preprocess.crop_px - made) // 2) * length / made for length, made in zip(size, inner, strict=True))
    across, down = (preprocess.crop_px * length / made for length, made in zip(size, inner, strict=True))
    return left, top, across, down


def placement(size: tuple[int, int], preprocess: Preprocess) -> Placement:
    """Return where the network's square lies in an upright image of this width and height, in pixels."""
    return Placement(size, *shown_part(size, preprocess))


def read_pixels(
    source: Path | bytes,
    preprocess: Preprocess,
    *,
    max_pixels: int = MAX_PIXELS,
    afford: Callable[[int], None] | None = None,
) -> NDArray[np.uint8]:
    """Return `to_pixels` of a file or a file's bytes: the one way from a stored image to pixels.

    Args:
        source: a file, or its bytes.
        preprocess: gives the sizes.
        max_pixels: as `decode` takes it.
        afford: as `decode` takes it; the bytes that it is told are in use until this returns.

    Raises:
        BadImageError: the file is no usable image.
    """
    image = decode(source, draft_px=draft_px(preprocess), max_pixels=max_pixels, afford=afford)
    return to_pixels(image, preprocess)


def read_placed(
    source: Path | bytes,
    preprocess: Preprocess,
    *,
    max_pixels: int = MAX_PIXELS,
    afford: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.uint8], Placement]:
    """Return `read_pixels` and where they lie in the image.

    Raises:
        BadImageError: the file is no usable image.
    """
    image, size = decode_sized(source, draft_px=draft_px(preprocess), max_pixels=max_pixels, afford=afford)
    return to_pixels(image, preprocess), placement(size, preprocess)


@lru_cache(maxsize=16)
def pixel_table(mean: tuple[float, float, float], std: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return (v/255 - mean)/std for v in 0..255 and each channel, f32 [3,256], rounded once from f64."""
    values = np.arange(256, dtype=np.float64) / 255
    table: NDArray[np.float32] = ((values - np.array(mean)[:, None]) / np.array(std)[:, None]).astype(np.float32)
    return table


def normalize(pixels_NHWC: NDArray[np.uint8], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return (pixels/255 - mean)/std as contiguous f32 [N,3,H,W].

    A look-up in a table of 256 values, so that the result cannot depend on the batch or on the processor.
    """
    table = pixel_table(preprocess.mean, preprocess.std)
    n, height, width, _ = pixels_NHWC.shape
    images_NCHW = np.empty((n, 3, height, width), dtype=np.float32)
    for channel in range(3):
        np.take(table[channel], pixels_NHWC[..., channel], out=images_NCHW[:, channel], mode="clip")
    return images_NCHW


def preprocess_image(image: Image.Image, preprocess: Preprocess) -> NDArray[np.float32]:
    """Return one decoded image as a batch of one, f32 [1,3,H,W]."""
    return normalize(to_pixels(image, preprocess)[None], preprocess)


def preprocess_files(paths: Sequence[Path], preprocess: Preprocess) -> NDArray[np.float32]:
    """Return files as one batch, f32 [N,3,H,W].

    Raises:
        BadImageError: a file is no usable image.
    """
    side = preprocess.crop_px
    pixels_NHWC = np.empty((len(paths), side, side, 3), dtype=np.uint8)
    for index, path in enumerate(paths):
        pixels_NHWC[index] = read_pixels(path, preprocess)
    return normalize(pixels_NHWC, preprocess)
