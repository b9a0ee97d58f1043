from __future__ import annotations

import numpy as np

from compress.engine.options import FitOptions
from evals.train.speed import BEGIN, END, Speeds, TrainingResults, as_markdown, only_right


def test_only_right_counts_what_only_one_of_two_gets_right():
    first, second = np.array([1, 1, 1, 1, 1, 1, 0, 0], bool), np.array([0, 0, 0, 0, 0, 1, 1, 0], bool)
    assert only_right(first, second) == (5, 1)
    assert only_right(first, first) == (0, 0)


def test_the_table_compares_within_a_round_and_says_how_many_images():
    speeds = Speeds(plain=[10.0, 40.0, 20.0], ours=[60.0, 160.0, 100.0], bare=[80.0, 200.0, 125.0])
    speeds.plain_cpu, speeds.ours_cpu, speeds.bare_cpu = [5.0] * 3, [40.0] * 3, [50.0] * 3
    right = np.array([True] * 9 + [False])
    text = as_markdown(TrainingResults(speeds, 12.3, (0.9, 0.8), right, right), FitOptions(epochs=3))
    assert text.startswith(BEGIN)
    assert text.endswith(END)
    assert "n = 10 test images" in text
    assert "decoding in 12.3 s" in text
    (ours,) = [line for line in text.splitlines() if line.startswith("| imgc")]
    of_clock = ["100", "5.00 (4.00-6.00)", "0.80 (0.75-0.80)"]
    of_processor = ["40", "8.00 (8.00-8.00)", "0.80 (0.80-0.80)"]
    assert ours.split(" | ")[1:8] == [*of_clock, *of_processor, "0.800"]
