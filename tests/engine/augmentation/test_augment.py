from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.engine.augmentation.augment import augment, mix
from compress.engine.augmentation.sampling import draw
from compress.engine.options import FitOptions

PREPROCESS = Preprocess(resize_px=32, crop_px=32)
PLAIN = FitOptions(crop_scale_min=1.0, crop_ratio=1.0, flip="none")
FULL = FitOptions(crop_scale_min=0.3, flip="both", color_jitter=0.4, randaugment=15)


def _pixels(n: int = 6, side: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (n, side, side, 3), dtype=np.uint8))


def _augment(pixels: torch.Tensor, options: FitOptions, seed: int = 0) -> torch.Tensor:
    return _drawn(pixels, np.ones(len(pixels)), options, seed)


def _drawn(pixels: torch.Tensor, aspect: np.ndarray, options: FitOptions, seed: int = 0) -> torch.Tensor:
    draws, _ = draw(np.random.default_rng(seed), aspect, options, PREPROCESS.crop_px)
    return augment(pixels, draws, PREPROCESS, options, PREPROCESS.crop_px)


def test_without_augmentation_the_images_are_only_normalised():
    pixels = _pixels()
    mean, std = (torch.tensor(value).reshape(1, 3, 1, 1) for value in (PREPROCESS.mean, PREPROCESS.std))
    expected = (pixels.permute(0, 3, 1, 2) / 255.0 - mean) / std
    torch.testing.assert_close(_augment(pixels, PLAIN), expected, atol=1e-4, rtol=1e-4)


def test_a_model_of_blue_first_is_trained_blue_first():
    pixels = _pixels()
    draws, _ = draw(np.random.default_rng(0), np.ones(len(pixels)), PLAIN, PREPROCESS.crop_px)
    blue = PREPROCESS.model_copy(update={"channel_order": "BGR"})
    expected = torch.from_numpy(normalize(pixels.numpy()[..., ::-1], blue))
    torch.testing.assert_close(augment(pixels, draws, blue, PLAIN, PREPROCESS.crop_px), expected, atol=1e-4, rtol=1e-4)


def test_comes_out_channels_last_and_finite_with_everything_on():
    images = _augment(_pixels(32), FULL)
    assert images.shape == (32, 3, 32, 32)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert images.isfinite().all()


def test_equal_generators_give_equal_images_and_global_state_is_untouched():
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, again, other = _augment(_pixels(), FULL), _augment(_pixels(), FULL), _augment(_pixels(), FULL, seed=1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), torch_before)
    assert (np.random.get_state()[1] == numpy_before).all()


def test_the_crop_of_a_wide_image_keeps_its_shape():
    """A disc in a 2:1 image is an ellipse in the squashed square and must be a disc again in the crop."""
    y, x = np.mgrid[0:64, 0:64]
    disc = ((x - 31.5) * 2) ** 2 + (y - 31.5) ** 2 < 20**2  # the width was halved
    pixels = torch.from_numpy(np.repeat((disc * 255).astype(np.uint8)[None, :, :, None], 3, axis=3))
    images = _drawn(pixels.repeat(64, 1, 1, 1), np.full(64, 2.0), PLAIN)
    masks = (images > 0.5)[:, 0]
    whole = [mask for mask in masks if not (mask[:, 0].any() or mask[:, -1].any())]
    assert len(whole) > 10
    for mask in whole:
        assert abs(int(mask.any(0).sum()) - int(mask.any(1).sum())) <= 1


def test_horizontal_flips_mirror_half_of_the_images():
    pixels = _pixels(1).repeat(64, 1, 1, 1)
    images = _augment(pixels, FitOptions(crop_scale_min=1.0, crop_ratio=1.0, flip="horizontal"))
    plain = _augment(pixels[:1], PLAIN)[0]
    same = [torch.allclose(image, plain, atol=1e-3) for image in images]
    mirrored = [torch.allclose(image, plain.flip(2), atol=1e-3) for image in images]
    assert all(a != b for a, b in zip(same, mirrored, strict=True))
    assert 20 < sum(mirrored) < 44


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_targets_are_mixed_by_the_share_of_pixels(kind):
    """Image i is constant i and of class i, so the mean colour tells which share of which class it holds."""
    n = 8
    options = FitOptions.model_validate({kind: 1.0})
    for seed in range(10):
        images = torch.arange(n, dtype=torch.float32).reshape(n, 1, 1, 1).expand(n, 3, 16, 16).clone()
        _, mixing = draw(np.random.default_rng(seed), np.ones(n), options, 16)
        mixed, targets = mix(images, torch.eye(n), np.arange(n), mixing.partner_N, mixing)
        torch.testing.assert_close(targets.sum(1), torch.ones(n))
        torch.testing.assert_close(mixed.mean(dim=(1, 2, 3)), targets @ torch.arange(n, dtype=torch.float32))


def test_an_image_comes_out_the_same_whoever_else_is_augmented_with_it():
    pixels, rows = _pixels(8), np.array([1, 4, 6])
    draws, _ = draw(np.random.default_rng(3), np.ones(8), FULL, 32)
    whole = augment(pixels, draws, PREPROCESS, FULL, 32)
    some = augment(pixels[rows], draws.of(rows), PREPROCESS, FULL, 32)
    assert torch.equal(whole[rows], some)
