"""Accuracy, drop and agreement of models whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.benchmark.accuracy import measure_accuracy
from compress.core.stage import SilentReporter
from compress.data.dataset import Split
from compress.runtime.predictor import open_predictor

LABELS = ("blue", "green", "red")
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

    split = Split("test", tuple(Path(f"{index}.png") for index in range(8)), tuple(labels))
    models = {"right": right, "wrong": wrong}
    found, answers = measure_accuracy(models, "right", prepared, split, LABELS, SilentReporter())
    assert len(asked) == 2
    assert found["right"].n_images == 8
    assert (found["right"].top1_pct, found["right"].top1_drop_pp, found["right"].agreement_pct) == (100.0, 0.0, 100.0)
    assert (found["wrong"].top1_pct, found["wrong"].top1_drop_pp, found["wrong"].agreement_pct) == (50.0, 50.0, 50.0)
    assert answers.truth == answers.top1["right"] == split.labels_N
    assert answers.top1["wrong"] == (0, 0, 0, 0, 2, 2, 1, 1)
    assert answers.confidence["wrong"][0] == answers.truth_confidence["wrong"][0]
    assert answers.confidence["wrong"][4] > answers.truth_confidence["wrong"][4]
    against_wrong, _ = measure_accuracy(models, "wrong", prepared, split, LABELS, SilentReporter())
    assert against_wrong["right"].top1_drop_pp == pytest.approx(-50.0)
