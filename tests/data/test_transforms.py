from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compress.core.preprocess import Preprocess
from compress.core.stage import SilentReporter
from compress.data.dataset import Split
from compress.data.decode import decode
from compress.data.pixel_cache import evaluation_pixels
from compress.data.transforms import (
    draft_px,
    normalize,
    preprocess_files,
    preprocess_image,
    read_pixels,
    read_placed,
    to_pixels,
)

PREPROCESS = [
    Preprocess(resize_px=36, crop_px=32),
    Preprocess(resize_px=32, crop_px=32, interpolation="bicubic", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    Preprocess(resize_px=36, crop_px=32, channel_order="BGR"),
    Preprocess(resize_px=32, crop_px=32, fit="stretch"),
    Preprocess(resize_px=32, crop_px=32, fit="letterbox"),
]


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    sizes = [(300, 200), (64, 64), (31, 77), (5, 9), (400, 33)]
    paths = []
    for index, (width, height) in enumerate(sizes):
        path = tmp_path / f"{index}.{'jpg' if index % 2 == 0 else 'png'}"
        Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)
        paths.append(path)
    return paths


@pytest.mark.parametrize("preprocess", PREPROCESS)
def test_four_ways_are_bit_equal(files: list[Path], preprocess: Preprocess) -> None:
    by_files = preprocess_files(files, preprocess)
    split = Split("test", tuple(files), (0,) * len(files))
    by_cache = normalize(evaluation_pixels(split, preprocess, SilentReporter()), preprocess)
    side = draft_px(preprocess)
    by_image = np.concatenate([preprocess_image(decode(path, draft_px=side), preprocess) for path in files])
    by_bytes = normalize(np.stack([read_pixels(path.read_bytes(), preprocess) for path in files]), preprocess)
    for other in (by_cache, by_image, by_bytes):
        assert other.dtype == np.float32
        assert other.tobytes() == by_files.tobytes()


def test_blue_first_is_red_first_turned(files: list[Path]) -> None:
    red, blue = PREPROCESS[0], PREPROCESS[2]
    split = Split("test", tuple(files), (0,) * len(files))
    for first, turned in (
        (read_pixels(files[0], red), read_pixels(files[0], blue)),
        (evaluation_pixels(split, red, SilentReporter()), evaluation_pixels(split, blue, SilentReporter())),
    ):
        assert np.array_equal(first[..., ::-1], turned)
        assert not np.array_equal(first, turned)


def test_normalize_is_the_formula_contiguous_and_independent_of_the_batch() -> None:
    preprocess = Preprocess(resize_px=16, crop_px=16)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 16, 20, 3), dtype=np.uint8)
    images = normalize(pixels, preprocess)
    expected = (pixels / 255 - np.array(preprocess.mean)) / np.array(preprocess.std)
    assert images.shape == (3, 3, 16, 20)
    assert images.flags.c_contiguous
    assert np.abs(images - expected.transpose(0, 3, 1, 2)).max() < 1e-6
    assert (normalize(pixels[1:2], preprocess) == images[1:2]).all()


def test_same_as_resizing_whole_and_cropping() -> None:
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 256, (120, 180, 3), dtype=np.uint8))
    whole = np.asarray(image.resize((60, 40), Image.Resampling.BILINEAR))
    pixels = to_pixels(image, Preprocess(resize_px=40, crop_px=32))
    assert np.abs(pixels.astype(int) - whole[4:36, 14:46]).max() <= 1


def test_extreme_shapes_cost_no_memory() -> None:
    pixels = to_pixels(Image.new("RGB", (60_000, 1), (9, 8, 7)), Preprocess(resize_px=256, crop_px=224))
    assert pixels.shape == (224, 224, 3)
    assert (pixels == [9, 8, 7]).all()


def test_result_can_be_written_to() -> None:
    assert to_pixels(Image.new("L", (20, 20)), PREPROCESS[0]).flags.writeable


SPOT = (0.4, 0.45, 0.5, 0.6)  # left, top, right, bottom of a white spot, shares of the upright image


def spotted(path: Path, size: tuple[int, int], orientation: int) -> Path:
    """Write an upright black image with a white spot as a camera held otherwise saves it."""
    image = Image.new("RGB", size)
    width, height = size
    spot = tuple(round(share * length) for share, length in zip(SPOT, (width, height, width, height), strict=True))
    image.paste((255, 255, 255), spot)
    stored = {1: image, 6: image.transpose(Image.Transpose.ROTATE_90), 3: image.transpose(Image.Transpose.ROTATE_180)}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored[orientation].save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("size", [(300, 300), (1200, 400), (401, 1203), (3000, 2000)])
@pytest.mark.parametrize("fit", ["crop", "stretch", "letterbox"])
def test_what_the_square_shows_is_found_again_in_the_image(tmp_path: Path, fit, size, orientation) -> None:
    preprocess = Preprocess(resize_px=200, crop_px=200, fit=fit)
    path = spotted(tmp_path / "spot.jpg", size, orientation)
    pixels, place = read_placed(path, preprocess)
    assert np.array_equal(pixels, read_pixels(path, preprocess))
    assert place.size == size
    bright = pixels.min(axis=2) > 200
    columns, rows = np.flatnonzero(bright.any(axis=0)), np.flatnonzero(bright.any(axis=1))
    found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) / 200
    scale, origin = (place.width, place.height) * 2, (place.left, place.top) * 2
    expected = np.array(SPOT) * (size * 2)
    pixel = np.array(scale) / 200  # of the square, in pixels of the image
    assert (np.abs(found * scale + origin - expected) <= 1.5 * pixel + 1).all()


@pytest.mark.parametrize("size", [(1, 1), (2000, 40), (7, 1500)])
@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_a_whole_image_of_any_shape_fits(fit, size) -> None:
    pixels = to_pixels(Image.new("RGB", size, (255, 255, 255)), Preprocess(resize_px=32, crop_px=32, fit=fit))
    white = (pixels == 255).all(axis=2)
    grey = (pixels == 114).all(axis=2)
    assert (white | grey).all()
    assert white.any()
    assert white.all() == (fit == "stretch" or size == (1, 1))
