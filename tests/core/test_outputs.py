from __future__ import annotations

import numpy as np
import pytest

from compress.core.outputs import as_logits, kind_of, shares


def test_shares_of_logits_are_their_softmax_and_large_ones_do_not_overflow():
    found_NK = shares(np.array([[1000, 999], [-1000, -1000]], np.float32), "logits")
    np.testing.assert_allclose(found_NK, [[1 / (1 + np.exp(-1)), 1 / (1 + np.e)], [0.5, 0.5]], rtol=1e-6)
    assert found_NK.dtype == np.float64


def test_the_shares_of_one_image_are_its_row_s_to_the_bit():
    logits_NK = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    for logits_K, shares_K in zip(logits_NK, shares(logits_NK, "logits"), strict=True):
        np.testing.assert_array_equal(shares(logits_K, "logits"), shares_K)


@pytest.mark.parametrize("kind", ["probabilities", "scores"])
def test_what_is_a_share_already_stays(kind):
    values_NK = np.array([[0.1, 0.9], [0.0, 1.0]], np.float32)
    np.testing.assert_array_equal(shares(values_NK, kind), values_NK.astype(np.float64))
    assert shares(np.array([-0.01, 1.01], np.float32), kind).tolist() == [0.0, 1.0], "an int8 grid may reach beyond"


def test_logits_of_probabilities_and_scores_mean_the_same():
    values_NK = np.array([[0.1, 0.9], [0.25, 0.75]], np.float32)
    assert shares(as_logits(values_NK, "probabilities"), "logits") == pytest.approx(values_NK, abs=1e-6)
    assert 1 / (1 + np.exp(-as_logits(values_NK, "scores"))) == pytest.approx(values_NK, abs=1e-6)
    assert np.isfinite(as_logits(np.array([[0.0, 1.0]], np.float32), "scores")).all()
    assert as_logits(values_NK, "logits") is values_NK


@pytest.mark.parametrize(
    ("operators", "kind"),
    [
        (["Gemm"], "logits"),
        (["Gemm", "Softmax"], "probabilities"),
        (["Gemm", "Softmax", "QuantizeLinear", "DequantizeLinear"], "probabilities"),
        (["Gemm", "Sigmoid", "Flatten"], "scores"),
        (["Softmax", "Gemm", "Identity"], "logits"),
        (["FULLY_CONNECTED", "SOFTMAX", "DEQUANTIZE"], "probabilities"),
        (["Gemm", "LogSoftmax"], "logits"),
    ],
)
def test_the_operator_that_makes_the_output_says_what_it_is(operators, kind):
    makers = {f"t{place + 1}": (operator, f"t{place}") for place, operator in enumerate(operators)}
    assert kind_of(f"t{len(operators)}", makers) == kind


def test_a_ring_or_nothing_is_left_as_logits():
    assert kind_of("a", {"a": ("Identity", "b"), "b": ("Identity", "a")}) == "logits"
    assert kind_of("a", {}) == "logits"
