from __future__ import annotations

import numpy as np
import pytest

from compress.engine.options import FitOptions
from evals.sentences.training import training_sentences
from evals.train.block import BARE, CAREFUL, OURS, PLAIN, Speeds, TrainingResults, only_right, training_block
from tests.evals.blocks import MEASURED


def test_only_right_counts_what_only_one_of_two_gets_right():
    first, second = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert only_right(first, second) == (5, 1)
    assert only_right(first, first) == (0, 0)


@pytest.fixture
def found() -> TrainingResults:
    speeds = Speeds()
    seconds = {PLAIN: (10, 40, 20), CAREFUL: (20, 80, 50), OURS: (60, 160, 100), BARE: (80, 200, 125)}
    for loop, rates in seconds.items():
        for rate in rates:
            speeds.add(loop, 100, 100 / rate, {PLAIN: 20.0, CAREFUL: 10.0, OURS: 2.5, BARE: 2.0}[loop])
    right = np.array([True] * 9 + [False])
    careful = np.array([False, *[True] * 9])
    losses = {PLAIN: 0.9, CAREFUL: 0.85, OURS: 0.8}
    return TrainingResults(speeds, 12.3, losses, {PLAIN: right, CAREFUL: careful, OURS: right}, 2)


def test_the_table_compares_within_a_round(found):
    block = training_block(found, FitOptions(epochs=3), MEASURED)
    assert [row["loop"] for row in block.rows] == ["plain loop", "careful plain loop", "imgc", "bare model step"]
    ours, bare = block.rows[2], block.rows[3]
    assert ours["clock"] == pytest.approx(100)
    assert ours["clock_of_plain"] == pytest.approx((5, 4, 6))
    assert ours["clock_of_careful"] == pytest.approx((2, 2, 3))
    assert ours["clock_of_bare"] == pytest.approx((0.8, 0.75, 0.8))
    assert ours["processor"] == pytest.approx(40)
    assert ours["processor_of_careful"] == pytest.approx((4, 4, 4))
    assert (ours["loss"], ours["top1_pct"]) == (0.8, 90)
    assert bare["loss"] is None
    assert "top1_pct" not in bare
    assert block.n == {"test images": 10}
    assert "batch 32, 3 epochs by turns, 2 threads" in block.setting


def test_both_plain_loops_are_tested_against_ours(found):
    (text,) = training_sentences(training_block(found, FitOptions(), MEASURED))
    assert "Only the plain loop is right on 0 of the test images, only imgc on 0 (exact McNemar p 1.00)." in text
    assert "Only the careful plain loop is right on 1 of the test images, only imgc on 1" in text
    assert text.endswith("decoding in 12.3 s.")
