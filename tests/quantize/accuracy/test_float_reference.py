from __future__ import annotations

import numpy as np
import pytest

from compress.quantize.accuracy.float_reference import advice_on, confidence_pct
from compress.quantize.accuracy.reference import MAX_SQNR_DB, sqnr_db


def test_sqnr_is_the_mean_over_images():
    logits_NK = np.array([[3.0, 4.0], [30.0, 40.0]], np.float32)
    noisy_NK = logits_NK + np.array([[0.5, 0.0], [0.5, 0.0]], np.float32)  # 20 dB and 40 dB
    assert sqnr_db(logits_NK, noisy_NK) == pytest.approx(30.0)


def test_equal_answers_are_finite():
    logits_NK = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert sqnr_db(logits_NK[:1], logits_NK[:1]) == pytest.approx(MAX_SQNR_DB)
    assert np.isfinite(sqnr_db(logits_NK, logits_NK))


def test_confidence_is_the_median_of_the_likeliest_class():
    logits_NK = np.log(np.array([[0.2, 0.8], [0.6, 0.4], [0.01, 0.99]], np.float32)) + 300.0
    assert confidence_pct(logits_NK) == pytest.approx(80.0, abs=0.01)


def test_answers_that_are_probabilities_are_not_made_probabilities_again():
    assert confidence_pct(np.array([[0.2, 0.8], [0.6, 0.4]], np.float32)) == pytest.approx(70.0)


REMEDIES = ["`--one`", "`--other`"]


def _advice(agreement: float, confidence: float, remedies=REMEDIES, **labelled: float) -> str:
    return advice_on({"agreement_pct": agreement, "float_confidence_pct": confidence, **labelled}, remedies)


def test_a_file_that_answers_otherwise_comes_with_what_helps():
    assert _advice(95.0, 20.0) == ""
    assert _advice(85.0, 90.0, []) == "", "nothing helps"
    assert "fewer than 95 %" in _advice(94.9, 90.0)
    assert _advice(94.9, 90.0).endswith("`--one`; `--other`")


def test_images_that_the_model_is_not_sure_of_are_said_to_be_so_unless_they_are_its_own():
    assert "at most 36 % likely" in _advice(85.0, 36.0)
    assert "likely" not in _advice(85.0, 90.0)
    assert "likely" not in _advice(85.0, 36.0, top1_pct=40.0)
