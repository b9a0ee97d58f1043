import numpy as np
import torch
from torchvision.ops import box_iou

from compress.detect.boxes import areas, iou


def boxes(count: int, seed: int = 0) -> np.ndarray:
    """Return random boxes with area, f32 [B, 4], corners in 0..1."""
    pairs = np.random.default_rng(seed).uniform(size=(count, 2, 2)).astype(np.float32)
    pairs.sort(axis=1)
    return pairs.reshape(count, 4)


def test_overlaps_are_torchvisions():
    first, second = boxes(40), boxes(30, seed=1)
    expected = box_iou(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(iou(first, second), expected, atol=1e-6)


def test_of_itself_it_is_one_of_another_place_zero():
    pair = np.array([[0, 0, 0.2, 0.5], [0.5, 0.5, 1, 1]], np.float32)
    np.testing.assert_array_equal(iou(pair, pair), np.eye(2))


def test_boxes_without_area_overlap_nothing():
    empty = np.array([[0.5, 0.5, 0.5, 0.5], [0.9, 0.1, 0.2, 0.8]], np.float32)
    assert areas(empty).tolist() == [0, 0]
    assert not iou(empty, empty).any()
    assert iou(np.zeros((0, 4), np.float32), empty).shape == (0, 2)
