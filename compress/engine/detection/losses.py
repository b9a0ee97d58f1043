"""Losses of a detector: where the boxes are, and what is in them.

Letters: N images, A anchors, K scores of an anchor, of which the first is the background's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it
from torch import Tensor

from compress.core.boxes import BoxCoding
from compress.distributed.collectives import sum_in_place, world_size
from compress.engine.detection.batches import BoxBatch
from compress.engine.detection.options import DetectOptions
from compress.engine.losses import Loss

_LEAST_UNSURE = 1e-7
Answers = tuple[Tensor, Tensor]  # raw boxes [N, A, 4], logits [N, A, K]


def per_process(count: Tensor, images: int) -> Tensor:
    """Return what a process divides its sum by, at least 1 for all processes together.

    The losses of processes are added by their shares of the batch's images. So that an image weighs the same in each,
    the count is that of all of them, times this share.

    Args:
        count: of what the sum is over, in this process.
        images: of this process.
    """
    if world_size() == 1:
        return count.clamp(min=1)
    every = torch.stack((count.detach().float(), count.new_tensor(images).float()))
    sum_in_place(every)
    return every[0].clamp(min=1.0) * max(images, 1) / every[1]


def imitation_loss(
    student: Answers,
    teacher: Answers,
    coding: BoxCoding,
    temperature: float = 1.0,
    *,
    among: Callable[[Tensor, int], Tensor] = lambda count, _: count.clamp(min=1.0),
) -> Tensor:
    """Return how far a network's answers are from a teacher's to the same images.

    The divergence of the scores of every anchor (Hinton et al. 2015, section 2), and the smooth L1 of the boxes where
    the teacher sees something, both for each anchor at which it does (as in Chen et al. 2017, section 3, without its
    bound). An anchor counts by how sure the teacher is that something is there.

    Args:
        student: its answers.
        teacher: answers without gradients.
        coding: what the numbers mean.
        temperature: of the scores.
        among: the count of what the teacher sees, and of images -> what the sum is divided by; see `per_process`.
    """
    seen_NA = foreground(teacher[1], coding)
    count = among(seen_NA.sum(), len(seen_NA))
    boxes_NA = F.smooth_l1_loss(student[0], teacher[0], reduction="none").sum(dim=2)
    scores_NA = score_divergence(student[1] / temperature, teacher[1] / temperature, coding)
    return ((boxes_NA * seen_NA).sum() + temperature**2 * scores_NA.sum()) / count


def teacher_box_loss(
    teacher: Callable[[Tensor], Answers], coding: BoxCoding, options: DetectOptions, *, temperature: float, alpha: float
) -> Loss:
    """Return the loss for `fit` that learns from a teacher's answers to the same images, and from the known boxes.

    Args:
        teacher: on the device of the fit, in eval mode; it answers without gradients.
        coding: of both networks.
        options: of the loss by the boxes.
        temperature: of the scores, see `imitation_loss`.
        alpha: share of the teacher's answers, 0..1; at 0 it is not asked.
    """
    by_boxes = detection_loss(options)
    if alpha == 0.0:
        return by_boxes

    def loss(outputs: Answers, batch: BoxBatch) -> Tensor:
        with torch.no_grad():
            wanted = teacher(batch.images_NCHW)
        imitation = imitation_loss(outputs, wanted, coding, temperature, among=per_process)
        return alpha * imitation + (1.0 - alpha) * by_boxes(outputs, batch) if alpha < 1.0 else imitation

    return loss


def score_divergence(student_NAK: Tensor, teacher_NAK: Tensor, coding: BoxCoding) -> Tensor:
    """Return the Kullback-Leibler divergence of each anchor's scores from the teacher's [N, A], in nats."""
    if coding.activation == "none":
        student_NAK, teacher_NAK = _logits(student_NAK), _logits(teacher_NAK)
    if coding.activation == "softmax":
        logs, wanted = F.log_softmax(student_NAK, dim=2), F.log_softmax(teacher_NAK, dim=2)
        return F.kl_div(logs, wanted, reduction="none", log_target=True).sum(dim=2)
    parts = [  # each class is a yes or no of its own
        F.kl_div(F.logsigmoid(sign * student_NAK), F.logsigmoid(sign * teacher_NAK), reduction="none", log_target=True)
        for sign in (1.0, -1.0)
    ]
    return (parts[0] + parts[1]).sum(dim=2)


def foreground(logits_NAK: Tensor, coding: BoxCoding) -> Tensor:
    """Return how sure a detector is that an anchor finds something [N, A], 0..1."""
    first = int(coding.background == "first")
    if coding.activation == "none":
        return logits_NAK[..., first:].amax(dim=2)
    if coding.activation == "sigmoid":
        return logits_NAK.sigmoid()[..., first:].amax(dim=2)
    shares_NAK = logits_NAK.softmax(dim=2)
    return 1.0 - shares_NAK[..., 0] if first else shares_NAK.amax(dim=2)


def _logits(scores_NAK: Tensor) -> Tensor:
    """Return what sigmoids of a network would have been taken of; scores of 0 and 1 come from bounded ones."""
    return scores_NAK.clamp(_LEAST_UNSURE, 1.0 - _LEAST_UNSURE).logit()


def detection_loss(options: DetectOptions) -> Loss:
    """Return the loss for `fit` of a detector whose first score is the background's: boxes and scores alike."""

    def loss(outputs: tuple[Tensor, Tensor], batch: BoxBatch) -> Tensor:
        raw_NA4, logits_NAK = (part.float() for part in outputs)
        targets_NA = batch.classes_NA + 1
        found = per_process((targets_NA > 0).sum(), len(targets_NA))
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
