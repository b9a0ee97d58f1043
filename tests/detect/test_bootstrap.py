"""The bootstrap of a mAP, against the mAP itself on images drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest

from compress.detect.bootstrap import DRAWS, draws, interval, map_pct, ranked
from compress.detect.precision import average_precision
from tests.detect.test_precision import CLASSES, answer, known, random_pair


@pytest.mark.parametrize("seed", range(3))
def test_every_image_once_is_the_map(seed):
    truth, answers = random_pair(seed)
    (found,) = map_pct(ranked(truth, answers, CLASSES), np.ones((1, len(truth)), np.int64))
    assert found == pytest.approx(average_precision(truth, answers, CLASSES).map_pct, abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_images_that_are_drawn_again_count_again(seed):
    truth, answers = random_pair(seed)
    weights = np.array([0, 2, 1, 0, 3, 1, 1, 0])
    again = np.repeat(np.arange(len(truth)), weights)
    expected = average_precision([truth[i] for i in again], [answers[i] for i in again], CLASSES).map_pct
    (found,) = map_pct(ranked(truth, answers, CLASSES), weights[None])
    assert found == pytest.approx(expected, abs=1e-6)


def test_a_class_that_no_drawn_image_has_does_not_count():
    truth = [known([[0, 0, 50, 50]], [0]), known([[0, 0, 50, 50]], [1])]
    answers = [answer([[0, 0, 50, 50]], [0.9], [0]), answer([], [], [])]
    found = map_pct(ranked(truth, answers, 2), np.array([[2, 0], [0, 2], [1, 1]]))
    assert found == pytest.approx([100.0, 0.0, 50.0])


def test_nothing_known_and_nothing_found_is_nought():
    assert map_pct(ranked([known([], [])], [answer([], [], [])], 2), np.ones((1, 1), np.int64)) == 0.0


def test_draws_are_as_many_as_the_images_and_the_same_each_time():
    found = draws(7)
    assert found.shape == (DRAWS, 7)
    assert (found.sum(axis=1) == 7).all()
    assert (found == draws(7)).all()
    assert len(np.unique(found, axis=0)) > DRAWS / 2


def test_the_interval_holds_the_map_and_is_narrower_for_a_paired_difference():
    truth, answers = random_pair(1, images=40)
    worse = [answer(one.corners_B4[1:], one.scores_B[1:], one.classes_B[1:]) for one in answers]
    weights = draws(len(truth))
    first, second = (map_pct(ranked(truth, found, CLASSES), weights) for found in (answers, worse))
    low, high = interval(first)
    assert low < average_precision(truth, answers, CLASSES).map_pct < high
    paired, alone = interval(first - second), interval(first - second[::-1])
    assert paired[1] - paired[0] < alone[1] - alone[0]
