"""Accuracy by arithmetic: known logits, known counts."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.core.formats import Format
from compress.errors import DataError, StageError
from compress.runtime.evaluate import (
    agreement_pct,
    evaluate,
    expected_calibration_error_pct,
    mcnemar_p,
    wilson_ci95_pct,
)
from compress.runtime.open import open_predictor


class FixedPredictor:
    """Answers prepared logits in order, whatever the images."""

    path, format, runtime, threads = Path("fixed.onnx"), Format.ONNX, "fixed", 1

    def __init__(self, spec: Any, logits_NK: np.ndarray) -> None:
        self.spec, self.logits_NK, self.at, self.batches = spec, logits_NK.astype(np.float32), 0, []

    def predict(self, images_NCHW: np.ndarray) -> np.ndarray:
        n = len(images_NCHW)
        self.batches.append(n)
        self.at += n
        return self.logits_NK[self.at - n : self.at]


def pixels(count: int, side: int = 16) -> np.ndarray:
    return np.zeros((count, side, side, 3), np.uint8)


def fixed(tiny: Any, logits_NK: np.ndarray) -> FixedPredictor:
    labels = tuple(str(index) for index in range(logits_NK.shape[1]))
    return FixedPredictor(tiny.spec(labels=labels), logits_NK)


def test_top1_and_top5_are_counted(tiny: Any) -> None:
    logits = np.tile(np.arange(8, 0, -1.0), (10, 1))  # the order of every answer is 0, 1, 2, ... 7
    labels = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    predictor = fixed(tiny, logits)
    result = evaluate(predictor, pixels(10), labels, batch=4)
    assert result.n_images == 10
    assert result.top1_pct == pytest.approx(30.0)
    assert result.top5_pct == pytest.approx(70.0)
    assert result.top1_ci95_pct == wilson_ci95_pct(3, 10)
    assert predictor.batches == [4, 4, 2]
    np.testing.assert_array_equal(result.logits_NK, logits.astype(np.float32))


def test_equal_logits_are_no_free_hits(tiny: Any) -> None:
    result = evaluate(fixed(tiny, np.zeros((8, 8))), pixels(8), list(range(8)))
    assert result.top1_pct == pytest.approx(100 / 8)
    assert result.top5_pct == pytest.approx(500 / 8)


def test_fewer_than_five_classes_use_all(tiny: Any) -> None:
    result = evaluate(fixed(tiny, np.array([[1.0, 2.0, 3.0]])), pixels(1), [0])
    assert (result.top1_pct, result.top5_pct) == (0.0, 100.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_answers_are_refused_by_file_and_image(tiny: Any, bad: float) -> None:
    logits = np.ones((6, 4))
    logits[5, 2] = bad
    with pytest.raises(StageError, match=r"fixed\.onnx: answers NaN or infinity for 1 of 2 images, first for image 5"):
        evaluate(fixed(tiny, logits), pixels(6), [0] * 6, batch=4)


def test_no_images(tiny: Any) -> None:
    with pytest.raises(DataError, match="0 images"):
        evaluate(fixed(tiny, np.ones((1, 4))), pixels(0), [])


def test_labels_and_images_of_different_number(tiny: Any) -> None:
    with pytest.raises(DataError, match="found 2 images, 1 labels"):
        evaluate(fixed(tiny, np.ones((2, 4))), pixels(2), [0])


def test_labels_the_model_does_not_know(tiny: Any) -> None:
    with pytest.raises(DataError, match=r"knows 4 classes .* reach 4"):
        evaluate(fixed(tiny, np.ones((2, 4))), pixels(2), [0, 4])


def test_pixels_are_normalised_by_the_model_s_own_preprocessing(tiny: Any) -> None:
    preprocess = tiny.spec().preprocess.model_copy(update={"mean": (0.5, 0.25, 0.0), "std": (0.5, 0.25, 1.0)})
    predictor = open_predictor(tiny.onnx(spec=tiny.spec(preprocess=preprocess)))
    rng = np.random.default_rng(0)
    pixels_NHWC = rng.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    images = (pixels_NHWC / 255 - np.array(preprocess.mean)) / np.array(preprocess.std)
    wanted = tiny.expected(images.transpose(0, 3, 1, 2))
    result = evaluate(predictor, pixels_NHWC, [0, 1, 2])
    np.testing.assert_allclose(result.logits_NK, wanted, atol=1e-5)


def test_agreement() -> None:
    first = np.eye(4, dtype=np.float32)
    second = first.copy()
    second[0] = [0, 1, 0, 0]
    assert agreement_pct(first, first) == 100.0
    assert agreement_pct(first, second) == 75.0
    with pytest.raises(StageError, match="cannot compare"):
        agreement_pct(first, second[:3])
    with pytest.raises(StageError, match="cannot compare"):
        agreement_pct(first[:0], second[:0])


@pytest.mark.parametrize(
    ("correct", "n", "low", "high"),
    [(0, 10, 0.0, 27.753), (10, 10, 72.247, 100.0), (50, 100, 40.383, 59.617), (81, 263, 25.526, 36.618)],
)
def test_wilson_interval_has_published_values(correct: int, n: int, low: float, high: float) -> None:
    assert wilson_ci95_pct(correct, n) == pytest.approx((low, high), abs=0.02)


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (-1, 5), (6, 5)])
def test_wilson_interval_of_nonsense(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match="found"):
        wilson_ci95_pct(correct, n)


@pytest.mark.parametrize(
    ("lost", "gained", "p"),
    [(0, 0, 1.0), (5, 0, 0.0625), (0, 5, 0.0625), (4, 4, 1.0), (1, 9, 22 / 1024), (59, 41, 0.08862608)],
)
def test_mcnemar_is_the_exact_binomial_test(lost: int, gained: int, p: float) -> None:
    assert mcnemar_p(lost, gained) == pytest.approx(p, rel=1e-6)
    whole = 2 * sum(math.comb(lost + gained, k) for k in range(min(lost, gained) + 1)) / 2 ** (lost + gained)
    assert mcnemar_p(lost, gained) == pytest.approx(min(1.0, whole), rel=1e-12)


def test_mcnemar_of_very_many_images_is_a_number() -> None:
    assert mcnemar_p(50_000, 50_000) == 1.0
    assert mcnemar_p(50_300, 49_700) == pytest.approx(0.0582, abs=1e-4)  # normal: z = 599 / sqrt(100000)
    assert mcnemar_p(100_000, 0) == 0.0


def test_calibration_error_of_known_answers() -> None:
    sure_and_half_right = np.array([[0.9, 0.1], [0.9, 0.1]])
    assert expected_calibration_error_pct(sure_and_half_right, np.array([0, 1])) == pytest.approx(40.0)
    apart = np.array([[0.9, 0.1], [0.6, 0.4]])  # two bins: |1 - 0.9| / 2 + |0 - 0.6| / 2
    assert expected_calibration_error_pct(apart, np.array([0, 1])) == pytest.approx(35.0)
    assert expected_calibration_error_pct(np.array([[1.0, 0.0]]), np.array([0])) == 0.0
    edge = np.array([[0.6, 0.4], [0.61, 0.39]])  # 0.6 ends its bin, 0.61 begins the next
    assert expected_calibration_error_pct(edge, np.array([0, 1])) == pytest.approx(100 * (0.4 + 0.61) / 2)


def test_wilson_interval_holds_the_share_and_stays_within_0_and_100() -> None:
    for n in range(1, 120):
        for correct in range(n + 1):
            low, high = wilson_ci95_pct(correct, n)
            assert 0 <= low <= 100.0 * (correct / n) <= high <= 100, (correct, n)
