from __future__ import annotations

import numpy as np

from compress.runtime.logits import softmax


def test_softmax_rows_add_up_and_large_logits_do_not_overflow():
    probabilities_NK = softmax(np.array([[1000, 999], [-1000, -1000]], np.float32))
    np.testing.assert_allclose(probabilities_NK, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)], [0.5, 0.5]], rtol=1e-6)
    assert probabilities_NK.dtype == np.float64


def test_the_softmax_of_one_image_is_its_row_s_to_the_bit():
    logits_NK = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for logits_K, shares_K in zip(logits_NK, softmax(logits_NK), strict=True):
        np.testing.assert_array_equal(softmax(logits_K), shares_K)
