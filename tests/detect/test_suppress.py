import numpy as np
import torch
from torchvision.ops import nms

from compress.detect.suppress import best_first, suppress
from tests.detect.test_boxes import boxes


def test_what_stays_is_torchvisions():
    every = boxes(300)
    scores = np.random.default_rng(1).uniform(size=300).astype(np.float32)
    order = best_first(scores, 300)
    expected = nms(torch.from_numpy(every), torch.from_numpy(scores), 0.4).numpy()
    assert 10 < len(expected) < 290
    np.testing.assert_array_equal(order[suppress(every[order], 0.4)], expected)


def test_of_equal_scores_the_first_comes_first():
    assert best_first(np.array([0.5, 0.9, 0.5, 0.9], np.float32), 3).tolist() == [1, 3, 0]


def test_exactly_the_bound_is_no_cover():
    pair = np.array([[0, 0, 1, 1], [0, 0, 0.5, 1]], np.float32)
    assert suppress(pair, 0.5).tolist() == [0, 1]
    assert suppress(pair, 0.49).tolist() == [0]


def test_of_none_none_stays():
    assert suppress(np.zeros((0, 4), np.float32), 0.5).tolist() == []
