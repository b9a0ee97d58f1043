"""Accuracy, drop and agreement of models whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from compress.benchmark.accuracy import measure_accuracy
from compress.core.stage import SilentReporter
from compress.data.dataset import Split
from compress.errors import StageError
from compress.runtime.open import open_predictor

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
    measured = measure_accuracy(models, "right", prepared, split, LABELS, SilentReporter())
    found, answers = measured.found, measured.answers
    assert len(asked) == 2
    assert found["right"].n_images == 8
    assert (found["right"].top1_pct, found["right"].top1_drop_pp, found["right"].agreement_pct) == (100.0, 0.0, 100.0)
    assert (found["wrong"].top1_pct, found["wrong"].top1_drop_pp, found["wrong"].agreement_pct) == (50.0, 50.0, 50.0)
    assert answers.truth == answers.top1["right"] == split.labels_N
    assert answers.top1["wrong"] == (0, 0, 0, 0, 2, 2, 1, 1)
    assert answers.confidence["wrong"][0] == answers.truth_confidence["wrong"][0]
    assert answers.confidence["wrong"][4] > answers.truth_confidence["wrong"][4]
    assert (found["wrong"].lost, found["wrong"].gained, found["wrong"].mcnemar_p) == (4, 0, 0.125)
    assert (found["right"].lost, found["right"].gained, found["right"].mcnemar_p) == (0, 0, 1.0)
    assert found["wrong"].recall_pct == {"blue": 100.0, "green": 0.0, "red": 0.0}
    against_wrong = measure_accuracy(models, "wrong", prepared, split, LABELS, SilentReporter()).found
    assert against_wrong["right"].top1_drop_pp == pytest.approx(-50.0)
    assert (against_wrong["right"].lost, against_wrong["right"].gained) == (0, 4)


def one_image(label: int) -> tuple[Split, np.ndarray]:
    pixels = np.zeros((1, 32, 32, 3), np.uint8)
    pixels[:, :, :, 2 - label] = 255
    return Split("test", (Path("0.png"),), (label,)), pixels


def test_recall_is_absent_for_a_class_without_images(make_artifact) -> None:
    split, pixels = one_image(1)
    models = {"right": open_predictor(make_artifact("right").path)}
    found = measure_accuracy(models, "right", lambda _: pixels, split, LABELS, SilentReporter()).found
    assert found["right"].recall_pct == {"green": 100.0}


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"weight_KC": np.full((3, 3), np.nan, np.float32)}, "NaN"),
        ({"labels": ("cat", "dog", "eel")}, "has the classes cat, dog, eel, the images have blue, green, red"),
    ],
)
def test_a_model_that_cannot_be_asked_loses_only_its_own_numbers(make_artifact, broken: dict, text: str) -> None:
    split, pixels = one_image(0)
    models = {"bad": open_predictor(make_artifact("bad", **broken).path)}
    models["right"] = open_predictor(make_artifact("right").path)
    measured = measure_accuracy(models, "right", lambda _: pixels, split, LABELS, SilentReporter())
    assert list(measured.found) == ["right"]
    assert text in measured.errors["bad"]
    with pytest.raises(StageError, match="the baseline 'bad' cannot be measured: .*" + text):
        measure_accuracy(models, "bad", lambda _: pixels, split, LABELS, SilentReporter())
