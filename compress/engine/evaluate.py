"""Logits and top-1 of a torch model on the evaluation pixels. N images, H x W pixels, K classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.distributed import collectives
from compress.models.build import evaluating

EVAL_BATCH = 64


def torch_logits(
    model: nn.Module, pixels_NHWC: np.ndarray, preprocess: Preprocess, batch: int = EVAL_BATCH
) -> np.ndarray:
    """Return float32 logits [N, K] of the model in eval mode; its training flags are restored afterwards.

    Args:
        model: runs on the device of its parameters.
        pixels_NHWC: uint8 images after `to_pixels`, in the geometry of `preprocess`.
        preprocess: gives mean and standard deviation.
        batch: images a forward pass.
    """
    device = next(model.parameters()).device
    parts = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(pixels_NHWC), batch):
            images_NCHW = torch.from_numpy(normalize(pixels_NHWC[start : start + batch], preprocess)).to(device)
            logits_NK = model(images_NCHW.contiguous(memory_format=torch.channels_last))
            parts.append(logits_NK.float().cpu().numpy())
    return np.concatenate(parts)


def shared_top1_pct(
    model: nn.Module, pixels_NHWC: np.ndarray, labels_N: np.ndarray, preprocess: Preprocess
) -> float | None:
    """Return the top-1 in percent of all images, each judged by one process; None where a logit is not finite.

    Counts are added up as integers, so the result does not depend on how many processes there are.
    """
    own = slice(collectives.rank(), None, collectives.world_size())
    right = bad = 0
    if len(labels_N[own]):
        logits_NK = torch_logits(model, pixels_NHWC[own], preprocess)
        right = int((logits_NK.argmax(axis=1) == labels_N[own]).sum())
        bad = int((~np.isfinite(logits_NK)).sum())
    right, bad = collectives.add_up([right, bad])
    return None if bad else 100.0 * (right / len(labels_N))


def top1_pct(logits_NK: np.ndarray, labels_N: Sequence[int] | np.ndarray) -> float:
    """Return the share of images whose largest logit is the label, in percent 0..100."""
    return float(100.0 * np.mean(logits_NK.argmax(axis=1) == np.asarray(labels_N)))
