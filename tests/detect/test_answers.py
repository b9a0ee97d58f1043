import numpy as np
import pytest
import torch
from torchvision.ops import batched_nms

from compress.core.boxes import ssd_coding
from compress.detect.answers import Boxes, above, boxes_of, scores_of
from compress.detect.coding import decode, encode
from compress.errors import StageError
from tests.detect.test_boxes import boxes

CODING = ssd_coding(((10, 10), (5, 5)))
CLASSES = 3
RNG = np.random.default_rng(0)


def raw(images: int = 2, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    wanted = np.stack([encode(boxes(CODING.anchors, seed), CODING) for seed in range(images)])
    return wanted, RNG.normal(0, spread, (images, CODING.anchors, CLASSES + 1)).astype(np.float32)


def bits(found: Boxes) -> tuple[bytes, ...]:
    return tuple(part.tobytes() for part in (found.corners_B4, found.scores_B, found.classes_B))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_boxes_are_those_of_torchvisions_suppression(activation):
    coding = CODING.model_copy(update={"activation": activation, "max_candidates": 10_000, "max_boxes": 10_000})
    offsets, logits = raw()
    for image, found in enumerate(boxes_of(offsets, logits, coding)):
        scores = scores_of(logits[image], coding)
        at, classes = np.nonzero(scores >= coding.score_threshold)
        corners = torch.from_numpy(decode(offsets, coding)[image][at])
        flat = torch.from_numpy(scores[at, classes])
        kept = batched_nms(corners, flat, torch.from_numpy(classes), coding.nms_iou)
        assert len(found) == len(kept) > 20
        np.testing.assert_allclose(found.scores_B, flat[kept].numpy())
        np.testing.assert_array_equal(found.corners_B4, corners[kept].numpy())
        np.testing.assert_array_equal(found.classes_B, classes[kept.numpy()])


def test_one_image_answers_as_it_does_among_others():
    offsets, logits = raw(4)
    together = boxes_of(offsets, logits, CODING)
    for image in range(4):
        (alone,) = boxes_of(offsets[image : image + 1], logits[image : image + 1], CODING)
        assert bits(alone) == bits(together[image])


def test_the_background_is_the_first_score_and_no_class():
    logits = np.array([[9.0, 0.0, 0.0], [0.0, 0.0, 9.0]], np.float32)
    scores = scores_of(logits, CODING)
    assert scores.shape == (2, 2)
    assert scores[0].max() < 0.01
    assert scores[1].argmax() == 1
    without = CODING.model_copy(update={"background": "none"})
    assert scores_of(logits, without).argmax(axis=1).tolist() == [0, 2]


def test_suppression_may_cross_classes():
    offsets = encode(np.tile(np.array([[0.2, 0.2, 0.8, 0.8]], np.float32), (CODING.anchors, 1)), CODING)[None]
    logits = np.full((1, CODING.anchors, CLASSES + 1), -20, np.float32)
    logits[..., 0] = 0
    logits[0, 5, 2], logits[0, 9, 3] = 5, 4
    (by_class,) = boxes_of(offsets, logits, CODING)
    (across,) = boxes_of(offsets, logits, CODING.model_copy(update={"nms": "all"}))
    assert by_class.classes_B.tolist() == [1, 2]
    assert across.classes_B.tolist() == [1]


def test_no_box_and_more_than_are_wanted():
    offsets, logits = raw(1)
    (none,) = boxes_of(offsets, np.zeros_like(logits), CODING)
    assert (len(none), none.corners_B4.shape) == (0, (0, 4))
    (few,) = boxes_of(offsets, logits, CODING.model_copy(update={"max_boxes": 3, "score_threshold": 0.0}))
    assert len(few) == 3
    assert few.scores_B.tolist() == sorted(few.scores_B.tolist(), reverse=True)


@pytest.mark.parametrize("where", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_numbers_that_are_none_are_refused(where, bad):
    numbers = raw(1)
    numbers[where][0, 7, 0] = bad
    with pytest.raises(StageError, match="NaN or infinity"):
        boxes_of(*numbers, CODING)


def test_scores_far_out_give_no_warning():
    offsets, logits = raw(1)
    boxes_of(offsets, logits * 1000, CODING.model_copy(update={"activation": "sigmoid"}))


@pytest.mark.parametrize("nms", ["per_class", "all"])
def test_of_boxes_those_above_a_score_are_the_ones_that_it_would_have_kept(nms):
    every = CODING.model_copy(update={"nms": nms, "max_candidates": 10_000, "max_boxes": 10_000})
    low, high = (every.model_copy(update={"score_threshold": least}) for least in (0.01, 0.6))
    numbers = raw()
    for found, wanted in zip(boxes_of(*numbers, low), boxes_of(*numbers, high), strict=True):
        assert bits(above(found, 0.6)) == bits(wanted)
        assert 0 < len(wanted) < len(found)


def test_a_box_of_just_the_score_is_above_it():
    scores = np.array([0.7, 0.3, 0.3 - 1e-6], np.float32)
    found = Boxes(np.arange(12, dtype=np.float32).reshape(3, 4), scores, np.array([2, 0, 1]))
    kept = above(found, 0.3)
    assert kept.scores_B.tolist() == scores[:2].tolist()
    assert kept.classes_B.tolist() == [2, 0]
    assert kept.corners_B4.tolist() == found.corners_B4[:2].tolist()
    assert (len(above(found, 0.0)), len(above(found, 0.9))) == (3, 0)
