from __future__ import annotations

import numpy as np
import pytest

from compress.quantize.judge import MAX_SQNR_DB, sqnr_db


def test_sqnr_is_the_mean_over_pictures():
    logits_NK = np.array([[3.0, 4.0], [30.0, 40.0]], np.float32)
    noisy_NK = logits_NK + np.array([[0.5, 0.0], [0.5, 0.0]], np.float32)  # 20 dB and 40 dB
    assert sqnr_db(logits_NK, noisy_NK) == pytest.approx(30.0)


def test_equal_answers_are_finite():
    logits_NK = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert sqnr_db(logits_NK[:1], logits_NK[:1]) == pytest.approx(MAX_SQNR_DB)
    assert np.isfinite(sqnr_db(logits_NK, logits_NK))
