from __future__ import annotations

from dataclasses import replace

import pytest

from compress.errors import StageError
from compress.quantize.accuracy.accuracy_constraint import AccuracyConstraint
from compress.quantize.plan import Candidate, choose

FP32 = Candidate("fp32", {"agreement_pct": 100.0}, 2.0, 4000, 1)
GATE = Candidate("gate", {"agreement_pct": 97.0}, 1.0, 1100, 1)
ISLAND = Candidate("island", {"agreement_pct": 98.0}, 1.02, 1000, 1)
BOUND = AccuracyConstraint(None, 95.0)


def test_the_fastest_is_chosen_and_said_to_be():
    best, why = choose([FP32, replace(GATE, p50_ms=0.9), ISLAND], BOUND)
    assert best.name == "gate"
    assert why == "gate keeps the constraint (agreement >= 95 %); is the fastest of those that do"


def test_among_equally_fast_ones_the_smallest_wins():
    best, why = choose([FP32, GATE, ISLAND], BOUND)
    assert best.name == "island"
    assert "as fast as gate to within 3 %, and smaller" in why


def test_what_breaks_the_bound_is_named_when_it_would_be_faster():
    best, why = choose([FP32, replace(GATE, refused="agreement is 80.00 %")], BOUND)
    assert best is FP32
    assert "gate would be faster, but may not be shipped" in why


def test_nothing_left_lists_every_reason():
    refused = [replace(FP32, refused="floats"), replace(GATE, refused="agreement is 80.00 %")]
    with pytest.raises(StageError, match="no candidate keeps the constraint") as caught:
        choose(refused, BOUND)
    assert "fp32: floats" in caught.value.message
    assert "gate: agreement is 80.00 %" in caught.value.message
    assert "int8_qat" in caught.value.hint
