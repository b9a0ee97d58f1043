"""Losses of a detector: where the boxes are, and what is in them.

Letters: N images, A anchors, K scores of an anchor, of which the first is the background's.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from compress.engine.detection.batches import BoxBatch
from compress.engine.detection.options import DetectOptions
from compress.engine.losses import Loss

_LEAST_UNSURE = 1e-7


def detection_loss(options: DetectOptions) -> Loss:
    """Return the loss for `fit` of a detector whose first score is the background's: boxes and scores alike."""

    def loss(outputs: tuple[Tensor, Tensor], batch: BoxBatch) -> Tensor:
        raw_NA4, logits_NAK = (part.float() for part in outputs)
        targets_NA = batch.classes_NA + 1
        found = (targets_NA > 0).sum().clamp(min=1)
        boxes = box_loss(raw_NA4, batch.raw_NA4, targets_NA > 0)
        if options.loss == "focal":
            scores = focal_loss(logits_NAK, targets_NA, options.focal_gamma, options.focal_alpha)
        else:
            scores = multibox_loss(logits_NAK, targets_NA, options.hard_negatives)
        return (boxes + scores) / found

    return loss


def box_loss(raw_NA4: Tensor, wanted_NA4: Tensor, finds_NA: Tensor) -> Tensor:
    """Return the sum of the smooth L1 of the anchors that find a box (Liu et al. 2016, SSD, eq. 2)."""
    return F.smooth_l1_loss(raw_NA4[finds_NA], wanted_NA4[finds_NA], reduction="sum")


def multibox_loss(logits_NAK: Tensor, targets_NA: Tensor, hard_negatives: float) -> Tensor:
    """Return the sum of the cross entropy of the anchors that find a box and of the hardest of the background.

    Liu et al. 2016, SSD, section 2.2 (hard negative mining): of each image, so many anchors of background for each that
    finds a box, those of the highest loss. An image without boxes teaches nothing here but through `hard_negatives`:
    it counts as if one anchor found a box, since its background must be learned too.

    Args:
        logits_NAK: scores.
        targets_NA: 0 for the background, else the class + 1.
        hard_negatives: ratio.
    """
    losses_NA = F.cross_entropy(logits_NAK.flatten(0, 1), targets_NA.flatten(), reduction="none").view_as(targets_NA)
    finds_NA = targets_NA > 0
    wanted_N1 = (hard_negatives * finds_NA.sum(dim=1, keepdim=True).clamp(min=1)).round()
    background_NA = torch.where(finds_NA, torch.full_like(losses_NA, -torch.inf), losses_NA.detach())
    rank_NA = background_NA.argsort(dim=1, descending=True).argsort(dim=1)
    return losses_NA[finds_NA | ((rank_NA < wanted_N1) & ~finds_NA)].sum()


def focal_loss(logits_NAK: Tensor, targets_NA: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the sum of alpha_t (1 - p_t)^gamma CE over all anchors (Lin et al. 2017, Focal Loss, eq. 5, softmax).

    Args:
        logits_NAK: scores.
        targets_NA: 0 for the background, else the class + 1.
        gamma: how little an easy anchor counts.
        alpha: weight of anchors that find a box; the background's is 1 - alpha.
    """
    losses_NA = F.cross_entropy(logits_NAK.flatten(0, 1), targets_NA.flatten(), reduction="none").view_as(targets_NA)
    weight_NA = torch.where(targets_NA > 0, alpha, 1.0 - alpha)
    # a sure and right anchor's loss is exactly 0, where a power below 1 has no slope
    unsure_NA = (1.0 - torch.exp(-losses_NA)).clamp(min=_LEAST_UNSURE)
    return (weight_NA * unsure_NA**gamma * losses_NA).sum()
