import numpy as np
import torch
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_iou

from compress.core.boxes import ssd_coding
from compress.detect.answers import Boxes
from compress.detect.coding import anchors_of, corners
from compress.detect.match import NOTHING, anchor_targets, matched
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
