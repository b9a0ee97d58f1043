"""Training batches: a permutation an epoch, an augmentation a batch, both functions of (seed, epoch, batch) alone."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's name for it

from compress.core.preprocess import Preprocess
from compress.distributed.collectives import share_of, world_size
from compress.engine.augmentation.augment import augment, mix
from compress.engine.augmentation.sampling import draw
from compress.engine.options import FitOptions
from compress.engine.randomness import Purpose, generator
from compress.engine.schedule import training_side


@dataclass(frozen=True)
class TrainSet:
    """Training images: uint8 [N, S, S, 3] whole images squashed to squares, width/height [N], labels [N]."""

    pixels_NSSC: np.ndarray
    aspect_N: np.ndarray
    labels_N: np.ndarray


@dataclass(frozen=True)
class ValSet:
    """Validation images: uint8 [N, H, W, 3] after `to_pixels`, labels [N]."""

    pixels_NHWC: np.ndarray
    labels_N: np.ndarray


@dataclass(frozen=True)
class Batch:
    """What one step learns from.

    Attributes:
        images_NCHW: float32, normalised, channels_last.
        targets_NK: class probabilities.
        index_N: int64, the images' places in the training set.
    """

    images_NCHW: torch.Tensor
    targets_NK: torch.Tensor
    index_N: np.ndarray


def steps_per_epoch(n_images: int, batch_size: int) -> int:
    """Return the batches of an epoch; a last batch of a single image is dropped, or of less than one a process.

    BatchNorm cannot take the variance of one value a channel. Which image is left out changes every epoch.
    """
    full, rest = divmod(n_images, batch_size)
    return full + (rest >= max(2, world_size()))


def batch_images(n_images: int, batch_size: int, step: int) -> int:
    """Return the images of a batch of an epoch, over all processes."""
    return min(batch_size, n_images - step * batch_size)


def shows_the_same_every_epoch(train: TrainSet, options: FitOptions) -> bool:
    """Return whether each image comes out of the augmentation the same in every epoch."""
    return options.is_deterministic and bool((train.aspect_N == 1.0).all())


def plain_images(
    train: TrainSet, preprocess: Preprocess, options: FitOptions, *, device: torch.device
) -> Iterator[torch.Tensor]:
    """Yield all images in the order of the set as `train_batches` shows them, where that is the same every epoch.

    Args:
        train: for which, with these options, `shows_the_same_every_epoch`.
        preprocess: crop side, mean, standard deviation.
        options: batch size.
        device: where the images are prepared and end.
    """
    rng = generator(0, Purpose.AUGMENT)  # what is drawn makes no difference
    for start in range(0, len(train.labels_N), options.batch_size):
        chosen = slice(start, start + options.batch_size)
        pixels_NSSC = torch.from_numpy(np.array(train.pixels_NSSC[chosen])).to(device)
        draws, _ = draw(rng, train.aspect_N[chosen], options, preprocess.crop_px)
        yield augment(pixels_NSSC, draws, preprocess, options, preprocess.crop_px)


def train_batches(
    train: TrainSet,
    num_classes: int,
    preprocess: Preprocess,
    options: FitOptions,
    *,
    seed: int,
    epoch: int,
    device: torch.device,
) -> Generator[Batch, None, None]:
    """Yield the batches of one epoch; among several processes, this one's share of each.

    Args:
        train: the images; a memory map is read batch by batch.
        num_classes: K.
        preprocess: crop side, mean, standard deviation.
        options: batch size (of all processes together) and augmentation.
        seed: of the run.
        epoch: which permutation and draws.
        device: where the batch is augmented and ends.
    """
    side_px = training_side(epoch, preprocess.crop_px, options)
    order = generator(seed, Purpose.ORDER, epoch).permutation(len(train.labels_N))
    for step in range(steps_per_epoch(len(order), options.batch_size)):
        # ascending indices read the memory map forwards; the order inside a batch has no meaning
        index = np.sort(order[step * options.batch_size : (step + 1) * options.batch_size])
        rng = generator(seed, Purpose.AUGMENT, epoch, step)
        yield _batch(train, index, num_classes, preprocess, options, rng, device, side_px)


def _batch(
    train: TrainSet,
    index: np.ndarray,
    num_classes: int,
    preprocess: Preprocess,
    options: FitOptions,
    rng: np.random.Generator,
    device: torch.device,
    side_px: int,
) -> Batch:
    """Return this process's share of the batch of the images at `index`, augmented as the whole batch would be."""
    draws, mixing = draw(rng, train.aspect_N[index], options, side_px)
    own = share_of(len(index))
    needed = own if mixing is None else np.union1d(own, mixing.partner_N[own])
    taken = index[needed]
    labels_N = torch.from_numpy(train.labels_N[taken].astype(np.int64)).to(device)
    targets_NK = F.one_hot(labels_N, num_classes).float()
    pixels_NSSC = torch.from_numpy(train.pixels_NSSC[taken])
    if device.type == "cuda":  # from pinned memory the copy runs beside the computation
        pixels_NSSC = pixels_NSSC.pin_memory().to(device, non_blocking=True)
    images_NCHW = augment(pixels_NSSC, draws.of(needed), preprocess, options, side_px)
    if mixing is not None:
        mine, partner = (np.searchsorted(needed, rows) for rows in (own, mixing.partner_N[own]))
        images_NCHW, targets_NK = mix(images_NCHW, targets_NK, mine, partner, mixing)
    return Batch(images_NCHW, targets_NK, index[own])
