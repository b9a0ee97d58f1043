"""Augmentation of a whole batch of tensors: one affine sampling, then colours, then mixing.

Legend: N images, S side of the squashed training pixels, C = 3, H = W = side of the result, K classes.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from compress.core.preprocess import Preprocess
from compress.engine.augmentation import randaugment
from compress.engine.augmentation.photometric import blend_brightness, blend_contrast, blend_saturation
from compress.engine.augmentation.sampling import Draws, Mixing
from compress.engine.options import FitOptions

_BLENDS = (blend_brightness, blend_contrast, blend_saturation)


def augment(
    pixels_NSSC: torch.Tensor, draws: Draws, preprocess: Preprocess, options: FitOptions, side_px: int
) -> torch.Tensor:
    """Return normalised training images, float32 [N, 3, side, side] in channels_last.

    Args:
        pixels_NSSC: uint8 in RGB order, each whole image squashed to a square, on the device that shall do the work.
        draws: of exactly these images.
        preprocess: gives mean, standard deviation and order of the channels.
        options: randaugment, its magnitude.
        side_px: of the images that come out.
    """
    images_NCHW = _sample(pixels_NSSC, draws.matrices_N33, side_px)
    if options.randaugment:
        images_NCHW = randaugment.photometry(images_NCHW, draws.chosen_N2, draws.signs_N2, options.randaugment)
    if draws.jitter_3N is not None:
        for blend, factors_N in zip(_BLENDS, draws.jitter_3N, strict=True):
            images_NCHW = blend(images_NCHW, torch.from_numpy(factors_N).to(images_NCHW))
    return _normalise(images_NCHW, preprocess).contiguous(memory_format=torch.channels_last)


def mix(
    images_NCHW: torch.Tensor, targets_NK: torch.Tensor, own: np.ndarray, partner: np.ndarray, mixing: Mixing
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and targets after mixup or cutmix.

    Args:
        images_NCHW: augmented images.
        targets_NK: their class probabilities.
        own: which of them to return.
        partner: for each of these, which of them it is mixed with.
        mixing: kind, share and box.
    """
    mine, other = (torch.from_numpy(rows).to(images_NCHW.device) for rows in (own, partner))
    mixed_NCHW = images_NCHW[mine]
    if mixing.kind == "mixup":
        mixed_NCHW = mixed_NCHW.lerp(images_NCHW[other], 1.0 - mixing.share)
    else:
        top, bottom, left, right = mixing.box
        mixed_NCHW[:, :, top:bottom, left:right] = images_NCHW[other, :, top:bottom, left:right]
    mixed_NCHW = mixed_NCHW.contiguous(memory_format=torch.channels_last)
    return mixed_NCHW, targets_NK[mine].lerp(targets_NK[other], 1.0 - mixing.share)


def _sample(pixels_NSSC: torch.Tensor, matrices: np.ndarray, side_px: int) -> torch.Tensor:
    """Return float images [N, 3, side, side] read at the matrices' places, bilinear."""
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


def _normalise(images_NCHW: torch.Tensor, preprocess: Preprocess) -> torch.Tensor:
    """Order channels, subtract mean, divide by std; `data.transforms` does the same for uint8 evaluation pixels."""
    if preprocess.channel_order == "BGR":
        images_NCHW = images_NCHW.flip(1)
    mean = torch.tensor(preprocess.mean, device=images_NCHW.device).mul_(255.0).reshape(1, 3, 1, 1)
    scale = torch.tensor(preprocess.std, device=images_NCHW.device).mul_(255.0).reciprocal_().reshape(1, 3, 1, 1)
    return images_NCHW.sub_(mean).mul_(scale)
