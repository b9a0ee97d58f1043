"""Training batches of images with boxes: a permutation an epoch, an augmentation an image."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from compress.core.boxes import BoxCoding
from compress.core.preprocess import Preprocess
from compress.data.boxes import BoxLabels
from compress.data.transforms import normalize
from compress.detect.coding import encode
from compress.detect.match import NOTHING, anchor_targets
from compress.distributed.collectives import share_of
from compress.engine.batches import steps_per_epoch
from compress.engine.detection.augment import augmented
from compress.engine.detection.options import DetectOptions
from compress.engine.randomness import Purpose, generator, seeded_torch

BACKGROUND = -1


@dataclass(frozen=True)
class BoxTrainSet:
    """Training images: uint8 [N, S, S, 3] whole images squashed to squares, and their boxes in shares of these."""

    pixels_NSSC: np.ndarray
    boxes_N: Sequence[BoxLabels]


@dataclass(frozen=True)
class BoxBatch:
    """What one step learns from.

    Attributes:
        images_NCHW: float32, normalised, channels_last.
        raw_NA4: what the anchors that find a box should answer.
        classes_NA: the class that each anchor should find, `BACKGROUND` for none.
        index_N: int64, the images' places in the training set.
    """

    images_NCHW: torch.Tensor
    raw_NA4: torch.Tensor
    classes_NA: torch.Tensor
    index_N: np.ndarray


def box_batches(
    train: BoxTrainSet,
    preprocess: Preprocess,
    coding: BoxCoding,
    options: DetectOptions,
    batch_size: int,
    *,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Generator[BoxBatch, None, None]:
    """Yield the batches of one epoch; among several processes, this one's share of each.

    Args:
        train: the images; a memory map is read batch by batch.
        preprocess: crop side, mean, standard deviation, order of the channels.
        coding: of the network's anchors.
        options: augmentation.
        batch_size: of all processes together.
        seed: of the run.
        epoch: which permutation and draws.
        device: where the batch ends.
    """
    order = generator(seed, Purpose.ORDER, epoch).permutation(len(train.boxes_N))
    for step in range(steps_per_epoch(len(order), batch_size)):
        index = np.sort(order[step * batch_size : (step + 1) * batch_size])
        index = index[share_of(len(index))]
        examples = [_example(train, int(one), preprocess, coding, options, seed, epoch) for one in index]
        pixels_NHWC, raw_NA4, classes_NA = (np.stack(part) for part in zip(*examples, strict=True))
        images_NCHW = torch.from_numpy(normalize(pixels_NHWC, preprocess)).to(device)
        yield BoxBatch(
            images_NCHW.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(raw_NA4).to(device),
            torch.from_numpy(classes_NA).to(device),
            index,
        )


def _example(
    train: BoxTrainSet,
    image: int,
    preprocess: Preprocess,
    coding: BoxCoding,
    options: DetectOptions,
    seed: int,
    epoch: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return one augmented image, u8 [H, W, 3], and its anchors' offsets [A, 4] and classes [A]."""
    known = train.boxes_N[image]
    corners_B4, classes_B = torch.from_numpy(known.corners_B4), torch.from_numpy(known.classes_B)
    pixels_SSC = torch.from_numpy(np.array(train.pixels_NSSC[image]))
    with seeded_torch(seed, Purpose.AUGMENT, epoch, image):  # of the image alone, whoever else is in the batch
        seen_CHW, corners_B4, classes_B = augmented(pixels_SSC, corners_B4, classes_B, options, preprocess.crop_px)
    pixels_HWC = np.ascontiguousarray(seen_CHW.numpy().transpose(1, 2, 0))
    if preprocess.channel_order == "BGR":
        pixels_HWC = np.ascontiguousarray(pixels_HWC[..., ::-1])
    raw_A4, classes_A = targets_of(corners_B4.numpy(), classes_B.numpy(), coding)
    return pixels_HWC, raw_A4, classes_A


def targets_of(corners_B4: np.ndarray, classes_B: np.ndarray, coding: BoxCoding) -> tuple[np.ndarray, np.ndarray]:
    """Return what each anchor should answer: offsets, f32 [A, 4], 0 for the background, and its class, i64 [A]."""
    taken_A = anchor_targets(corners_B4, coding)
    finds_A = taken_A != NOTHING
    raw_A4 = np.zeros((len(taken_A), 4), np.float32)
    classes_A = np.full(len(taken_A), BACKGROUND, np.int64)
    if finds_A.any():
        wanted_A4 = corners_B4[np.where(finds_A, taken_A, 0)]
        raw_A4[finds_A] = encode(wanted_A4, coding)[finds_A]
        classes_A[finds_A] = classes_B[taken_A[finds_A]]
    return raw_A4, classes_A
