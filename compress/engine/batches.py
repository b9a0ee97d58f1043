"""Training batches: a permutation an epoch, an augmentation a batch, both functions of (seed, epoch, batch) alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from compress.core.preprocess import Preprocess
from compress.engine.augment import augment, mix
from compress.engine.options import FitOptions
from compress.engine.randomness import Purpose, generator


@dataclass(frozen=True)
class TrainSet:
    """Training pictures: uint8 [N, S, S, 3] whole photographs squashed to squares, width/height [N], labels [N]."""

    pixels_NSSC: np.ndarray
    aspect_N: np.ndarray
    labels_N: np.ndarray


@dataclass(frozen=True)
class ValSet:
    """Validation pictures: uint8 [N, H, W, 3] after `to_pixels`, labels [N]."""

    pixels_NHWC: np.ndarray
    labels_N: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        images_NCHW: float32, normalised, channels_last.
        targets_NK: class probabilities.
        index_N: int64, the pictures' places in the training set.
    """

    images_NCHW: torch.Tensor
    targets_NK: torch.Tensor
    index_N: np.ndarray


def steps_per_epoch(n_images: int, batch_size: int) -> int:
    """Return the batches of an epoch; a last batch of a single picture is dropped.

    BatchNorm cannot take the variance of one value a channel. Which picture is left out changes every epoch.
    """
    full, rest = divmod(n_images, batch_size)
    return full + (rest > 1)


def shows_the_same_every_epoch(train: TrainSet, options: FitOptions) -> bool:
    """Return whether each picture comes out of the augmentation the same in every epoch."""
    return options.is_deterministic and bool((train.aspect_N == 1.0).all())


def plain_images(
    train: TrainSet, preprocess: Preprocess, options: FitOptions, *, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield all pictures in the order of the set as `train_batches` shows them, where that is the same every epoch.

    Args:
        train: for which, with these options, `shows_the_same_every_epoch`.
        preprocess: crop side, mean, standard deviation.
        options: batch size.
        device: where the pictures are prepared and end.
    """
    rng = generator(0, Purpose.AUGMENT)  # what is drawn makes no difference
    for start in range(0, len(train.labels_N), options.batch_size):
        chosen = slice(start, start + options.batch_size)
        pixels_NSSC = torch.from_numpy(np.array(train.pixels_NSSC[chosen])).to(device)
        yield augment(pixels_NSSC, train.aspect_N[chosen], preprocess, options, rng)


def train_batches(
    train: TrainSet,
    num_classes: int,
    preprocess: Preprocess,
    options: FitOptions,
    *,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Yield the batches of one epoch.

    Args:
        train: the pictures; a memory map is read batch by batch.
        num_classes: K.
        preprocess: crop side, mean, standard deviation.
        options: batch size and augmentation.
        seed: of the run.
        epoch: which permutation and draws.
        device: where the batch is augmented and ends.
    """
    order = generator(seed, Purpose.ORDER, epoch).permutation(len(train.labels_N))
    for batch in range(steps_per_epoch(len(order), options.batch_size)):
        # ascending indices read the memory map forwards; the order inside a batch has no meaning
        index = np.sort(order[batch * options.batch_size : (batch + 1) * options.batch_size])
        rng = generator(seed, Purpose.AUGMENT, epoch, batch)
        pixels_NSSC = torch.from_numpy(train.pixels_NSSC[index]).to(device, non_blocking=True)
        images_NCHW = augment(pixels_NSSC, train.aspect_N[index], preprocess, options, rng)
        labels_N = torch.from_numpy(train.labels_N[index].astype(np.int64)).to(device)
        images_NCHW, targets_NK = mix(images_NCHW, F.one_hot(labels_N, num_classes).float(), options, rng)
        yield Batch(images_NCHW, targets_NK, index)
