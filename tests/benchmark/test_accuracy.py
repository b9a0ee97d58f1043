"""Accuracy, drop and agreement of models whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from compress.benchmark.accuracy import measure_accuracy
from compress.core.stage import SilentReporter
from compress.runtime.predictor import open_predictor

WRONG_KC = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float32)  # calls green red and red green


def test_drop_and_agreement_count_against_the_baseline(make_artifact) -> None:
    right = open_predictor(make_artifact("right").path)
    wrong = open_predictor(make_artifact("wrong", WRONG_KC).path)
    pixels = np.zeros((8, 32, 32, 3), np.uint8)
    labels = [0, 0, 0, 0, 1, 1, 2, 2]
    for index, label in enumerate(labels):
        pixels[index, :, :, 2 - label] = 255  # blue, green, red
    asked = []

    def prepared(preprocess):
        asked.append(preprocess)
        return pixels

    found = measure_accuracy({"right": right, "wrong": wrong}, "right", prepared, labels, SilentReporter())
    assert len(asked) == 2
    assert found["right"].n_images == 8
    assert (found["right"].top1_pct, found["right"].top1_drop_pp, found["right"].agreement_pct) == (100.0, 0.0, 100.0)
    assert (found["wrong"].top1_pct, found["wrong"].top1_drop_pp, found["wrong"].agreement_pct) == (50.0, 50.0, 50.0)
    against_wrong = measure_accuracy({"right": right, "wrong": wrong}, "wrong", prepared, labels, SilentReporter())
    assert against_wrong["right"].top1_drop_pp == pytest.approx(-50.0)
