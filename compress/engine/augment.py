"""Augmentation of a whole batch of tensors: one affine sampling, then colours, then mixing.

Legend: N pictures, S side of the squashed training pixels, C = 3, H = W = crop side, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from compress.core.preprocess import Preprocess
from compress.engine import randaugment
from compress.engine.affine import crop_matrices, flip_matrices, random_crops
from compress.engine.options import FitOptions
from compress.engine.photometric import blend_brightness, blend_contrast, blend_saturation


def augment(
    pixels_NSSC: torch.Tensor,
    aspect_N: np.ndarray,
    preprocess: Preprocess,
    options: FitOptions,
    rng: np.random.Generator,
) -> torch.Tensor:
    """Return normalised training pictures, float32 [N, 3, crop, crop] in channels_last.

    Args:
        pixels_NSSC: uint8, each whole photograph squashed to a square, on the device that shall do the work.
        aspect_N: width / height of each original photograph.
        preprocess: gives crop side, mean and standard deviation.
        options: crop_scale_min, crop_ratio, flip, color_jitter, randaugment.
        rng: source of all draws; equal generators give equal pictures.
    """
    n = len(pixels_NSSC)
    matrices = crop_matrices(rng, *random_crops(rng, aspect_N, options.crop_scale_min, options.crop_ratio))
    matrices = matrices @ flip_matrices(rng, n, options.flip)
    chosen, signs = randaugment.draw(rng, n)
    if options.randaugment:
        matrices = matrices @ randaugment.geometry(chosen, signs, options.randaugment)
    images_NCHW = _sample(pixels_NSSC, matrices, preprocess.crop_px)
    if options.randaugment:
        images_NCHW = randaugment.photometry(images_NCHW, chosen, signs, options.randaugment)
    if options.color_jitter:
        images_NCHW = _jitter(images_NCHW, options.color_jitter, rng)
    return _normalise(images_NCHW, preprocess).contiguous(memory_format=torch.channels_last)


def mix(
    images_NCHW: torch.Tensor, targets_NK: torch.Tensor, options: FitOptions, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return pictures and targets after mixup (Zhang et al. 2018, eq. 1) or cutmix (Yun et al. 2019, eq. 1).

    One lambda a batch, partners by a random permutation. With both on, each batch draws one of the two; with both
    off the arguments come back untouched.
    """
    kinds = [kind for kind in ("mixup", "cutmix") if getattr(options, kind) > 0]
    if not kinds:
        return images_NCHW, targets_NK
    kind = kinds[int(rng.integers(len(kinds)))]
    share = float(rng.beta(getattr(options, kind), getattr(options, kind)))
    partner = torch.from_numpy(rng.permutation(len(images_NCHW))).to(images_NCHW.device)
    if kind == "mixup":
        images_NCHW = images_NCHW.lerp(images_NCHW[partner], 1.0 - share)
    else:
        top, bottom, left, right = _box(images_NCHW.shape[2], images_NCHW.shape[3], share, rng)
        images_NCHW[:, :, top:bottom, left:right] = images_NCHW[partner, :, top:bottom, left:right]
        share = 1.0 - (bottom - top) * (right - left) / (images_NCHW.shape[2] * images_NCHW.shape[3])
    return images_NCHW, targets_NK.lerp(targets_NK[partner], 1.0 - share)


def _sample(pixels_NSSC: torch.Tensor, matrices: np.ndarray, side_px: int) -> torch.Tensor:
    """Return float pictures [N, 3, side, side] read at the matrices' places, bilinear."""
    theta_N23 = torch.from_numpy(matrices[:, :2].astype(np.float32)).to(pixels_NSSC.device)
    images_NCSS = pixels_NSSC.permute(0, 3, 1, 2).float()
    grid_NHW2 = _grid(theta_N23, side_px)
    return F.grid_sample(images_NCSS, grid_NHW2, mode="bilinear", padding_mode="border", align_corners=False)


def _grid(theta_N23: torch.Tensor, side_px: int) -> torch.Tensor:
    """Return what F.affine_grid(align_corners=False) does, 40 times faster: a sum of a row and a column term."""
    centres = (torch.arange(side_px, device=theta_N23.device) * 2 + 1) / side_px - 1
    by_column_N2W = theta_N23[:, :, :1] * centres
    by_row_N2H = theta_N23[:, :, 1:2] * centres + theta_N23[:, :, 2:]
    return by_column_N2W.transpose(1, 2)[:, None, :, :] + by_row_N2H.transpose(1, 2)[:, :, None, :]


def _jitter(images_NCHW: torch.Tensor, amount: float, rng: np.random.Generator) -> torch.Tensor:
    for blend in (blend_brightness, blend_contrast, blend_saturation):
        factors = rng.uniform(1.0 - amount, 1.0 + amount, len(images_NCHW))
        images_NCHW = blend(images_NCHW, torch.from_numpy(factors).to(images_NCHW))
    return images_NCHW


def _normalise(images_NCHW: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Subtract mean and divide by std in place; `data.transforms` does the same for uint8 evaluation pixels."""
    mean = torch.tensor(preprocess.mean, device=images_NCHW.device).mul_(255.0).reshape(1, 3, 1, 1)
    scale = torch.tensor(preprocess.std, device=images_NCHW.device).mul_(255.0).reciprocal_().reshape(1, 3, 1, 1)
    return images_NCHW.sub_(mean).mul_(scale)


def _box(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Return top, bottom, left, right of a box of 1 - share of the area around a uniform centre, cut at the edges."""
    half_h, half_w = (int(side * (1.0 - share) ** 0.5) // 2 for side in (height, width))
    y, x = int(rng.integers(height)), int(rng.integers(width))
    return max(0, y - half_h), min(height, y + half_h), max(0, x - half_w), min(width, x + half_w)
