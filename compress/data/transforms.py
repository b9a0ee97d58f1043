"""The ONE preprocessing: evaluation, calibration, benchmark and server all come through here, bit for bit.

Shape suffixes: N images, H and W pixels, C = 3 channels in the order that the preprocessing
names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.data.decode import MAX_PIXELS, decode

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
_DRAFT = 2  # a JPEG is decoded at a reduced scale that keeps at least twice the pixels the resize needs


def draft_px(preprocess: Preprocess) -> int:
    """Return the side that every decoding for this preprocessing must keep (the `draft_px` of `decode`)."""
    return _DRAFT * preprocess.resize_px


def to_pixels(image: Image.Image, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return the centre square of an image at model size, u8 [crop_px, crop_px, 3].

    Same as resizing the short side to `resize_px` and cutting `crop_px` from the centre, but only the square that is
    kept is ever computed, so an image of 10000 x 1 costs no more than another.
    """
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    side = min(rgb.size) * preprocess.crop_px / preprocess.resize_px
    left, top = (rgb.width - side) / 2, (rgb.height - side) / 2
    box = (left, top, left + side, top + side)
    square = rgb.resize((preprocess.crop_px, preprocess.crop_px), _FILTERS[preprocess.interpolation], box=box)
    pixels_HWC = np.array(square, dtype=np.uint8)
    return pixels_HWC if preprocess.channel_order == "RGB" else np.ascontiguousarray(pixels_HWC[..., ::-1])


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
