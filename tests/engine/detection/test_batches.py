from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from compress.core.boxes import ssd_coding
from compress.core.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from compress.data.boxes import BoxLabels
from compress.data.transforms import normalize
from compress.detect.boxes import iou
from compress.detect.coding import anchors_of, corners, decode
from compress.engine.detection.batches import BACKGROUND, BoxBatch, BoxTrainSet, box_batches, targets_of
from compress.engine.detection.options import DetectOptions
from tests.detect.test_boxes import boxes

CODING = ssd_coding(((8, 8), (4, 4), (2, 2)))
SIDE = 64
PREPROCESS = Preprocess(resize_px=SIDE, crop_px=SIDE, fit="stretch", mean=IMAGENET_MEAN, std=IMAGENET_STD)
PLAIN = DetectOptions(iou_crop=0, zoom_out=0, photometric=0)
FULL = DetectOptions(iou_crop=1, zoom_out=1, photometric=1, flip="horizontal")
CPU = torch.device("cpu")


def train_set(images: int = 7, side: int = SIDE) -> BoxTrainSet:
    """Return images of noise with boxes of a fifth of the side or more; each third one has none."""
    rng = np.random.default_rng(0)
    known = []
    for image in range(images):
        count = image % 3
        corners_B4 = 0.4 * boxes(count, seed=image) + np.array([0, 0, 0.6, 0.6], np.float32)
        known.append(BoxLabels(corners_B4, rng.integers(0, 4, count)))
    return BoxTrainSet(rng.integers(0, 256, (images, side, side, 3), dtype=np.uint8), known)


def _batches(train: BoxTrainSet, options: DetectOptions = PLAIN, batch_size: int = 3, **changes) -> list[BoxBatch]:
    preprocess = changes.pop("preprocess", PREPROCESS)
    how = {"seed": 0, "epoch": 0, "device": CPU, **changes}
    return list(box_batches(train, preprocess, CODING, options, batch_size, **how))


def _by_image(batches: list[BoxBatch]) -> dict[int, tuple[bytes, ...]]:
    """Return all that is learned from each image."""
    return {
        int(image): tuple(part[at].contiguous().numpy().tobytes() for part in (b.images_NCHW, b.raw_NA4, b.classes_NA))
        for b in batches
        for at, image in enumerate(b.index_N)
    }


def test_an_epoch_shows_each_image_once_but_a_last_one_alone():
    seen = [batch.index_N.tolist() for batch in _batches(train_set(8))]
    assert [len(index) for index in seen] == [3, 3, 2]
    assert sorted(itertools.chain(*seen)) == list(range(8))
    assert [len(batch.index_N) for batch in _batches(train_set(7))] == [3, 3]


def test_epochs_and_seeds_have_orders_of_their_own():
    train = train_set(12)
    orders = {str([b.index_N.tolist() for b in _batches(train, seed=s, epoch=e)]) for s, e in ((0, 0), (0, 1), (1, 0))}
    assert len(orders) == 3


def test_without_augmentation_the_images_are_only_normalised():
    train = train_set()
    for batch in _batches(train):
        expected = normalize(train.pixels_NSSC[batch.index_N], PREPROCESS)
        np.testing.assert_array_equal(batch.images_NCHW.numpy(), expected)
        assert batch.images_NCHW.is_contiguous(memory_format=torch.channels_last)


def test_larger_images_are_resized_to_what_the_network_sees():
    (batch,) = _batches(train_set(2, side=SIDE + 16))
    assert batch.images_NCHW.shape == (2, 3, SIDE, SIDE)


def test_a_model_of_blue_first_is_trained_blue_first():
    train = train_set()
    alike = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
    red, blue = (PREPROCESS.model_copy(update={**alike, "channel_order": order}) for order in ("RGB", "BGR"))
    for first, second in zip(
        _batches(train, FULL, preprocess=red), _batches(train, FULL, preprocess=blue), strict=True
    ):
        assert torch.equal(first.images_NCHW.flip(1), second.images_NCHW)
        assert not torch.equal(first.images_NCHW, second.images_NCHW)
        assert torch.equal(first.raw_NA4, second.raw_NA4)


def test_the_mean_of_blue_is_taken_off_blue():
    train = BoxTrainSet(np.zeros((2, SIDE, SIDE, 3), np.uint8), train_set(2).boxes_N)
    train.pixels_NSSC[..., 2] = 255  # blue
    preprocess = PREPROCESS.model_copy(update={"mean": (0.4, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "channel_order": "BGR"})
    (batch,) = _batches(train, preprocess=preprocess)
    assert batch.images_NCHW.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0.6, 0, 0])


def test_the_targets_are_those_of_the_boxes():
    train = train_set(8)
    for batch in _batches(train):
        for at, image in enumerate(batch.index_N):
            raw_A4, classes_A = targets_of(train.boxes_N[image].corners_B4, train.boxes_N[image].classes_B, CODING)
            np.testing.assert_allclose(batch.raw_NA4[at].numpy(), raw_A4, atol=1e-4)
            np.testing.assert_array_equal(batch.classes_NA[at].numpy(), classes_A)
            assert (classes_A != BACKGROUND).any() == bool(len(train.boxes_N[image].classes_B))


def test_what_is_learned_from_an_image_does_not_depend_on_the_others():
    train = train_set(8)
    alone, among = _by_image(_batches(train, FULL, 2)), _by_image(_batches(train, FULL, 4))
    assert alone == among
    assert len(alone) == 8
    fewer = BoxTrainSet(train.pixels_NSSC[:4], train.boxes_N[:4])
    assert _by_image(_batches(fewer, FULL, 4)).items() <= among.items()


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epoch": 1}])
def test_seed_and_epoch_change_how_an_image_is_shown(changes):
    train = train_set(8)
    first, again, other = (_by_image(_batches(train, FULL, 4, **how)) for how in ({}, {}, changes))
    assert first == again
    assert all(first[image] != other[image] for image in range(8))


def test_two_images_of_a_batch_are_shown_in_two_ways():
    train = train_set(2)
    twins = BoxTrainSet(np.repeat(train.pixels_NSSC[:1], 2, axis=0), [train.boxes_N[1]] * 2)
    (batch,) = _batches(twins, FULL, 2)
    assert not torch.equal(*batch.images_NCHW)


def test_the_global_generator_is_left_alone_and_does_not_matter():
    train = train_set(4)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = _by_image(_batches(train, FULL))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert _by_image(_batches(train, FULL)) == first


def test_the_stored_images_are_left_as_they_were_and_may_be_read_only():
    train = train_set(4)
    before = train.pixels_NSSC.copy()
    train.pixels_NSSC.flags.writeable = False
    _batches(train, FULL)
    np.testing.assert_array_equal(train.pixels_NSSC, before)


def test_the_shares_of_two_processes_are_the_batch_of_one(monkeypatch):
    train = train_set(8)
    whole = _by_image(_batches(train, FULL, 4))
    monkeypatch.setattr("compress.distributed.collectives.world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr("compress.distributed.collectives.rank", lambda rank=rank: rank)
        shares.append(_by_image(_batches(train, FULL, 4)))
    assert shares[0] | shares[1] == whole
    assert [len(share) for share in shares] == [4, 4]


def test_an_anchor_that_is_a_box_answers_nought_and_its_class():
    chosen = [70, 394, 500]
    wanted = corners(anchors_of(CODING))[chosen]
    raw_A4, classes_A = targets_of(wanted, np.array([2, 0, 3]), CODING)
    assert classes_A[chosen].tolist() == [2, 0, 3]
    np.testing.assert_allclose(raw_A4[chosen], 0, atol=1e-4)
    assert (raw_A4.dtype, classes_A.dtype) == (np.float32, np.int64)


def test_anchors_that_find_a_box_answer_it_and_the_others_nothing():
    wanted, classes_B = boxes(5), np.array([1, 0, 3, 2, 4])
    raw_A4, classes_A = targets_of(wanted, classes_B, CODING)
    finds_A = classes_A != BACKGROUND
    assert 5 <= finds_A.sum() < CODING.anchors
    assert not raw_A4[~finds_A].any()
    answered = decode(raw_A4[None], CODING)[0][finds_A]
    box_of_class = wanted[[np.flatnonzero(classes_B == index)[0] for index in classes_A[finds_A]]]
    np.testing.assert_allclose(answered, box_of_class, atol=1e-4)
    assert set(classes_A[finds_A]) == set(classes_B.tolist())
    overlaps = iou(wanted, corners(anchors_of(CODING))).max(axis=0)
    assert finds_A[overlaps >= 0.5].all()


def test_without_boxes_all_is_background():
    raw_A4, classes_A = targets_of(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), CODING)
    assert not raw_A4.any()
    assert (classes_A == BACKGROUND).all()
    assert (raw_A4.shape, classes_A.shape) == ((CODING.anchors, 4), (CODING.anchors,))
