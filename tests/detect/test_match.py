import numpy as np
import pytest
import torch
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from compress.core.boxes import ssd_coding
from compress.detect.answers import Boxes
from compress.detect.coding import anchors_of, corners
from compress.detect.match import NOTHING, agreement_pct, anchor_targets, matched, partners
from tests.detect.test_boxes import boxes

CODING = ssd_coding(((10, 10), (5, 5), (1, 1)))


def test_targets_are_torchvisions():
    wanted = boxes(7)
    reference = torch.from_numpy(corners(anchors_of(CODING)))
    expected = SSDMatcher(0.5)(box_iou(torch.from_numpy(wanted), reference)).numpy()
    found = anchor_targets(wanted, CODING)
    np.testing.assert_array_equal(np.where(expected < 0, NOTHING, expected), found)
    assert set(found) >= set(range(7)), "each box has an anchor"


def test_without_boxes_all_is_background():
    assert (anchor_targets(np.zeros((0, 4), np.float32), CODING) == NOTHING).all()


def answer(corners_B4: np.ndarray, classes: list[int]) -> Boxes:
    return Boxes(corners_B4, np.linspace(1, 0.5, len(classes)).astype(np.float32), np.array(classes))


def test_partners_have_the_class_the_place_and_no_other_partner():
    here = np.array([[0, 0, 0.5, 0.5], [0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    first = answer(here, [0, 0, 1])
    assert matched(first, first) == 3
    assert matched(first, answer(here, [0, 1, 1])) == 2
    assert matched(first, answer(here[[0, 2]], [0, 1])) == 2
    assert matched(first, answer(here[[0]] + 0.4, [0])) == 0
    assert matched(first, answer(here[:0], [])) == matched(answer(here[:0], []), first) == 0


CORNER, MIDDLE, END = np.array([[0, 0, 0.4, 0.4], [0.3, 0.3, 0.7, 0.7], [0.6, 0.6, 1, 1]], np.float32)


def test_a_partner_is_told_by_its_place_in_the_other_answer():
    first = answer(np.stack([END, CORNER, MIDDLE]), [1, 0, 2])
    second = answer(np.stack([CORNER, MIDDLE, END]), [0, 1, 1])
    assert partners(first, second).tolist() == [2, 0, NOTHING]
    assert partners(second, first).tolist() == [1, NOTHING, 0]
    assert partners(first, second).dtype == np.int64


def test_the_best_box_chooses_first_and_takes_what_it_overlaps_most():
    across = np.array([0.05, 0, 0.05, 0], np.float32)
    near = answer(np.stack([CORNER + across, CORNER]), [0, 0])
    assert partners(answer(CORNER[None], [0]), near).tolist() == [1]
    assert partners(answer(np.stack([CORNER, CORNER]), [0, 0]), near).tolist() == [1, 0]
    assert partners(near, answer(CORNER[None], [0])).tolist() == [0, NOTHING]


@pytest.mark.parametrize(("least_iou", "found"), [(0.3, 0), (0.4, NOTHING)])
def test_partners_overlap_by_as_much_as_is_asked(least_iou, found):
    half = answer(CORNER[None] + np.array([0.2, 0, 0.2, 0], np.float32), [0])  # IoU of a third
    assert partners(answer(CORNER[None], [0]), half, least_iou).tolist() == [found]


def test_without_others_no_box_has_a_partner():
    none, one = answer(np.zeros((0, 4), np.float32), []), answer(CORNER[None], [0])
    assert partners(one, none).tolist() == [NOTHING]
    assert partners(none, one).tolist() == []


def test_agreement_counts_the_boxes_of_both_answers_to_all_images():
    none, one = answer(np.zeros((0, 4), np.float32), []), answer(CORNER[None], [0])
    two = answer(np.stack([CORNER, END]), [0, 1])
    assert agreement_pct([one, two], [one, two]) == 100
    assert agreement_pct([one], [two]) == agreement_pct([two], [one]) == pytest.approx(200 / 3)
    assert agreement_pct([one, two], [one, none]) == 50
    assert agreement_pct([one], [none]) == agreement_pct([none], [two]) == 0
    assert agreement_pct([one, two], [two, one]) == pytest.approx(200 / 3), "images are not mixed"
    assert agreement_pct([none, none], [none, none]) == agreement_pct([], []) == 100


def test_answers_to_unlike_numbers_of_images_are_no_agreement():
    one = answer(CORNER[None], [0])
    with pytest.raises(ValueError, match="zip"):
        agreement_pct([one], [one, one])
