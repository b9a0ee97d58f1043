"""What a search does otherwise for detectors: sides that they take, and fewer epochs of thousands of images."""

from __future__ import annotations

import pytest

from compress.models.detectors import LEAST_PX, MOST_PX
from compress.tune.task import DISTILLED, FLOAT, TASKS


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_a_search_begins_among_its_sides(task):
    assert task.start_px in task.sides_px
    assert sorted(set(task.sides_px)) == list(task.sides_px)
    assert task.gains_pp[FLOAT] > task.gains_pp[DISTILLED] > 0


def test_detectors_take_every_side():
    sides_px = TASKS["detect"].sides_px
    assert LEAST_PX <= min(sides_px) <= max(sides_px) <= MOST_PX


def test_epochs_are_by_the_number_of_images():
    detect, classify = TASKS["detect"].epochs, TASKS["classify"].epochs
    assert [detect(count, False) for count in (40, 251, 600, 5000)] == [70, 70, 35, 20]
    assert classify(1000, True) > classify(1000, False)
