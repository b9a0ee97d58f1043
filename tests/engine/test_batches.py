from __future__ import annotations

import numpy as np
import pytest
import torch

from compress.core.preprocess import Preprocess
from compress.engine.batches import (
    TrainSet,
    plain_images,
    shows_the_same_every_epoch,
    steps_per_epoch,
    train_batches,
)
from compress.engine.options import FitOptions

PREPROCESS = Preprocess(resize_px=16, crop_px=16)


def _epoch(n: int = 20, batch_size: int = 8, epoch: int = 0, seed: int = 0):
    pixels = np.random.default_rng(0).integers(0, 256, (n, 18, 18, 3), dtype=np.uint8)
    train = TrainSet(pixels, np.ones(n), np.arange(n))
    options = FitOptions(batch_size=batch_size, color_jitter=0.3)
    return list(train_batches(train, n, PREPROCESS, options, seed=seed, epoch=epoch, device=torch.device("cpu")))


@pytest.mark.parametrize(("n", "batch", "steps"), [(16, 8, 2), (17, 8, 2), (18, 8, 3), (1, 8, 0), (2, 8, 1)])
def test_a_single_left_over_image_makes_no_batch(n, batch, steps):
    assert steps_per_epoch(n, batch) == steps


def test_an_epoch_shows_every_image_once():
    labels = [int(label) for batch in _epoch() for label in batch.targets_NK.argmax(1)]
    assert sorted(labels) == list(range(20))


def test_a_batch_says_which_images_it_holds():
    for batch in _epoch():
        assert batch.targets_NK.argmax(1).tolist() == batch.index_N.tolist()  # image n has the label n here


def test_batches_depend_on_seed_and_epoch_alone():
    first, again, later, other = _epoch(), _epoch(), _epoch(epoch=1), _epoch(seed=1)
    assert all(
        torch.equal(a.images_NCHW, b.images_NCHW) and torch.equal(a.targets_NK, b.targets_NK)
        for a, b in zip(first, again, strict=True)
    )
    assert not torch.equal(first[0].targets_NK, later[0].targets_NK)
    assert not torch.equal(first[0].targets_NK, other[0].targets_NK)


def test_which_image_is_left_out_changes_with_the_epoch():
    left_out = set()
    for epoch in range(8):
        seen = {int(label) for batch in _epoch(n=17, epoch=epoch) for label in batch.targets_NK.argmax(1)}
        left_out |= set(range(17)) - seen
    assert len(left_out) > 2


def _plain_set(n: int, aspect: float) -> tuple[TrainSet, FitOptions]:
    pixels = np.random.default_rng(0).integers(0, 256, (n, 18, 18, 3), dtype=np.uint8)
    pixels.flags.writeable = False  # as a memory map is
    train = TrainSet(pixels, np.full(n, aspect, dtype=np.float32), np.arange(n))
    return train, FitOptions(batch_size=8, crop_scale_min=1.0, crop_ratio=1.0, flip="none")


def _by_place(train: TrainSet, options: FitOptions, seed: int, epoch: int) -> torch.Tensor:
    n = len(train.labels_N)
    shown = torch.zeros(n, 3, 16, 16)
    for batch in train_batches(train, n, PREPROCESS, options, seed=seed, epoch=epoch, device=torch.device("cpu")):
        shown[batch.index_N] = batch.images_NCHW
    return shown


def test_plain_images_are_what_every_epoch_shows_when_nothing_is_drawn():
    train, options = _plain_set(20, aspect=1.0)
    assert shows_the_same_every_epoch(train, options)
    plain = torch.cat(list(plain_images(train, PREPROCESS, options, device=torch.device("cpu"))))
    for seed, epoch in ((0, 0), (0, 1), (7, 3)):
        assert torch.equal(_by_place(train, options, seed, epoch), plain)


def test_an_image_that_is_not_square_is_cut_elsewhere_every_epoch():
    train, options = _plain_set(20, aspect=1.25)
    assert not shows_the_same_every_epoch(train, options)
    assert not torch.equal(_by_place(train, options, 0, 0), _by_place(train, options, 0, 1))


def test_a_random_augmentation_is_not_taken_for_plain():
    train, options = _plain_set(20, aspect=1.0)
    assert not shows_the_same_every_epoch(train, options.model_copy(update={"color_jitter": 0.1}))


def test_progressive_images_have_the_side_of_their_epoch():
    pixels = np.zeros((4, 80, 80, 3), np.uint8)
    train, preprocess = TrainSet(pixels, np.ones(4), np.arange(4)), Preprocess(resize_px=64, crop_px=64)
    options = FitOptions(batch_size=4, epochs=3, progressive_px=32, cutmix=1.0)
    sides = []
    for epoch in (0, 1, 2):
        (batch,) = train_batches(train, 4, preprocess, options, seed=0, epoch=epoch, device=torch.device("cpu"))
        sides.append(tuple(batch.images_NCHW.shape))
    assert sides == [(4, 3, 32, 32), (4, 3, 32, 32), (4, 3, 64, 64)]


def test_mixing_brings_in_the_partner_s_class():
    pixels = np.zeros((8, 18, 18, 3), np.uint8)
    train, options = TrainSet(pixels, np.ones(8), np.arange(8)), FitOptions(batch_size=8, mixup=1.0)
    (batch,) = train_batches(train, 8, PREPROCESS, options, seed=0, epoch=0, device=torch.device("cpu"))
    assert batch.targets_NK[range(8), batch.index_N].min() > 0
    assert int((batch.targets_NK > 0).sum(1).max()) == 2
