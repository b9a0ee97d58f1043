"""Logits and top-1 of a torch model on the evaluation pixels. N pictures, H x W pixels, K classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from compress.core.preprocess import Preprocess
from compress.data.transforms import normalize
from compress.models.build import evaluating

EVAL_BATCH = 64


def torch_logits(
    model: nn.Module, pixels_NHWC: np.ndarray, preprocess: Preprocess, batch: int = EVAL_BATCH
) -> np.ndarray:
    """Return float32 logits [N, K] of the model in eval mode; its training flags are restored afterwards.

    Args:
        model: runs on the device of its parameters.
        pixels_NHWC: uint8 pictures after `to_pixels`, in the geometry of `preprocess`.
        preprocess: gives mean and standard deviation.
        batch: pictures a forward pass.
    """
    device = next(model.parameters()).device
    parts = []
    with evaluating(model), torch.inference_mode():
        for start in range(0, len(pixels_NHWC), batch):
            images_NCHW = torch.from_numpy(normalize(pixels_NHWC[start : start + batch], preprocess)).to(device)
            logits_NK = model(images_NCHW.contiguous(memory_format=torch.channels_last))
            parts.append(logits_NK.float().cpu().numpy())
    return np.concatenate(parts)


def top1_pct(logits_NK: np.ndarray, labels_N: Sequence[int] | np.ndarray) -> float:
    """Return the share of pictures whose largest logit is the label, in percent 0..100."""
    return float(100.0 * np.mean(logits_NK.argmax(axis=1) == np.asarray(labels_N)))
